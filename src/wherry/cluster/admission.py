"""AdmissionReview: what an API server asks a webhook, the images that its object names, and the answer.

Sources: Kubernetes 1.34, "Dynamic Admission Control" (admission.k8s.io/v1; warnings, audit annotations, JSON patches);
API reference, PodSpec (containers, volumes[].image); RFC 6902 (JSON Patch) and RFC 6901 (pointers).
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from wherry.errors import InvalidDocument
from wherry.typed import from_json

LARGEST_REVIEW = 8 << 20
"""Bytes of a review: an API server takes objects of 3 MiB, and sends the old one as well."""
MOST_IMAGES = 500
"""Images of one object."""
_API = "admission.k8s.io/v1"
_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?")
_LONGEST_WARNING = 250
"""Characters; clients show 256 at most."""
_LONGEST_MESSAGE = 8192
_LONGEST_SHOWN = 512
_TEMPLATE = ("spec", "template", "spec")
_SPECS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): _TEMPLATE,
    **{("apps", kind): _TEMPLATE for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")},
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
}
"""Where the spec of pods is, by API group and kind: other groups have kinds of the same names."""
_REASONS: Mapping[int, str] = {400: "BadRequest", 403: "Forbidden"}
"""The API's words for HTTP's numbers; kubectl shows them."""
_CONTAINERS = {
    "initContainers": "init container",
    "containers": "container",
    "ephemeralContainers": "ephemeral container",
}


class _Kind(msgspec.Struct, frozen=True):
    group: str = ""
    kind: str = ""


class _User(msgspec.Struct, frozen=True):
    username: str = ""


class _Asked(msgspec.Struct, frozen=True, rename="camel"):
    uid: str
    kind: _Kind
    operation: str
    name: str = ""
    namespace: str = ""
    sub_resource: str = ""
    dry_run: bool | None = False
    user_info: _User = _User()
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None


class _Review(msgspec.Struct, frozen=True, rename={"api_version": "apiVersion"}):
    request: _Asked
    api_version: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class ImageUse:
    """A place of an object that names an image."""

    path: str
    """A JSON pointer from the object's root."""
    text: str
    """As written."""
    what: str
    """Such as `container "app"`."""

    @property
    def shown(self) -> str:
        """The text, shortened for people and logs."""
        return self.text if len(self.text) <= _LONGEST_SHOWN else f"{self.text[:_LONGEST_SHOWN]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRequest:
    """What an API server asks about."""

    uid: str
    operation: str
    """CREATE, UPDATE, DELETE or CONNECT."""
    kind: str
    namespace: str
    name: str
    group: str = ""
    """Of the kind's API; empty: the core."""
    subresource: str = ""
    dry_run: bool = False
    user: str = ""
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    old: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_pod(self) -> bool:
        """Whether it is a pod itself, and no template of one."""
        return (self.group, self.kind) == ("", "Pod")

    def images(self) -> tuple[ImageUse, ...]:
        """List the images that the request adds: all of a new object, else those that the old object does not have.

        So a pod that is older than a policy can still be labelled, deleted, and debugged: only what is new counts.

        Raises:
            InvalidDocument: the object is not one of its kind.
        """
        if self.operation not in {"CREATE", "UPDATE"}:
            return ()
        before: set[tuple[str, str, str]] = set()
        if self.operation == "UPDATE":
            before = {(where, name, use.text) for where, name, use in self._uses(self.old)}
        found = [use for where, name, use in self._uses(self.document) if (where, name, use.text) not in before]
        if len(found) > MOST_IMAGES:
            raise InvalidDocument(self.kind, f"{len(found)} images; at most {MOST_IMAGES} are judged")
        return tuple(found)

    def pull_secrets(self) -> tuple[str, ...]:
        """Name the secrets that the pod pulls with."""
        spec = _below(self.document, _SPECS.get((self.group, self.kind), ("spec",)))
        rows = spec.get("imagePullSecrets") if isinstance(spec, dict) else None
        names = [row.get("name") for row in rows[:20] if isinstance(row, dict)] if isinstance(rows, list) else []
        return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name))

    def _uses(self, document: Mapping[str, Any]) -> "Iterator[tuple[str, str, ImageUse]]":
        where = _SPECS.get((self.group, self.kind))
        return _uses(self.kind, where, document) if where else iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionAnswer:
    """What the API server is told."""

    allowed: bool
    message: str = ""
    code: int = 403
    """HTTP status of a refusal, as the user sees it."""
    warnings: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    """For the API server's audit log."""
    images: Mapping[str, str] = field(default_factory=dict)
    """What to put in the place of images, by JSON pointer."""

    def review(self, uid: str) -> bytes:
        """Write the AdmissionReview that answers a request."""
        response: dict[str, object] = {"uid": uid, "allowed": self.allowed}
        if not self.allowed:
            reason = _REASONS.get(self.code, "ServiceUnavailable")
            response["status"] = {
                "status": "Failure",
                "message": _printable(self.message[:_LONGEST_MESSAGE]),
                "reason": reason,
                "code": self.code,
            }
        if self.warnings:
            response["warnings"] = [_shortened(line) for line in self.warnings[:20]]
        if self.annotations:
            response["auditAnnotations"] = dict(self.annotations)
        if self.images:
            patch = [{"op": "replace", "path": path, "value": image} for path, image in self.images.items()]
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
        return json.dumps({"apiVersion": _API, "kind": "AdmissionReview", "response": response}).encode()


def parse_review(body: bytes) -> AdmissionRequest:
    """Read an AdmissionReview.

    Raises:
        InvalidDocument: it is none, or of another version.
    """
    if len(body) > LARGEST_REVIEW:
        raise InvalidDocument("AdmissionReview", f"more than {LARGEST_REVIEW} bytes")
    try:
        review = from_json(body, _Review)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidDocument("AdmissionReview", str(error)[:300] or type(error).__name__) from error
    if review.api_version != _API or review.kind != "AdmissionReview":
        raise InvalidDocument("AdmissionReview", f"is not {_API}: apiVersion {review.api_version[:80]!r}")
    asked = review.request
    document = asked.object or {}
    name = asked.name or _generated_name(document)
    return AdmissionRequest(
        uid=asked.uid,
        operation=asked.operation,
        kind=asked.kind.kind,
        group=asked.kind.group,
        namespace=asked.namespace,
        name=name,
        subresource=asked.sub_resource,
        dry_run=bool(asked.dry_run),
        user=asked.user_info.username,
        document=document,
        old=asked.old_object or {},
    )


def created(document: Mapping[str, Any], namespace: str) -> AdmissionRequest:
    """Give the request that an API server would make for an object that somebody creates."""
    metadata = document.get("metadata")
    said = metadata if isinstance(metadata, dict) else {}
    return AdmissionRequest(
        uid="",
        operation="CREATE",
        kind=str(document.get("kind", "")),
        group=str(document.get("apiVersion", "")).rpartition("/")[0],
        namespace=str(said.get("namespace") or namespace),
        name=str(said.get("name") or _generated_name(document)),
        document=document,
    )


def seconds_of(duration: str) -> float | None:
    """Read a duration of Go's, such as `10s` or `1m30s`; None: it is none."""
    match = _DURATION.fullmatch(duration)
    if not match or not any(match.groups()):
        return None
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)


def _generated_name(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    prefix = metadata.get("generateName") if isinstance(metadata, dict) else None
    return f"{prefix}…" if isinstance(prefix, str) and prefix else ""


def _uses(kind: str, where: Sequence[str], document: Mapping[str, Any]) -> Iterator[tuple[str, str, ImageUse]]:
    """Yield each image with its list and the name of its row."""
    spec = _below(document, where)
    if spec is None:
        return
    if not isinstance(spec, dict):
        raise InvalidDocument(kind, f"/{'/'.join(where)} is not an object")
    base = "/" + "/".join(where)
    for key, what in _CONTAINERS.items():
        for number, row in _rows(spec, key, kind):
            name = row.get("name")
            if (text := row.get("image")) is not None and text != "":
                yield key, str(name), _use(kind, f"{base}/{key}/{number}/image", text, f'{what} "{_shown(name)}"')
    for number, row in _rows(spec, "volumes", kind):
        image = row.get("image")
        if image is None:
            continue
        if not isinstance(image, dict):
            raise InvalidDocument(kind, f"{base}/volumes/{number}/image is not an object")
        if (text := image.get("reference")) is not None and text != "":
            path, name = f"{base}/volumes/{number}/image/reference", row.get("name")
            yield "volumes", str(name), _use(kind, path, text, f'image volume "{_shown(name)}"')


def _use(kind: str, path: str, text: object, what: str) -> ImageUse:
    if not isinstance(text, str):
        raise InvalidDocument(kind, f"{path} is not a string")
    return ImageUse(path, text, what)


def _rows(spec: Mapping[str, Any], key: str, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = spec.get(key)
    if rows is None:
        return
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidDocument(kind, f"{key} is not a list of objects")
    yield from enumerate(rows)


def _below(document: object, keys: Sequence[str]) -> object:
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def _shown(name: object) -> str:
    return _printable(str(name)[:80])


def _printable(text: str) -> str:
    """Take out what a terminal would obey, and what a header may not have."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _shortened(line: str) -> str:
    one = _printable(" ".join(line.split()))
    return one if len(one) <= _LONGEST_WARNING else f"{one[: _LONGEST_WARNING - 1]}…"
