"""What the steps of a Dockerfile do, as values: whatever they say can change what comes of them."""

from dataclasses import dataclass
from typing import ClassVar

from wherry.platform import Platform


@dataclass(frozen=True, slots=True)
class CopyFrom:
    """Where a COPY takes files from."""

    kind: str
    """`context`, `stack` (what other steps made), `content`, `http` or `git`."""
    name: str = ""
    """Of a context; empty: the build's own. Of a stack: how many steps of the needs make it. Else the URL."""
    content: str = ""
    """Of a file that stands in the Dockerfile."""
    checksum: str = ""
    keep_git_dir: bool = False


@dataclass(frozen=True, slots=True)
class CopySource:
    """One source of a COPY or ADD."""

    origin: CopyFrom
    path: str
    contents: bool = False
    """Of a folder: its contents, not itself."""
    follow: bool = False
    wildcards: bool = False
    only: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    unpack: bool = False
    """Whether an archive is unpacked."""


@dataclass(frozen=True, slots=True)
class CopyOp:
    """COPY and ADD: put files into a rootfs."""

    op: ClassVar[str] = "copy"

    takings: tuple[CopySource, ...]
    destination: str
    but: tuple[str, ...] = ()
    owner: str = ""
    """`user:group`, by name or number, as the rootfs knows them; empty: unchanged."""
    mode: str = ""
    alone: bool = False
    """`--link`: made without what is below, and put on top of it."""
    mtime: int = -1
    """Nanoseconds since the epoch of what is made; -1: unchanged, or now."""


@dataclass(frozen=True, slots=True)
class MkdirOp:
    """WORKDIR: see to it that a folder is there."""

    op: ClassVar[str] = "mkdir"

    path: str
    owner: str
    mtime: int = -1


@dataclass(frozen=True, slots=True)
class StepMount:
    """What a RUN sees besides its rootfs."""

    kind: str
    """`stack`, `context`, `cache`, `tmpfs`, `secret`, `ssh` or `content`."""
    target: str
    name: str = ""
    """Of a context, a cache, a secret or an agent."""
    source: str = ""
    """What of it is shown."""
    read_only: bool = True
    sharing: str = "shared"
    required: bool = False
    variable: str | None = None
    """Of a secret: the variable that has it."""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    content: str = ""
    stack: int = 0
    """How many steps of the needs make what a stack is, or what a cache begins with."""


@dataclass(frozen=True, slots=True)
class RunOp:
    """RUN: a program in a rootfs."""

    op: ClassVar[str] = "run"

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    folder: str
    user: str
    platform: Platform
    """What it executes on."""
    mounts: tuple[StepMount, ...] = ()
    network: str = "default"
    privileged: bool = False
    hosts: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, int, int], ...] = ()
    shm: int = 0


@dataclass(frozen=True, slots=True)
class LayerOp:
    """Make a layer of what a step changed; it needs that step, then those below it: what they have, it leaves out.

    A step that is made without what is below (COPY --link) needs none: its layer is the same above any other.
    """

    op: ClassVar[str] = "layer"

    algorithm: str
    level: int
    encoder: str
    latest: int = -1
    """Seconds since the epoch that no time may be after; -1: none."""
    rules: int = 2
    """Of what a layer leaves out; raised when the same files give other bytes than before."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of an image's history."""

    words: str
    layer: bool
    """Whether there is a layer of it."""


@dataclass(frozen=True, slots=True)
class StageImageOp:
    """Write an image's config and manifest; it needs the base, then the layers in order."""

    op: ClassVar[str] = "image"

    platform: Platform
    config: str
    """The `config` object, as JSON."""
    author: str
    history: tuple[HistoryEntry, ...]
    base: bool
    """Whether there is a base below; it comes first among what is needed."""
    created: str
    """RFC 3339; empty: when the layers were made."""
    annotations: tuple[tuple[str, str], ...] = ()
