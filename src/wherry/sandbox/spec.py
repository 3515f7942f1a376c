"""What the launcher is asked, and what it answers: plain documents, so that it needs no library to read them.

They go through pipes as `marshal` writes them (both ends are the same interpreter), and never through
argv or the environment, which others can read. `line.py` says on which descriptors.
"""

from typing import Literal, NotRequired, TypedDict


class Ids(TypedDict):
    """Which users the sandbox has: runs of (id inside, id outside, how many)."""

    uids: list[tuple[int, int, int]]
    gids: list[tuple[int, int, int]]
    mappers: list[str]
    """Paths of newuidmap and newgidmap; empty where the launcher may write the maps itself."""
    single: bool
    """Only the caller's own id is there, as root: owners can't be kept, nor groups changed. A program of another user
    gets a namespace inside this one, in which that id has the number it wants."""
    optional: bool
    """Go on without a user namespace where none can be had (root may)."""


class Volume(TypedDict):
    """A file or folder of the host, seen in the sandbox too."""

    source: str
    destination: str
    read_only: bool
    provided: bool
    """Given by us, not asked for: left out where it can't be put."""


class Emulator(TypedDict):
    """A program that runs another processor's programs."""

    path: str
    magic: bytes
    mask: bytes


class Container(TypedDict):
    """`run`: one process in a rootfs, with everything below it."""

    task: Literal["run"]
    ids: Ids | None
    stage: str
    """An empty folder; what is mounted on it is only seen by the sandbox."""
    layers: list[str]
    """Folders of unpacked layers, base first."""
    overlay: bool
    """False: copy the layers together instead (for kernels without overlays for users)."""
    read_only: bool
    argv: list[str]
    environment: dict[str, str]
    folder: str
    """The working directory; made where it is missing."""
    uid: int
    gid: int
    groups: list[int]
    hostname: str
    """Empty: the host's."""
    volumes: list[Volume]
    emulator: Emulator | None
    terminal: bool


class Unpack(TypedDict):
    """`unpack`: frames to the folder of one layer."""

    task: Literal["unpack"]
    ids: Ids | None
    into: str
    trash: str
    below: list[str]


class Delete(TypedDict):
    """`delete`: folders with all that is in them."""

    task: Literal["delete"]
    ids: Ids | None
    folders: list[str]
    trash: str


class Frame(TypedDict):
    """One entry of a layer; the bytes of a file follow it, in as many frames of raw bytes as `size` asks."""

    path: str
    kind: str
    """file, folder, symlink, hardlink, fifo, whiteout (path is what is deleted) or opaque (path is the folder)."""
    mode: int
    uid: int
    gid: int
    mtime: int
    """Nanoseconds since the epoch."""
    size: int
    target: str
    """Where a link points."""
    attributes: dict[str, bytes]


class Event(TypedDict):
    """What the launcher says: `error` ends it, `notice` is for people, `done` has what unpacking found."""

    error: NotRequired[str]
    code: NotRequired[int]
    """The exit code that goes with the error."""
    stage: NotRequired[str]
    """Where the error was: namespace, mount, image, exec, layer or disk."""
    notice: NotRequired[str]
    started: NotRequired[bool]
    """The program itself was started."""
    terminal: NotRequired[bool]
    """A descriptor comes with this event: the master of the sandbox's terminal."""
    depends: NotRequired[bool]
    bytes: NotRequired[int]
