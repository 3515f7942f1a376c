"""References in Kubernetes manifests: found, replaced, and nothing else touched."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wherry.cluster.manifests import joined, references, replaced, selected
from wherry.errors import InvalidDocument, InvalidUsage

IMAGE = "localhost:5000/api@sha256:" + "a" * 64

MANIFEST = """\
# A deployment, with a comment that has ko://not/this in it
apiVersion: apps/v1
kind: Deployment
metadata: {name: api,   labels: {app: api}}  # odd spaces stay
spec:
  template:
    spec:
      containers:
      - name: api
        image: ko://example.com/app/cmd/api   # plain
        args: ["--image", 'ko://example.com/app/cmd/worker', "wherry://./cmd/api"]
        env:
        - name: "ko://a/key/is/no/value": x
          value: >-
            wherry://./cmd/api
      - &sidecar
        image: "ko://example.com/app/cmd/api"
      - *sidecar
---

# second document
kind: List
items:
- {kind: Pod, spec: {containers: [{image: ko://example.com/app/cmd/api}]}}
...
"""


def test_replaces_values_and_nothing_else():
    """Quotes, comments, block scalars, anchors and odd spaces stay; keys and comments are no references."""
    manifest = MANIFEST.replace(
        '- name: "ko://a/key/is/no/value": x\n          value', '- "ko://a/key/is/no/value": x\n          value'
    )
    found = references(manifest, "x.yaml")
    images = {one.text: IMAGE for one in found}

    after = replaced(manifest, found, images)

    expected = manifest
    for text in ("ko://example.com/app/cmd/api", "ko://example.com/app/cmd/worker", "wherry://./cmd/api"):
        expected = expected.replace(text, IMAGE)
    assert after == expected
    assert len(found) == 6
    assert "ko://not/this" in after
    assert "ko://a/key/is/no/value" in after


def test_says_where():
    """Line and column of each, from 1 on."""
    found = references("a:\n  image: ko://x\n", "x.yaml")

    assert [(one.line, one.column) for one in found] == [(2, 10)]


def test_json():
    """JSON is YAML; escapes in it are no hindrance."""
    manifest = '{"kind": "Pod",\n "image": "ko:\\/\\/example.com\\/app", "other": "ko://example.com/app"}\r\n'
    found = references(manifest, "x.json")

    after = replaced(manifest, found, {"ko://example.com/app": IMAGE})

    assert yaml.safe_load(after) == {"kind": "Pod", "image": IMAGE, "other": IMAGE}
    assert after.endswith("}\r\n")


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "a: 'x", "{{ .Values.x }}: y: z"])
def test_no_yaml(text):
    """What is no YAML is an error with its place."""
    with pytest.raises(InvalidDocument) as caught:
        references(text, "x.yaml")

    assert "x.yaml" in caught.value.message
    assert "line" in caught.value.message


LEAF = st.one_of(st.text(max_size=12), st.sampled_from(["ko://a/b", "wherry://./c", " ko://a/b\n"]), st.integers())
TREE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def mended(value: object) -> object:
    """Replace in the values themselves."""
    if isinstance(value, dict):
        return {key: mended(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [mended(inner) for inner in value]
    if isinstance(value, str) and value.strip() in {"ko://a/b", "wherry://./c"}:
        return value.replace(value.strip(), IMAGE)
    return value


@given(TREE, st.sampled_from([None, True, False]), st.sampled_from([None, '"', "'", "|", ">"]))
def test_means_the_same_after(tree, flow, style):
    """However a document is written, its values are the old ones but for references."""
    manifest = yaml.safe_dump(tree, default_flow_style=flow, default_style=style, allow_unicode=True)
    found = references(manifest, "x.yaml")

    after = replaced(manifest, found, {one.text: IMAGE for one in found})

    loaded = yaml.safe_load(after)
    assert normal(loaded) == normal(mended(yaml.safe_load(manifest)))


def normal(value: object) -> object:
    """Leave out white space around images: a string that is written anew has none."""
    if isinstance(value, dict):
        return {key: normal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [normal(inner) for inner in value]
    return value.strip() if isinstance(value, str) and IMAGE in value else value


def test_several_files_are_one_stream():
    """One file stays as it is; several are parted."""
    assert joined(["a: 1"]) == "a: 1"
    assert joined(["a: 1", "---\nb: 2\n", "c: 3\n"]) == "a: 1\n---\nb: 2\n---\nc: 3\n"


LABELLED = """\
metadata: {labels: {app: api, tier: web}}  # one
---
metadata:
  labels:
    app: worker
---
kind: Other
"""


@pytest.mark.parametrize(
    ("selector", "count"),
    [("app=api", 1), ("app==worker", 1), ("app!=api", 2), ("app", 2), ("!app", 1), ("app=api,tier=web", 1), ("x=y", 0)],
)
def test_selects(selector, count):
    """Documents by their labels, as kubectl does; those that stay are as they were."""
    kept = selected(LABELLED, selector, "x.yaml")

    assert len([document for document in yaml.safe_load_all(kept) if document]) == count
    assert selector != "app=api" or kept == "metadata: {labels: {app: api, tier: web}}  # one\n"


@pytest.mark.parametrize("selector", ["app in (a, b)", "=x", "!a=b"])
def test_selectors_that_are_none(selector):
    """What is not understood is refused, not passed over."""
    with pytest.raises(InvalidUsage):
        selected(LABELLED, selector, "x.yaml")
