"""`go build`, reproducibly: which flags, and why.

- `-trimpath`: no path of the build machine, so two folders give one program.
- `-ldflags=-s`: no symbol table and no DWARF (it implies `-w` from Go 1.20 on); the tables that tracebacks
  need stay. The build ID stays too: 36 bytes that profilers and symbol stores look for.
- `CGO_ENABLED=0`: one file that needs no library.
- `-buildvcs`: only where the program reads what it would record (`debug.ReadBuildInfo` is linked): else each commit
  would make another program of the same sources.

Sources: Go 1.26, `go help build`, `go help buildconstraint`, `go tool link -help`.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidUsage, WherryError
from wherry.source.inputs import InputKind


class CompileFailed(WherryError):
    """The compiler or the linker said no; the message has its own words."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True)
class GoFlags:
    """What the user wants of the compiler and the linker."""

    ldflags: str = ""
    """Added to our `-s`."""
    gcflags: str = ""
    asmflags: str = ""
    tags: tuple[str, ...] = ()
    mod: str = ""
    """`readonly`, `vendor` or `mod`; empty: as Go chooses."""
    strip: bool = True
    strip_buildid: bool = False
    trimpath: bool = True
    pie: bool = False
    public: tuple[str, ...] = ()
    """Variables that `-X` in `ldflags` sets to what is public anyway; the image names values of no others."""
    secrets_allowed: bool = False
    """Whether `-X` may set what looks like a secret."""
    places: tuple[tuple[str, str], ...] = ()
    """Flags that a file sets, by name, and what the reader knows that place by."""

    def place(self, name: str) -> str:
        """Give what the reader knows a flag by, such as `--ldflags` or `.ko.yaml: ldflags`."""
        return dict(self.places).get(name, f"--{name}")

    def arguments(self) -> tuple[str, ...]:
        """Write them as arguments of `go build`."""
        linker = " ".join(
            filter(None, ("-s" if self.strip else "", "-buildid=" if self.strip_buildid else "", self.ldflags))
        )
        return tuple(
            filter(
                None,
                (
                    "-trimpath" if self.trimpath else "",
                    "-buildmode=pie" if self.pie else "",
                    f"-ldflags={linker}" if linker else "",
                    f"-gcflags={self.gcflags}" if self.gcflags else "",
                    f"-asmflags={self.asmflags}" if self.asmflags else "",
                    f"-tags={','.join(self.tags)}" if self.tags else "",
                    f"-mod={self.mod}" if self.mod else "",
                ),
            )
        )


_HARMLESS = frozenset(
    [
        "a",
        "asan",
        "asmflags",
        "buildmode",
        "buildvcs",
        "compiler",
        "gcflags",
        "installsuffix",
        "json",
        "ldflags",
        "mod",
        "modcacherw",
        "modfile",
        "msan",
        "n",
        "overlay",
        "p",
        "pgo",
        "race",
        "tags",
        "trimpath",
        "v",
        "work",
        "x",
    ]
)
"""Flags of `go build` that read no file, or files that `flag_inputs` names."""
_LINKER = re.compile(
    r"-{1,2}(s|w|B|X|buildid|c|compressdwarf|checklinkname|d|dumpdep|funcalign|H|R|T|v|linkmode=internal|buildmode|"
    r"race|bindnow|debugtramp|randlayout|strictdups)(=|$)"
)
_COMPILER = re.compile(
    r"-{1,2}(B|C|E|K|L|N|S|W|d|dwarf|dwarflocationlists|e|j|l|lang|m|race|shared|smallframes|spectre|std|v|w|wb)"
    r"(=|[0-9+-]|$)"
)


def no_inline_flags(patterns: Iterable[str]) -> tuple[str, ...]:
    """Write the flags that compile packages without inlining; they go first, for the last that matches counts."""
    return tuple(f"-gcflags={pattern}=-l" for pattern in patterns)


def words_of(goflags: str) -> tuple[str, ...]:
    """Split GOFLAGS as cmd/go does: at spaces, with quotes around words.

    Raises:
        InvalidUsage: a quote is not closed.
    """
    try:
        return tuple(shlex.split(goflags))
    except ValueError as error:
        raise InvalidUsage(
            f"GOFLAGS: {error}", hint="close the quote in GOFLAGS (`go env GOFLAGS` shows it)"
        ) from error


def merged(flags: Sequence[str], goflags: Sequence[str]) -> tuple[str, ...]:
    """Join ours with the user's GOFLAGS where ours, on the command line, would take the place of theirs."""
    ours = dict(_split(flag) for flag in flags)
    for flag in goflags:
        name, value = _split(flag)
        if name == "ldflags" and "ldflags" in ours:
            ours["ldflags"] = f"{value} {ours['ldflags']}".strip()
        elif name == "tags" and "tags" in ours:
            ours["tags"] = ",".join(dict.fromkeys(filter(None, (*value.split(","), *ours["tags"].split(",")))))
    return tuple(f"-{name}={value}" if value else f"-{name}" for name, value in ours.items())


def with_symbols(flags: Sequence[str], build_id: str) -> tuple[str, ...]:
    """Change flags so that symbols and DWARF stay, and the GNU build ID is one that is known."""
    given = dict(_split(flag) for flag in flags)
    linker = [word for word in shlex.split(given.pop("ldflags", "")) if word.lstrip("-") not in {"s", "w"}]
    if build_id:
        linker += ["-B", f"0x{build_id}"]
    kept = tuple(f"-{name}={value}" if value else f"-{name}" for name, value in given.items())
    return (*kept, f"-ldflags={shlex.join(linker)}") if linker else kept


def listing_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """Choose the flags that decide which files count."""
    return tuple(
        flag for flag in flags if _split(flag)[0] in {"tags", "mod", "modfile", "overlay", "race", "msan", "asan"}
    )


def unknown_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """Name the flags that may make the build read what we don't know of; with one, `go build` always runs."""
    unknown = []
    for flag in flags:
        name, value = _split(flag)
        match name:
            case "ldflags":
                unknown += _words_unlike(value, _LINKER, takes_value={"-X", "--X", "-B", "-H", "-R", "-T"})
            case "gcflags" | "asmflags":
                unknown += _words_unlike(value.partition("=")[2] if re.match(r"[^-\s]", value) else value, _COMPILER)
            case _ if name not in _HARMLESS:
                unknown.append(flag)
    return tuple(unknown)


def flag_inputs(flags: Sequence[str], package: Path) -> Iterator[tuple[str, InputKind]]:
    """Name the files that flags make the build read."""
    yield str(package / "default.pgo"), InputKind.FILE
    for flag in flags:
        name, value = _split(flag)
        if name in {"pgo", "overlay", "modfile"} and value not in {"", "auto", "off"}:
            named = package / value
            yield str(named), InputKind.FILE
            if name == "modfile":
                yield str(named.with_suffix(".sum")), InputKind.FILE
            if name == "overlay":
                yield from _overlaid(named)


def _overlaid(overlay: Path) -> Iterator[tuple[str, InputKind]]:
    import msgspec

    try:
        replaced = msgspec.json.decode(overlay.read_bytes()).get("Replace", {})
    except (OSError, msgspec.DecodeError, AttributeError):
        return
    for original, replacement in replaced.items():
        yield str(overlay.parent / original), InputKind.FILE
        if replacement:
            yield str(overlay.parent / replacement), InputKind.FILE


def _words_unlike(text: str, known: re.Pattern[str], takes_value: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment] # a frozenset serves as an empty default
    try:
        words = shlex.split(text)
    except ValueError:
        return [text]
    unknown, skip = [], False
    for word in words:
        if not skip and not known.match(word):
            unknown.append(word)
        skip = not skip and word in takes_value
    return unknown


def _split(flag: str) -> tuple[str, str]:
    name, _, value = flag.lstrip("-").partition("=")
    return name, value
