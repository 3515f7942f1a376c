"""AdmissionReviews: what they name, and what answers them."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cluster.admission import AdmissionAnswer, created, parse_review, seconds_of
from wherry.cluster.external_data import ProviderItem, parse_provider_request, provider_response
from wherry.errors import InvalidDocument, WherryError

SPEC = {
    "containers": [{"name": "app", "image": "app:1"}],
    "initContainers": [{"name": "init", "image": "init:1"}],
    "ephemeralContainers": [{"name": "debug", "image": "debug:1"}],
    "volumes": [{"name": "data", "image": {"reference": "data:1"}}, {"name": "none", "emptyDir": {}}],
    "imagePullSecrets": [{"name": "one"}, {"name": "one"}, {"name": ""}, {"name": "two"}],
}
GROUPS = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), "apps"),
    **dict.fromkeys(("Job", "CronJob"), "batch"),
}
_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_KEYS = st.sampled_from(
    ["spec", "template", "containers", "volumes", "image", "reference", "name", "metadata", "jobTemplate"]
)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def review(kind="Pod", *, operation="CREATE", document=None, old=None, **more):
    """Write a review."""
    asked = {
        "uid": "7", "kind": {"group": GROUPS.get(kind, ""), "version": "v1", "kind": kind},
        "operation": operation, "namespace": "shop",
        "object": document, "oldObject": old, **more,
    }  # fmt: skip
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}).encode()


def images(body):
    """Give what a review names, by pointer."""
    return {use.path: use.text for use in parse_review(body).images()}


def test_all_places_of_a_pod():
    """Containers, init and ephemeral containers, image volumes."""
    request = parse_review(review(document={"metadata": {"generateName": "api-"}, "spec": SPEC}))

    assert {use.path: use.text for use in request.images()} == {
        "/spec/initContainers/0/image": "init:1",
        "/spec/containers/0/image": "app:1",
        "/spec/ephemeralContainers/0/image": "debug:1",
        "/spec/volumes/0/image/reference": "data:1",
    }
    assert request.pull_secrets() == ("one", "two")
    assert request.name == "api-…"
    assert next(use.what for use in request.images()) == 'init container "init"'


@pytest.mark.parametrize(("kind", "where"), [
    ("Deployment", "spec.template.spec"), ("StatefulSet", "spec.template.spec"), ("DaemonSet", "spec.template.spec"),
    ("ReplicaSet", "spec.template.spec"), ("Job", "spec.template.spec"), ("PodTemplate", "template.spec"),
    ("CronJob", "spec.jobTemplate.spec.template.spec"), ("ReplicationController", "spec.template.spec"),
])  # fmt: skip
def test_templates(kind, where):
    """Each kind of workload has its pods elsewhere."""
    document = SPEC
    for key in reversed(where.split(".")):
        document = {key: document}

    assert f"/{where.replace('.', '/')}/containers/0/image" in images(review(kind, document=document))


def test_an_update_adds_only_what_is_new():
    """A pod older than a policy can be labelled and debugged; an image that changes is new."""
    old = {"spec": {"containers": [{"name": "app", "image": "app:1"}, {"name": "b", "image": "b:1"}]}}
    new = {"spec": {"containers": [{"name": "app", "image": "app:1"}, {"name": "b", "image": "app:1"}]}}
    debugged = {"spec": {**old["spec"], "ephemeralContainers": [{"name": "debug", "image": "box:1"}]}}

    assert images(review(operation="UPDATE", document=old, old=old)) == {}
    assert images(review(operation="UPDATE", document=new, old=old)) == {"/spec/containers/1/image": "app:1"}
    assert images(review(operation="UPDATE", document=debugged, old=old)) == {
        "/spec/ephemeralContainers/0/image": "box:1"
    }


@pytest.mark.parametrize("body", [
    review(operation="DELETE", old={"spec": SPEC}), review("Eviction", document={}), review(document={}),
    review("Job", document={"spec": 1}).replace(b'"batch"', b'"batch.volcano.sh"'),
    review("PodExecOptions", operation="CONNECT", document={"spec": SPEC}),
])  # fmt: skip
def test_nothing_to_judge(body):
    """What removes, connects, or has no pod."""
    assert images(body) == {}


@pytest.mark.parametrize("document", [
    {"spec": []}, {"spec": {"containers": {}}}, {"spec": {"containers": [1]}}, {"spec": {"volumes": [{"image": 1}]}},
    {"spec": {"containers": [{"image": {}}]}},
    {"spec": {"containers": [{"image": "a", "name": n} for n in range(501)]}},
])  # fmt: skip
def test_objects_that_are_none(document):
    """Each is refused, and not passed over."""
    with pytest.raises(InvalidDocument):
        parse_review(review(document=document)).images()


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{}", b"[" * 100_000, review().replace(b"k8s.io/v1", b"k8s.io/v1beta1"), b'{"request": 1}',
    review().replace(b'"7"', b"7"),
])  # fmt: skip
def test_no_review(body):
    """Each is an error of ours."""
    with pytest.raises(InvalidDocument):
        parse_review(body)


@given(
    kind=st.sampled_from(["Pod", "Deployment", "CronJob"]), document=st.dictionaries(_KEYS, _ANYTHING), old=_ANYTHING
)
def test_any_object(kind, document, old):
    """Whatever an object holds, there are places with texts, or an error of ours."""
    try:
        request = parse_review(review(kind, operation="UPDATE", document=document, old=old))
        uses = request.images()
    except WherryError:
        return
    for use in uses:
        found = document
        for key in use.path.strip("/").split("/"):
            found = found[int(key)] if isinstance(found, list) else found[key]
        assert found == use.text


def test_a_refusal():
    """It has a code and words; could-not-ask is another code than no."""
    for code, reason in ((400, "BadRequest"), (403, "Forbidden"), (503, "ServiceUnavailable")):
        answer = AdmissionAnswer(
            allowed=False, message="no\x1b", code=code, warnings=("a " * 400,), annotations={"k": "v"}
        )
        response = json.loads(answer.review("7"))["response"]

        assert response["uid"] == "7"
        assert response["status"] == {"status": "Failure", "message": "no\ufffd", "reason": reason, "code": code}
        assert len(response["warnings"][0]) == 250
        assert response["auditAnnotations"] == {"k": "v"}


def test_a_patch():
    """It replaces each image."""
    response = json.loads(AdmissionAnswer(allowed=True, images={"/spec/containers/0/image": "a@b"}).review("7"))
    patch = json.loads(base64.b64decode(response["response"]["patch"]))

    assert patch == [{"op": "replace", "path": "/spec/containers/0/image", "value": "a@b"}]
    assert response["response"]["patchType"] == "JSONPatch"


@pytest.mark.parametrize(("text", "seconds"), [
    ("10s", 10), ("1m30s", 90), ("1h", 3600), ("2.5s", 2.5), ("", None), ("5", None), ("s", None), ("-1s", None),
])  # fmt: skip
def test_durations(text, seconds):
    """As Go writes them."""
    assert seconds_of(text) == seconds


def test_created():
    """A manifest is a request for an object that is created."""
    request = created({"kind": "Pod", "metadata": {"name": "a"}, "spec": SPEC}, "shop")

    assert (request.operation, request.namespace, request.name) == ("CREATE", "shop", "a")
    assert len(request.images()) == 4


def test_external_data():
    """Each key once, with its namespace; values and errors by key."""
    asked = {"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest"}
    keys = parse_provider_request(json.dumps({**asked, "request": {"keys": ["a:1", "shop a:1", "a:1"]}}).encode())

    assert [(key.namespace, key.image) for key in keys] == [("", "a:1"), ("shop", "a:1")]
    answer = json.loads(provider_response([ProviderItem("a:1", "a@b"), ProviderItem("b", error="no")]))
    assert answer["response"]["items"] == [{"key": "a:1", "value": "a@b"}, {"key": "b", "error": "no"}]
    for wrong in (b"{}", b"[", json.dumps({**asked, "request": {"keys": ["a"] * 1001}}).encode()):
        with pytest.raises(InvalidDocument):
            parse_provider_request(wrong)
