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
    """Go on without a user namespace where none is available (root may)."""


class HostMount(TypedDict):
    """A file or folder of the host, seen in the sandbox too."""

    source: str
    destination: str
    read_only: bool
    provided: bool
    """Given by us, not asked for: left out where it can't be put."""


class Emulator(TypedDict):
    """A program that runs another processor's programs."""

    path: str
    """Empty: the kernel holds one for all of the machine, and that one is used."""
    magic: bytes
    mask: bytes


class Mount(TypedDict):
    """What a step of a build sees besides its rootfs; gone with the step, but for what a folder of the host keeps."""

    kind: str
    """`content` (a file of these bytes), `tmpfs`, `folder` (of the host) or `stack` (folders of layers, joined)."""
    destination: str
    """Absolute; made where it is missing, and taken away afterwards if nothing was put there."""
    read_only: bool
    content: bytes
    source: str
    """Of a folder: where on the host."""
    layers: list[str]
    """Of a stack: its folders, base first. What is written to it is thrown away."""
    inner: str
    """What of a folder or stack is shown: a path in it."""
    mode: int
    uid: int
    gid: int
    size: int
    """Most bytes of a tmpfs; 0: half of the memory."""
    provided: bool
    """Given by us, not asked for: left out where it can't be put."""


class Uplink(TypedDict):
    """A program that connects a network namespace in user mode."""

    kind: str
    """`pasta` or `slirp4netns`."""
    program: str
    """Its path."""
    forward: str
    """The address at which it answers for the host's name server; empty: at none."""
    resolv_conf: bytes
    """What a container in the namespace has as its /etc/resolv.conf; empty: as the job says."""
    ports: list[str]
    """Of the host, each as pasta's `-t` has it: ADDRESS/PORT:PORT."""
    required: bool
    """Fail where it can't connect; else the host's network is shared."""


class Group(TypedDict):
    """A control group to be made, which limits what a container takes."""

    what: str
    """What it limits, for people: `the number of processes`."""
    parents: list[str]
    """Folders in which one may be made, best first."""
    controllers: list[str]
    """Such as `memory`."""
    unified: bool
    """Whether it is one of version 2."""
    files: list[tuple[str, bytes]]
    """Limits: names of files in it, and what is written to them."""
    optional: list[tuple[str, bytes]]
    """The same of files that some kernels lack."""
    required: bool
    """Fail where none can be made."""


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
    volumes: list[HostMount]
    emulator: Emulator | None
    terminal: bool
    writable: str
    """The folder that has `tree` and `work`, which take what is written; empty: nothing of it is kept."""
    own_tmp: bool
    """Whether an empty /tmp covers the image's."""
    mounts: list[Mount]
    privileges: str
    """`usual`, or `all`: as root, no capability is taken away, no call is refused and no path is hidden."""
    capabilities: list[int]
    """The most that any program may have; those of user 0 from the start."""
    no_new_privileges: bool
    """No exec gives more than the process has: set-uid bits and file capabilities do nothing."""
    seccomp: str | bytes
    """`usual`, `unconfined`, or a filter as `struct sock_filter`s."""
    socketcall: bool
    """Whether the usual filter leaves this call to 32-bit programs of 386."""
    network: str
    """`own`: a namespace that `uplink` connects; `shared`: the host's, with packet, raw, audit and abstract sockets
    refused; `host`: the host's; `none`."""
    uplink: Uplink | None
    shared: str
    """Why the host's network is shared; for people."""
    control: list[Group]
    """What setrlimit(2) does not limit: the number of root's processes, memory, processors."""
    shm: int
    """Most bytes of /dev/shm; 0: half of the memory."""
    owners: NotRequired[str]
    """What chown does where there is one id: `answered` as if there were all, `ignored`, or it fails."""
    limits: list[tuple[int, int, int]]
    """setrlimit(2): resource, soft and hard limit."""
    trace: NotRequired[str]
    """What a tracer reports of the program and all that it starts: `files` (and sockets), or `calls` (every system call
    once, too); `probes`: nothing, but sockets for probes are handed out, as they are with the others; missing: nothing.
    What it says comes through a pipe that is handed over with the event `traced`."""
    few_devices: NotRequired[bool]
    """/dev has null and zero, no terminals, no shared memory, and takes no more."""
    handles: NotRequired[bool]
    """Whether descriptors of the program and its namespaces are handed over, by which `Enter` finds them."""


class Attach(TypedDict):
    """`attach`: trace a process that runs already, or a command, until its end, a message or the end of the line."""

    task: Literal["attach"]
    process: int
    """0: it is a command."""
    program: str
    """Its file."""
    argv: list[str]
    environment: dict[str, str]
    folder: str
    mask: int
    """Its umask."""
    pipes: NotRequired[bool]
    """Whether broken pipes are traced, in place of files and sockets."""


class TraceEvent(TypedDict):
    """What a tracer saw, as it writes it to its pipe, one after the other."""

    at: int
    """Nanoseconds since the trace began."""
    process: int
    """Its id, as the program itself knows it."""
    program: str
    """What it executed last."""
    call: NotRequired[str]
    """The name of the system call."""
    path: NotRequired[str]
    """Absolute where the working directory could be read; with lone surrogates for bytes that are not UTF-8."""
    flags: NotRequired[int]
    """Of a file that is opened."""
    result: NotRequired[int]
    """What the call gave; below 0 the negative error number."""
    descriptor: NotRequired[int]
    """Of a call about a socket."""
    address: NotRequired[bytes]
    """Of a call about a socket: `struct sockaddr`."""
    idle: NotRequired[int]
    """Nanoseconds since the descriptor last had bytes."""
    executed: NotRequired[str]
    """The file that runs now; for a script its interpreter."""
    signal: NotRequired[int]
    sender: NotRequired[int]
    """The process that sent the signal; 0: the kernel."""
    exit: NotRequired[int]
    """The process ended with this code; below 0 a signal killed it."""
    left: NotRequired[int]
    """Processes that still ran when the first one ended, which ends the trace."""
    seen: NotRequired[tuple[int, int]]
    """A system call for the first time: AUDIT_ARCH_… and number."""


class Serve(TypedDict):
    """`serve`: do jobs, each in a process of its own, until the caller is gone."""

    task: Literal["serve"]
    ids: Ids | None
    isolation: str
    """`auto`, `userns` or `chroot`."""


class FileOwner(TypedDict):
    """The owner of a file."""

    uid: int
    gid: int


class SourceTree(TypedDict):
    """Where files are copied from."""

    kind: str
    """`folder` (of the host: everything is root's) or `stack` (folders of layers, joined)."""
    folder: str
    layers: list[str]
    left_out: list[str]
    """Of a folder: paths in it that are not there for us, the topmost only."""


class CopySpec(TypedDict):
    """One source of a COPY."""

    action: Literal["copy"]
    origin: SourceTree
    path: str
    """In the origin; with wildcards if `wildcards`."""
    destination: str
    """In the rootfs, absolute; a slash at its end means a folder."""
    contents: bool
    """Of a folder: its contents, not itself."""
    follow: bool
    """Whether a link that the path points to is followed."""
    wildcards: bool
    only: list[str]
    """Patterns of what is copied of a folder; empty: all."""
    but: list[str]
    """Patterns of what is not."""
    required: list[str]
    """Paths in the origin that have to be there."""
    mode: str
    """Octal, or as chmod has it; empty: unchanged."""
    owner: FileOwner | None
    """None: unchanged in a stack, root in a folder."""
    mtime: int
    """Nanoseconds since the epoch that everything gets; -1: unchanged."""


class MakeFolder(TypedDict):
    """A folder, with those above it."""

    action: Literal["folder"]
    path: str
    mode: int
    owner: FileOwner | None
    mtime: int


class Extract(TypedDict):
    """An archive, whose frames are next in the stream."""

    action: Literal["extract"]
    destination: str
    owner: FileOwner | None


class ChangeFiles(TypedDict):
    """`change`: files put into a rootfs."""

    task: Literal["change"]
    ids: Ids | None
    stage: str
    """An empty folder."""
    layers: list[str]
    writable: str
    overlay: bool
    actions: list[CopySpec | MakeFolder | Extract]


class Measure(TypedDict):
    """`measure`: hash what copies would take, and how it is; no times."""

    task: Literal["measure"]
    ids: Ids | None
    stage: str
    copies: list[CopySpec]


class DiffTar(TypedDict):
    """`tar`: write one layer's tar to standard output."""

    task: Literal["tar"]
    ids: Ids | None
    folder: str
    """The layer."""
    below: list[str]
    latest: int
    """Seconds since the epoch that no time may be after; -1: none."""


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


class Weigh(TypedDict):
    """`weigh`: say what folders take on the disk."""

    task: Literal["weigh"]
    ids: Ids | None
    folders: list[str]


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


class LauncherEvent(TypedDict):
    """What the launcher says: `error` ends it, `notice` is for people, `done` has what unpacking found."""

    error: NotRequired[str]
    code: NotRequired[int]
    """The exit code that goes with the error."""
    stage: NotRequired[str]
    """Where the error was: namespace, mount, image, exec, layer, limit or disk."""
    notice: NotRequired[str]
    started: NotRequired[bool]
    """The program itself was started."""
    terminal: NotRequired[bool]
    """A descriptor comes with this event: the master of the sandbox's terminal."""
    depends: NotRequired[bool]
    bytes: NotRequired[int]
    hash: NotRequired[str]
    weights: NotRequired[list[int]]
    """Bytes that folders take, in the order they were asked for."""
    traced: NotRequired[bool]
    """A descriptor comes with this event: the pipe through which a tracer reports."""
    socket: NotRequired[bool]
    """A descriptor comes with this event: a socket in the container's network, as was asked for."""
    handle: NotRequired[str]
    """A descriptor comes with this event: `process`, or a namespace: `user`, `mnt`, `pid`, `net`, `uts`, `ipc`."""
    executed: NotRequired[bool]
    """The program runs, of a container with handles."""
    groups: NotRequired[list[str]]
    """Folders of the container's control groups."""
    killed: NotRequired[int]
    """Processes that were killed at the limit of memory, once the container ended."""
    ended: NotRequired[int]
    """A job of the forkserver ended with this code."""
