"""What the client of a build on Kubernetes has to know to end it: in an annotation of the Job, so that any can.

Everyone who may write Jobs in the namespace may write one, so it is checked before it counts.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Self

import msgspec

from wherry.cluster.build_documents import is_platform
from wherry.errors import InvalidDocument
from wherry.typed import from_json

VERSION: Final = 1
LARGEST: Final = 200 << 10
"""Bytes; Kubernetes keeps 256 KiB of annotations."""
_Number = Annotated[int, msgspec.Meta(ge=0, le=10_000)]


def artifact_tag(name: str) -> str:
    """Name the tag that keeps the sources of a build in the registry."""
    return f"wherry-build-{name}"


def task_tag(name: str, number: int) -> str:
    """Name the tag that keeps what a task pushed, until the index is there."""
    return f"build-{name}-{number}"


class RunImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image that is made of platforms."""

    names: tuple[str, ...]
    """Tags that it gets, as this machine names their registries."""
    repository: str
    """Where its platforms are, without a tag, as this machine names it."""
    title: str
    annotations: dict[str, str] = {}
    """Of the index."""
    package: str = ""
    base: str = ""


class RunTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a completion index builds."""

    image: _Number
    platform: str
    tag: str
    copy: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0


class ClusterRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A build that runs in a cluster."""

    version: int
    name: str
    artifact: str
    """`REPOSITORY@sha256:…`, as this machine names it."""
    tag: str
    """What keeps the artifact in its registry."""
    images: tuple[RunImage, ...]
    tasks: tuple[RunTask, ...]
    verify: bool = False
    memory: str = ""
    """What a pod may take."""

    def encoded(self) -> str:
        """Write it; the same run gives the same text.

        Raises:
            InvalidDocument: it is larger than Kubernetes keeps.
        """
        document = msgspec.json.encode(self, order="deterministic")
        if len(document) > LARGEST:
            raise InvalidDocument(
                "the Job", f"{len(self.tasks)} platforms are too many for one", hint="build fewer services at a time"
            )
        return document.decode()

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Read one, and check that it fits together.

        Args:
            text: the annotation; it may be anything.
            name: what the reader knows it by.

        Raises:
            InvalidDocument: it is none, or of another version.
        """
        hint = "attach with the wherry that began it, or delete the Job"
        if not text:
            raise InvalidDocument(name, "it is not a build of wherry: the annotation is missing", hint=hint)
        try:
            run = from_json(text.encode()[: LARGEST + 1], cls)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise InvalidDocument(name, f"its annotation is not a build of wherry: {error}", hint=hint) from error
        if run.version != VERSION:
            raise InvalidDocument(name, f"a build of version {run.version}; this wherry reads {VERSION}", hint=hint)
        for problem in _problems(run):
            raise InvalidDocument(name, problem, hint=hint)
        return run


def _problems(run: ClusterRun) -> Iterator[str]:
    """Say what does not fit together."""
    if not run.images or not run.tasks or any(task.image >= len(run.images) for task in run.tasks):
        yield "its platforms and images do not fit together"
    if any(not image.names for image in run.images):
        yield "an image has no name"
    # Who attaches deletes these tags with rights of their own, so they can be none but those of this build.
    if run.tag != artifact_tag(run.name):
        yield f"its sources are kept by the tag {run.tag[:100]!r}, which is not one of this build"
    for number, task in enumerate(run.tasks):
        if task.tag != task_tag(run.name, number):
            yield f"platform {number} is kept by the tag {task.tag[:100]!r}, which is not one of this build"
        if not is_platform(task.platform):
            yield f"{task.platform[:100]!r} is not a platform"
    for text in (run.name, run.memory, *(image.title for image in run.images)):
        if not text.isprintable():
            yield f"{text[:100]!r} has control characters"
