"""What a build without cgo leaves out: files that import "C", and packages of which only a stub is left.

Go ignores such files without a word where CGO_ENABLED is 0. Sources: Go 1.26, `go help buildconstraint`; cmd/cgo.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_HEAD = 1 << 16
_SYSTEMS = frozenset(
    [
        "aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "netbsd", "openbsd",
        "plan9", "solaris", "wasip1", "windows",
    ]
)  # fmt: skip
_MACHINES = frozenset(
    [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
        "riscv64", "s390x", "wasm",
    ]
)  # fmt: skip
_CONSTRAINT = re.compile(r"^//go:build (.+)$", re.MULTILINE)
_BODY = re.compile(r"^(func|type|var|const)\b", re.MULTILINE)
_IMPORTS_C = re.compile(r'^\s*(import\s+)?"C"\s*(//.*|;.*)?$', re.MULTILINE)
_TOKEN = re.compile(r"[\w.]+|&&|\|\||!|\(|\)")
_GIVES_UP = re.compile(
    r'"[^"\n]*(?i:requires? cgo|needs cgo|CGO_ENABLED|without cgo|cgo is (?:required|disabled))[^"\n]*"'
)


@dataclass(frozen=True, slots=True)
class Stub:
    """A package that compiles without cgo, and says in its code that it does not work then."""

    import_path: str
    file: str
    words: str
    """The text that a call gives."""


@dataclass(frozen=True, slots=True)
class WithoutCgo:
    """What is missing of a program because cgo is off."""

    files: tuple[str, ...] = ()
    """Files of the user's own modules, absolute, that import "C" and have nothing in their place."""
    replaced: tuple[str, ...] = ()
    """The same, where the package has files for builds without cgo."""
    stubs: tuple[Stub, ...] = ()

    def joined(self, other: "WithoutCgo") -> "WithoutCgo":
        """Put two together."""
        return WithoutCgo((*self.files, *other.files), (*self.replaced, *other.replaced), (*self.stubs, *other.stubs))


def without_cgo(
    import_path: str, folder: Path, go_files: Sequence[str], ignored: Iterable[str], tags: Collection[str], *, own: bool
) -> WithoutCgo:
    """Tell what of one package is missing.

    Args:
        import_path: the package's.
        folder: where its files are.
        go_files: the files that are compiled.
        ignored: the Go files that are not.
        tags: build tags that are set, the system and the architecture among them.
        own: whether it is of the user's own modules.
    """
    lost = [name for name in ignored if name.endswith(".go") and _is_lost(folder / name, tags)]
    if not lost:
        return WithoutCgo()
    instead = [name for name in go_files if "!cgo" in _constraint(_head(folder / name))]
    if own:
        paths = tuple(str(folder / name) for name in lost)
        return WithoutCgo(replaced=paths) if instead else WithoutCgo(files=paths)
    return WithoutCgo(stubs=tuple(_stubs(import_path, folder, instead)))


def tags_of(system: str, machine: str, flags: Iterable[str]) -> frozenset[str]:
    """Name the build tags that are set, cgo among them: what would be chosen if it were on."""
    given = {tag for flag in flags if flag.lstrip("-").startswith("tags=") for tag in flag.partition("=")[2].split(",")}
    return frozenset({system, machine, "gc", "cgo", *(["unix"] if system == "linux" else []), *given})


def holds(constraint: str, tags: Collection[str]) -> bool:
    """Tell whether a `//go:build` expression holds; an empty one does. Release tags (`go1.18`) always do."""
    tokens = _TOKEN.findall(constraint)

    def either() -> bool:
        value = both()
        while tokens and tokens[0] == "||":
            tokens.pop(0)
            value = both() or value
        return value

    def both() -> bool:
        value = one()
        while tokens and tokens[0] == "&&":
            tokens.pop(0)
            value = one() and value
        return value

    def one() -> bool:
        word = tokens.pop(0) if tokens else ""
        if word == "!":
            return not one()
        if word == "(":
            value = either()
            if tokens:
                tokens.pop(0)
            return value
        return word in tags or word.startswith("go1")

    return either() if tokens else True


def _is_lost(file: Path, tags: Collection[str]) -> bool:
    """Tell whether a file would be compiled with cgo: it imports "C", and its name and constraint hold then."""
    words = file.stem.split("_")[1:]
    last = words[-2:] if len(words) > 1 and words[-2] in _SYSTEMS and words[-1] in _MACHINES else words[-1:]
    if words[-1:] == ["test"] or any(word not in tags for word in last if word in _SYSTEMS | _MACHINES):
        return False
    head = _head(file)
    return bool(_IMPORTS_C.search(_BODY.split(head, maxsplit=1)[0])) and holds(_constraint(head), tags)


def _stubs(import_path: str, folder: Path, names: Iterable[str]) -> Iterator[Stub]:
    for name in names:
        if said := _GIVES_UP.search(_head(folder / name)):
            yield Stub(import_path, name, said[0].strip('"'))


def _constraint(head: str) -> str:
    found = _CONSTRAINT.search(head)
    return found[1] if found else ""


def _head(file: Path) -> str:
    try:
        with file.open("rb") as start:
            return start.read(_HEAD).decode(errors="replace")
    except OSError:
        return ""
