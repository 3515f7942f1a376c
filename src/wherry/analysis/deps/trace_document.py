"""What a traced run of an image showed, as a document: `trace` in what `wherry deps --trace --json` prints.

`docs/reference/deps.md` describes it. Sizes are bytes, times seconds.
"""

import msgspec


class _TracePart(msgspec.Struct, frozen=True, kw_only=True):
    """What all parts of the document have in common."""


class TracedFile(_TracePart, frozen=True, kw_only=True):
    """A path that was asked for."""

    path: str
    real: str = ""
    """The file of the image that it names, links followed; empty: none, or the same."""
    program: str
    """Who asked first."""
    count: int
    error: str = ""
    """Such as `ENOENT`; empty where it worked."""
    declared: str = ""
    """What declares it: `program`, `interpreter`, `library`, or a kind of file that linked packages ask for."""
    given: str = ""
    """`runtime` or `mount`: it is not the image's, but what a container is given."""


class TracedSocket(_TracePart, frozen=True, kw_only=True):
    """An address that was used."""

    use: str
    address: str
    program: str
    count: int
    error: str = ""


class TracedProbe(_TracePart, frozen=True, kw_only=True):
    """A probe, and what came of it."""

    probe: str
    answered: bool
    answer: str
    tries: int


class UnopenedFile(_TracePart, frozen=True, kw_only=True):
    """What a program that ran declares, and nothing opened."""

    path: str
    declared: str
    program: str


class UnusedGroup(_TracePart, frozen=True, kw_only=True):
    """Files of one kind or folder that the run had no use for."""

    name: str
    files: int
    bytes: int


class UnusedFiles(_TracePart, frozen=True, kw_only=True):
    """Files that were neither opened nor can be reached from what was."""

    files: int
    bytes: int
    of_files: int
    """All files of the image."""
    of_bytes: int
    groups: tuple[UnusedGroup, ...]
    """The largest first."""


class TraceDocument(_TracePart, frozen=True, kw_only=True):
    """A run, and how it compares with what is declared."""

    argv: tuple[str, ...]
    ended_by: str
    """`exit`, `probes`, `listening`, `time` or `interrupt`."""
    code: int
    seconds: float
    killed: bool
    """Whether it had to be killed, since it did not end when it was asked to."""
    whole: bool
    """Whether the trace lasted until the program's end."""
    processes: int
    left: int
    """Processes that still ran when the first one ended, and so ended with it."""
    probes: tuple[TracedProbe, ...] = ()
    executed: tuple[TracedFile, ...] = ()
    opened: tuple[TracedFile, ...] = ()
    """Once each, in the order of the first time; files that it made are in `made`."""
    made: tuple[TracedFile, ...] = ()
    missing: tuple[TracedFile, ...] = ()
    """Asked for and not there, the last first."""
    refused: tuple[TracedFile, ...] = ()
    libraries: tuple[str, ...] = ()
    """Shared libraries that were loaded, by their real paths."""
    sockets: tuple[TracedSocket, ...] = ()
    signals: dict[str, int] = {}
    calls: tuple[str, ...] = ()
    """System calls that were made; only where they were traced."""
    unopened: tuple[UnopenedFile, ...] = ()
    """Declared and never opened."""
    undeclared: tuple[str, ...] = ()
    """Files of the image that were opened and that nothing declares."""
    unused: UnusedFiles | None = None
    dropped: int = 0
    """Paths that were not kept, since there were too many."""
    output: str = ""
    """The end of what the program printed."""
    printed: int = 0
