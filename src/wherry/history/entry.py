"""What one call of wherry leaves in the history: figures, as one line of JSON.

The same lines are in the journal, in exports and in artifacts, so all that is read is checked the same way: lengths,
ranges and counts are limited, and text is only text.
"""

from typing import Annotated, Final

import msgspec

from wherry.typed import from_json

Name = Annotated[str, msgspec.Meta(max_length=512)]
Word = Annotated[str, msgspec.Meta(max_length=128)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Span = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""Seconds that something took."""
Moment = Annotated[float, msgspec.Meta(ge=0, le=253402300799)]
"""Seconds since the epoch, UTC."""

LARGEST: Final = 1 << 18
"""Bytes of a line."""
REASONS: Final = 8
STEPS: Final = 200
PACKAGES: Final = 50
REQUIRED: Final = 300
"""Modules of go.mod that are kept."""
_PLACEHOLDER: Final = "0" * 16


class _Figures(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What all parts have in common; unknown keys are ignored, so that a newer wherry may write more."""


class StepFigures(_Figures, frozen=True, kw_only=True):
    """One step of a build."""

    name: Name
    cached: bool = False
    seconds: Span = 0.0
    reasons: Annotated[tuple[Name, ...], msgspec.Meta(max_length=REASONS)] = ()
    """Why it was not cached."""


class LayerFigures(_Figures, frozen=True, kw_only=True):
    """One layer of an image."""

    digest: Name
    pulled: Count
    unpacked: Count | None = None
    """None where it was not at hand."""
    own: bool = False
    """Whether it is above the base."""


class PackageFigures(_Figures, frozen=True, kw_only=True):
    """What one package takes of a program."""

    path: Name
    bytes: Count


class ImageFigures(_Figures, frozen=True, kw_only=True):
    """One platform of an image."""

    name: Name
    """Its first tag."""
    digest: Name
    """Of its manifest."""
    root: Name = ""
    """Of the index, where it has several platforms."""
    platform: Word = ""
    pulled: Count | None = None
    layers: Annotated[tuple[LayerFigures, ...], msgspec.Meta(max_length=256)] = ()
    program: Count | None = None
    """Bytes of the Go program."""
    base: Name = ""
    packages: Annotated[tuple[PackageFigures, ...], msgspec.Meta(max_length=PACKAGES)] = ()


class BudgetFigures(_Figures, frozen=True, kw_only=True):
    """One budget, and what was measured."""

    what: Name
    limit: Count
    actual: Annotated[int, msgspec.Meta(ge=-(1 << 53), le=1 << 53)]
    ok: bool
    image: Name = ""
    platform: Word = ""


class ScanFigures(_Figures, frozen=True, kw_only=True):
    """What a scan found."""

    symbol: Count = 0
    """Findings with a vulnerable function linked."""
    package: Count = 0
    module: Count = 0
    programs: Count = 0
    """Go programs and lists of packages that were scanned."""
    unscanned: Count = 0
    others: Count = 0
    """Programs that were not built by Go: nothing is said of them."""
    age: Span | None = None
    """Seconds since the database was changed."""


class ContainerFigures(_Figures, frozen=True, kw_only=True):
    """How a container of a cluster ended, or how often it was restarted."""

    pod: Name
    container: Name
    restarts: Count = 0
    reason: Word = ""
    """Why it ended last, such as `OOMKilled`; empty where it never did."""
    node: Name = ""
    code: Annotated[int, msgspec.Meta(ge=-(1 << 31), le=1 << 31)] | None = None
    """The exit code."""
    limit: Count | None = None
    """Bytes of memory that it might use."""


class NodePullFigures(_Figures, frozen=True, kw_only=True):
    """An image that a node of a cluster pulled for a container, or had already."""

    pod: Name
    container: Name = ""
    node: Name = ""
    seconds: Span = 0.0
    waiting: Span | None = None
    """Seconds with those spent waiting for other pulls of the node."""
    size: Count | None = None
    """Bytes, by the container runtime's count."""
    present: bool = False
    """It was on the node: nothing was pulled."""


class PodStartFigures(_Figures, frozen=True, kw_only=True):
    """A pod of a cluster that got ready: seconds since it was created."""

    pod: Name
    node: Name = ""
    scheduled: Span | None = None
    initialized: Span | None = None
    started: Span = 0.0
    """Until its last container ran."""
    ready: Span = 0.0


class KubeletPullFigures(_Figures, frozen=True, kw_only=True):
    """Pulls of a size that a kubelet counted."""

    size: Word
    """As the kubelet names it, such as `10MB-100MB`."""
    count: Count
    seconds: Span


class KubeletFigures(_Figures, frozen=True, kw_only=True):
    """What a kubelet counted since it started."""

    node: Name
    began: Moment
    pulls: Annotated[tuple[KubeletPullFigures, ...], msgspec.Meta(max_length=64)] = ()


class CallFigures(_Figures, frozen=True, kw_only=True):
    """One call. `id` and `at` come first: see `replayed`."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16,64}$")]
    at: Moment
    """When it ended."""
    command: Annotated[str, msgspec.Meta(pattern=r"^[a-z-]{1,32}$")]
    machine: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{0,32}$")] = ""
    """Random name of the history it was recorded in; empty in that one's own journal."""
    seconds: Span = 0.0
    ok: bool = True
    error: Name = ""
    subject: Name = ""
    """What it was about, where that is no image."""
    unchanged: bool = False
    images: Annotated[tuple[ImageFigures, ...], msgspec.Meta(max_length=256)] = ()
    steps: Annotated[tuple[StepFigures, ...], msgspec.Meta(max_length=STEPS)] = ()
    hits: Count = 0
    """Steps that were cached."""
    misses: Count = 0
    sent: Count | None = None
    """Bytes that a push or a pull moved."""
    cpu: Span = 0.0
    """Seconds of processor time of wherry's own process."""
    memory: Count = 0
    """Most bytes of memory that it had at once."""
    compiler_cpu: Span = 0.0
    """The same of the programs that it started."""
    compiler_memory: Count = 0
    """Of the largest of them."""
    start: Span | None = None
    """Seconds until the image listened or answered."""
    revision: Word = ""
    modified: bool = False
    branch: Name = ""
    go: Word = ""
    requires: Annotated[dict[Name, Word], msgspec.Meta(max_length=REQUIRED)] = {}
    """Versions of go.mod."""
    budgets: Annotated[tuple[BudgetFigures, ...], msgspec.Meta(max_length=256)] = ()
    findings: Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)] = ()
    scan: ScanFigures | None = None
    container: ContainerFigures | None = None
    node_pull: NodePullFigures | None = None
    pod_start: PodStartFigures | None = None
    kubelet: KubeletFigures | None = None

    @classmethod
    def parse(cls, line: bytes) -> "CallFigures":
        """Read a line.

        Raises:
            msgspec.DecodeError: it is not such a line; the message has the path of the wrong key.
        """
        return from_json(line, cls)

    def encoded(self) -> bytes:
        """Write a line, without its end; a surrogate, which JSON in UTF-8 cannot have, becomes an escape."""
        return msgspec.json.encode(self)


_HEAD: Final = msgspec.json.encode({"id": _PLACEHOLDER, "at": 0.0})[:-1] + b","


def replayed(entry: CallFigures) -> str:
    """Give what a replay of a call writes behind its own id, moment and seconds, see `append.line_of`."""
    again = msgspec.structs.replace(
        entry, id=_PLACEHOLDER, at=0.0, seconds=0.0, unchanged=True, steps=(), misses=0, sent=None, cpu=0.0, memory=0,
        compiler_cpu=0.0, compiler_memory=0, start=None, requires={}, findings=(), hits=entry.hits + entry.misses,
        images=tuple(msgspec.structs.replace(one, layers=(), packages=()) for one in entry.images),
        scan=msgspec.structs.replace(entry.scan, age=None) if entry.scan else None,
    )  # fmt: skip
    return again.encoded().removeprefix(_HEAD).decode()


def text(words: str, most: int = 512) -> str:
    """Shorten a text to what a line takes, and make it one that UTF-8 can write."""
    words = words.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return words if len(words) <= most else f"{words[: most - 1]}…"
