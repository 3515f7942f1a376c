"""What the two halves of a build on Kubernetes write to each other: the recipe, its tasks, and a task's result.

The client puts a recipe into the registry, as the config of an OCI artifact with the sources as its layers. Each pod
does one of its tasks, and leaves the result in its termination message, of which Kubernetes keeps 4096 bytes.
Everyone who can write to the registry, or run a pod, can write such documents: they are checked before they count.

Sources: Kubernetes 1.34, `Container.terminationMessagePath` (4096 bytes) and Indexed Jobs (the completion index);
OCI image-spec v1.1.1, manifest.md "Guidelines for Artifact Usage".
"""

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import msgspec

from wherry.digest import Digest
from wherry.errors import InvalidDocument, WherryError
from wherry.platform import Platform
from wherry.typed import from_json

VERSION: Final = 1
ARTIFACT: Final = "application/vnd.wherry.build.v1+json"
"""Type of the artifact."""
RECIPE: Final = "application/vnd.wherry.build.recipe.v1+json"
CONTEXT: Final = "application/vnd.wherry.context.v1.tar+zstd"
"""Media types of its config and its layers."""
SOURCE_AT_FAULT: Final = 42
"""Exit code of a task that fails again however often it is tried: the sources are wrong."""
MOST_TASKS: Final = 10_000
MOST_CONTEXTS: Final = 1_000
LARGEST_RECIPE: Final = 1 << 20
LARGEST_RESULT: Final = 4096
"""Bytes of a termination message that Kubernetes keeps."""
_CUT: Final = " […]"
_ROOM_OF_HINT: Final = 512
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.@/+-]{1,255}")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9._\[\]:/-]{1,255}")

T = TypeVar("T")
_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Number = Annotated[int, msgspec.Meta(ge=0, lt=MOST_CONTEXTS)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class RecipeCheckout(msgspec.Struct, frozen=True, kw_only=True):
    """What git knows of a build's first context."""

    layer: _Number
    """The layer that has the repository: the commit, its trees and tags, none of its files."""
    path: str = ""
    """Where in the first context the top of the checkout is; empty: at its top."""
    linked: bool = False
    """Whether `.git` is a file there, as in a linked worktree; what Go records depends on it."""


class RecipeBuild(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image that is to be built."""

    name: str
    kind: Literal["go", "dockerfile"]
    repository: str
    """Where its platforms are pushed to, as pods name it: `REGISTRY/PATH`, without a tag."""
    contexts: tuple[_Number, ...]
    """Layers of the artifact; the first is the one that it is built in."""
    options: dict[str, Any]
    """Fields of `GoBuild` or `DockerfileBuild`, as plain JSON; what is not there has its default."""
    folder: str = ""
    """Where in the first context the command was called; empty: at its top."""
    named: dict[str, _Number] = {}
    """Layers that are named contexts of a Dockerfile, by name."""
    environment: dict[str, str] = {}
    """Variables that decide what is built, such as GOFLAGS."""
    cache_from: tuple[str, ...] = ()
    """References of caches; each platform has its own, whose tag ends in its name."""
    cache_to: tuple[str, ...] = ()
    checkout: RecipeCheckout | None = None


class BuildTask(msgspec.Struct, frozen=True, kw_only=True):
    """One platform of one image: what the pod of a completion index does."""

    build: _Count
    """Number of the build in the recipe."""
    platform: str
    tag: str
    """What keeps the manifest in the registry until the index is there."""
    copy: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0
    """1: it is built a second time, for a comparison."""


class BuildRecipe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that pods have to know, but for the sources."""

    version: int
    wherry: str
    """Version of the wherry that wrote it."""
    builds: tuple[RecipeBuild, ...]
    tasks: tuple[BuildTask, ...]
    epoch: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] | None = None
    """SOURCE_DATE_EPOCH, where the client has one."""

    def encoded(self) -> bytes:
        """Write it; the same recipe gives the same bytes."""
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read one, and check that it is whole.

        Args:
            document: its bytes; they may be anything.
            name: what the reader knows it by.

        Raises:
            InvalidDocument: it is no recipe, of another version, or does not fit together.
        """
        if len(document) > LARGEST_RECIPE:
            raise InvalidDocument(name, f"{len(document):,} bytes, too large for a recipe")
        _check_version(document, name, "recipe")
        recipe = _decoded(document, cls, name)
        for problem in recipe.problems():
            raise InvalidDocument(name, problem)
        return recipe

    def task(self, index: int, name: str) -> BuildTask:
        """Give the task of a completion index.

        Raises:
            InvalidDocument: the recipe has no such task.
        """
        if not 0 <= index < len(self.tasks):
            raise InvalidDocument(name, f"has tasks 0 to {len(self.tasks) - 1}, and no task {index}")
        return self.tasks[index]

    def problems(self) -> list[str]:
        """Say what does not fit together."""
        if not self.builds or not 1 <= len(self.tasks) <= MOST_TASKS:
            return [f"{len(self.builds)} builds and {len(self.tasks)} tasks; expected 1 to {MOST_TASKS}"]
        found = [problem for number, one in enumerate(self.builds) for problem in _build_problems(number, one)]
        for number, task in enumerate(self.tasks):
            if task.build >= len(self.builds):
                found.append(f"task {number}: there is no build {task.build}")
            if not _TAG.fullmatch(task.tag):
                found.append(f"task {number}: {task.tag[:100]!r} is not a tag")
            if not is_platform(task.platform):
                found.append(f"task {number}: {task.platform[:100]!r} is not a platform")
        return found


class StepCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many steps of a build came from the cache, and how many were run."""

    cached: _Count = 0
    ran: _Count = 0


class TaskResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a task; one that failed has a fault in place of a digest."""

    version: int
    ok: bool
    task: _Count
    platform: str = ""
    digest: str = ""
    """Of the platform's manifest."""
    size: _Count = 0
    """Bytes of the manifest."""
    pulled: _Count = 0
    """Bytes of its layers, as stored."""
    unpacked: _Count = 0
    """Bytes of its layers, unpacked."""
    seconds: _Seconds = 0.0
    peak: _Count = 0
    """Bytes of memory of the largest process."""
    go: str = ""
    """Such as `go1.26.8`; empty where no Go program was built."""
    steps: StepCounts = StepCounts()
    fault: Literal["", "source", "registry", "machine"] = ""
    message: str = ""
    hint: str = ""

    def encoded(self) -> bytes:
        """Write it in as many bytes as Kubernetes keeps; what is too long of the message is left out."""
        message, hint = _text(self.message), _shortened(_text(self.hint), _ROOM_OF_HINT)
        room = LARGEST_RESULT - len(msgspec.json.encode(msgspec.structs.replace(self, message="x", hint=hint)))
        return msgspec.json.encode(msgspec.structs.replace(self, message=_shortened(message, room), hint=hint))

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read one, and check that it is whole.

        Raises:
            InvalidDocument: it is no result, of another version, or says both that it worked and that it did not.
        """
        if len(document) > LARGEST_RESULT:
            raise InvalidDocument(name, f"{len(document):,} bytes, too large for a result")
        _check_version(document, name, "result")
        result = _decoded(document, cls, name)
        if result.ok == bool(result.fault) or result.ok != bool(result.digest):
            raise InvalidDocument(name, "has to have either a digest or a fault")
        if result.digest:
            try:
                Digest.parse(result.digest)
            except WherryError as error:
                raise InvalidDocument(name, error.message) from error
        if result.ok and not is_platform(result.platform):
            raise InvalidDocument(name, f"{result.platform[:100]!r} is not a platform")
        return result


class _Versioned(msgspec.Struct, frozen=True):
    """Any document of ours."""

    version: int


def _check_version(document: bytes, name: str, what: str) -> None:
    """Refuse another version before anything else of a document is read.

    Raises:
        InvalidDocument: it has none, or one that this release does not know.
    """
    version = _decoded(document, _Versioned, name).version
    if version != VERSION:
        raise InvalidDocument(
            name,
            f"a {what} of version {version}, and this wherry reads version {VERSION}",
            hint="use a builder's image of the same release as the wherry that builds",
        )


def _decoded(document: bytes, shape: type[T], name: str) -> T:
    try:
        return from_json(document, shape)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidDocument(name, str(error) or "is nested too deep") from error


def _build_problems(number: int, build: RecipeBuild) -> list[str]:
    found = []
    if not _NAME.fullmatch(build.name):
        found.append(f"build {number}: {build.name[:100]!r} is not a name")
    if not _REPOSITORY.fullmatch(build.repository):
        found.append(f"build {number}: {build.repository[:100]!r} is not a repository")
    if not build.contexts:
        found.append(f"build {number}: it has no context")
    found += [
        f"build {number}: {path[:100]!r} leaves its context"
        for path in (build.folder, build.checkout.path if build.checkout else "")
        if not stays_inside(path)
    ]
    strangers = _strange(build.environment)
    return found + ([f"build {number}: {strangers[0][:100]!r} is not a variable"] if strangers else [])


def _strange(environment: Mapping[str, str]) -> list[str]:
    return [name for name, value in environment.items() if not name or "=" in name or "\0" in name + value]


def stays_inside(path: str) -> bool:
    """Report whether a relative path, with slashes, names something below where it starts."""
    if not path:
        return True
    return "\0" not in path and not path.startswith("/") and posixpath.normpath(path).split("/")[0] != ".."


def is_platform(text: str) -> bool:
    """Report whether a text is a platform, written as we write it."""
    try:
        return str(Platform.parse(text)) == text
    except WherryError:
        return False


def _text(text: str) -> str:
    """Give a text that JSON can have: bytes of file names that are no UTF-8 are replaced."""
    return text.encode(errors="replace").decode()


def _shortened(text: str, room: int) -> str:
    """Cut a text so that its JSON takes at most so many bytes more than that of one letter."""
    if len(msgspec.json.encode(text)) <= room:
        return text
    fits, too_long = 0, len(text)
    while fits + 1 < too_long:
        middle = (fits + too_long) // 2
        if len(msgspec.json.encode(text[:middle] + _CUT)) <= room:
            fits = middle
        else:
            too_long = middle
    return text[:fits] + _CUT
