"""What `wherry deps` says of programs, as a document: what `--json` prints.

`docs/reference/deps.md` describes the schema; a change of what is there raises its number. Sizes are bytes.
"""

import msgspec

from wherry.analysis.deps.trace_document import TraceDocument

SCHEMA = "wherry.deps/1"


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """What all parts of the document have in common."""


class NeededFile(_Document, frozen=True, kw_only=True):
    """An interpreter, and where it is."""

    name: str
    """As the program has it."""
    path: str = ""
    """Where it is, links followed; empty: missing."""


class NeededLibrary(_Document, frozen=True, kw_only=True):
    """A library of the closure."""

    name: str
    path: str = ""
    """Where the loader finds it; empty: missing."""
    by: str = ""
    """`rpath`, `runpath`, `LD_LIBRARY_PATH`, `ld.so.cache`, `system`, `path`, `interpreter`, `loaded`."""
    needed_by: str
    problem: str = ""


class MissingVersion(_Document, frozen=True, kw_only=True):
    """A symbol version that the library which is there does not define."""

    library: str
    path: str
    version: str
    needed_by: str
    weak: bool
    """Whether the program starts without it."""


class AskedFile(_Document, frozen=True, kw_only=True):
    """What packages linked into a Go program can ask for."""

    kind: str
    functions: tuple[str, ...]
    """Those that are linked, which ask for it."""
    state: str
    """`there`, `embedded`, `missing`, or `unknown` (nothing that a name could be looked for by)."""
    path: str = ""
    """The first that is there."""
    effect: str
    """What happens without it."""
    matters: bool
    """Whether that is an error for the caller."""


class ProgramDeps(_Document, frozen=True, kw_only=True):
    """An executable file."""

    path: str
    kind: str
    """`static`, `dynamic`, `script`, `broken`; or `library`: no program is linked with it, and it cannot be loaded."""
    entry: bool = False
    """Whether a container starts it."""
    architecture: str = ""
    go: str = ""
    """The Go version."""
    libc: str = ""
    """`glibc` or `musl`, of a dynamic program."""
    interpreters: tuple[NeededFile, ...] = ()
    """What loads or starts it."""
    libraries: tuple[NeededLibrary, ...] = ()
    versions: dict[str, str] = {}
    """The newest version that is asked of each library, such as `libc.so.6`: `GLIBC_2.34`."""
    missing_versions: tuple[MissingVersion, ...] = ()
    asks: tuple[AskedFile, ...] = ()
    notes: tuple[str, ...] = ()


class DepsFinding(_Document, frozen=True, kw_only=True):
    """One judgement, as `wherry.finding.Finding`."""

    rule: str
    severity: str
    place: str
    message: str
    evidence: tuple[str, ...]
    remedy: str


class BaseOption(_Document, frozen=True, kw_only=True):
    """A base of wherry's, and what the program would lack on it."""

    name: str
    pulled: int
    unpacked: int
    starts: bool
    breaks: tuple[str, ...]
    """What fails on it, if the program uses what is linked."""
    lacks: tuple[str, ...]
    """What is not there, without an error for the caller."""


class BaseAdvice(_Document, frozen=True, kw_only=True):
    """Which base fits the program that a container starts."""

    program: str
    base: str = ""
    """The smallest on which nothing breaks; empty where none of them fits."""
    why: str
    options: tuple[BaseOption, ...]
    asked: tuple[str, ...] = ()
    """Kinds of files that the program did ask for in a traced run, of those that linked packages can ask for."""
    traced_base: str = ""
    """The smallest base that has all it did ask for; only of a traced run."""


class PlatformDeps(_Document, frozen=True, kw_only=True):
    """All programs of an image of one platform, or a file."""

    platform: str
    programs: tuple[ProgramDeps, ...]
    findings: tuple[DepsFinding, ...]
    advice: BaseAdvice | None = None
    trace: TraceDocument | None = None
    """Of a traced run."""


class DepsDocument(_Document, frozen=True, kw_only=True):
    """What programs need at run time."""

    schema: str = SCHEMA
    name: str
    digest: str = ""
    """Of the manifest or index; empty for a file."""
    platforms: tuple[PlatformDeps, ...]
