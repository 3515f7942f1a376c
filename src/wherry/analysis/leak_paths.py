"""Paths of the build machine: their origin, what left them in a binary, and how to remove them.

Sources: Go 1.26, cmd/go/internal/work/gc.go (`trimpath`), cmd/compile "Compiler Directives" (//line);
docs/reference/leaks.md has what was tried.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wherry.analysis.secrets import masked
from wherry.counted import counted
from wherry.finding import Finding, Severity
from wherry.golang.buildinfo import BuildInfo, Module

_GOROOT = re.compile(r"(.+)/src/runtime(?:/\w+\.(?:go|s))?")
_VERSIONED = re.compile(r"(.*?)@(v[^/]+)/")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:[\\/]|\\\\")
_NOBODYS = (
    "/_/",
    "/tmp/go-build",  # noqa: S108 - a name that is looked for, nothing is opened
    "/usr/include/",
    "/usr/lib/",
    "/usr/local/include/",
    "/build/",
)
"""Where Go puts cgo's files, and where distributions keep and build their C libraries."""
_OUTSIDE = "another directory"
_EXAMPLES = 8
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """Paths that one table of the binary lists."""

    place: str
    """Such as `.gopclntab, table of files`."""
    paths: Sequence[str]


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders of the build machine that a binary tells."""

    goroot: str = ""
    module_cache: str = ""
    main: str = ""
    """Of the main module."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """The modules that local folders stand for, by folder; relative where the main module's is not known."""

    @classmethod
    def of(cls, paths: Iterable[str], info: BuildInfo | None) -> "Roots":
        """Tell them from the source files' paths."""
        absolute = [path for path in paths if _ABSOLUTE.match(path)]
        goroots = Counter(found[1] for path in absolute if (found := _GOROOT.fullmatch(path)))
        goroot = goroots.most_common(1)[0][0] if goroots else ""
        cache = _module_cache(absolute, info)
        local = {module.replace.path: module.path for module in _modules(info) if module.replace and is_local(module)}
        known = tuple(f"{root}/" for root in (goroot, cache, *local) if root)
        rest = [path for path in absolute if not path.startswith((*known, *_NOBODYS))]
        main = _main_folder(rest, info)
        return cls(
            goroot, cache, main, {posixpath.normpath(posixpath.join(main, one)): name for one, name in local.items()}
        )

    def named(self) -> Iterator[tuple[str, str]]:
        """Give each folder with what it is."""
        rows = (("GOROOT", self.goroot), ("the module cache", self.module_cache), ("the main module", self.main))
        yield from ((what, folder) for what, folder in rows if folder)
        yield from (
            (f"the replacement of {module}", folder)
            for folder, module in self.replaced.items()
            if _ABSOLUTE.match(folder)
        )

    def of_path(self, path: str) -> str:
        """Name the directory that contains a path; empty if none does, such as for cgo's own files."""
        fitting = [(len(folder), what) for what, folder in self.named() if f"{path}/".startswith(f"{folder}/")]
        if fitting:
            return max(fitting)[1]
        return "" if f"{path}/".startswith(_NOBODYS) or not _ABSOLUTE.match(path) else _OUTSIDE


def is_local(module: Module) -> bool:
    """Report whether a module was replaced by a folder."""
    by = module.replace
    return by is not None and bool(
        by.path.startswith(("./", "../")) or by.path in {".", ".."} or _ABSOLUTE.match(by.path)
    )


def source_files(roots: Roots, tables: Sequence[Listed]) -> Iterator[Finding]:
    """Judge the paths of source files: those that -trimpath takes away, and those that it leaves."""
    trimmed = not (roots.goroot or roots.module_cache)
    grouped: dict[str, dict[str, list[str]]] = {what: {} for what, _ in roots.named()}
    for table in tables:
        for path in table.paths:
            if what := roots.of_path(path):
                grouped.setdefault(_OUTSIDE if trimmed else what, {}).setdefault(table.place, []).append(path)
    if not trimmed:
        # If the main module's directory is unknown, its files count as outside.
        outside = grouped.pop(_OUTSIDE, {}) if roots.main else {}
        yield _all_paths(dict(roots.named()), {what: places for what, places in grouped.items() if places})
    else:
        outside = grouped.get(_OUTSIDE, {})
    if outside:
        yield _outside(outside)


def _all_paths(folders: Mapping[str, str], grouped: Mapping[str, Mapping[str, list[str]]]) -> Finding:
    evidence = []
    for what, places in grouped.items():
        counts = ", ".join(f"{len(paths)} in {place}" for place, paths in places.items())
        first = next(iter(places.values()))[0]
        where = f" {short(folders[what])}" if what in folders else ""
        evidence.append(f"{what}{where}: {counts}; such as {short(first)}")
    unique = {path for places in grouped.values() for paths in places.values() for path in paths}
    return Finding(
        "untrimmed-paths",
        Severity.WARNING,
        ", ".join(dict.fromkeys(place for places in grouped.values() for place in places)),
        f"{counted(len(unique), 'path')} of the build machine: compiled without -trimpath",
        tuple(evidence),
        "build with -trimpath (wherry build does); -s -w alone keeps the file table, which panics need",
    )


def _outside(places: Mapping[str, list[str]]) -> Finding:
    paths = sorted({path for paths in places.values() for path in paths})
    return Finding(
        "line-paths",
        Severity.WARNING,
        ", ".join(places),
        f"{_count(len(paths), 'absolute path')} outside known directories: a //line directive, or a C file outside "
        "the module; -trimpath keeps both",
        some([short(path) for path in paths]),
        "use relative paths in generated //line directives; move C headers into the module, or compile C with "
        "-ffile-prefix-map=DIR=.",
    )


def headers(found: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Judge paths of C sources among the constants.

    Args:
        found: where, and which path.
    """
    mine = [(place, path) for place, path in found if not path.startswith(_NOBODYS)]
    if mine:
        yield Finding(
            "c-paths",
            Severity.WARNING,
            mine[0][0],
            f"{_count(len({path for _, path in mine}), 'path')} of C sources among the constants: __FILE__, as "
            "used by assert(), in a file compiled by cgo; -trimpath keeps those outside the module",
            listed(mine),
            "move the header into the module, or compile C with -DNDEBUG or -ffile-prefix-map=DIR=. in CGO_CFLAGS",
        )


def constants(found: Sequence[tuple[str, str]], *, certain: bool) -> Iterator[Finding]:
    """Judge other paths in the data that look like those of a developer's machine.

    Args:
        found: where, and which path.
        certain: whether one is below a folder that is known to be the build machine's; a program may also have
            `/home/envoy` for the machine it runs on.
    """
    if found:
        yield Finding(
            "data-paths",
            Severity.WARNING if certain else Severity.NOTE,
            found[0][0],
            f"{_count(len(found), 'path')} of a developer's machine in the program's strings: a constant, a value of "
            "-X, an embedded file, or __FILE__ of C; -trimpath keeps them",
            listed(found),
            "search the source, the embedded files and the -X flags for it",
        )


def run_paths(folders: Sequence[str]) -> Iterator[Finding]:
    """Judge the directories in the dynamic linker's search path."""
    usual = ("/lib", "/usr/lib", "/usr/local/lib", "$ORIGIN", "${ORIGIN}")
    told = [folder for folder in folders if _ABSOLUTE.match(folder) and not folder.startswith(usual)]
    if told:
        yield Finding(
            "run-path",
            Severity.WARNING,
            ".dynamic, DT_RUNPATH or DT_RPATH",
            "the dynamic linker searches libraries in a directory of the build machine; anyone who can write there "
            "decides what runs",
            tuple(short(folder) for folder in told),
            "remove -Wl,-rpath from #cgo LDFLAGS or CGO_LDFLAGS, or make it relative to $ORIGIN; -trimpath keeps it",
        )


def listed(found: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Write evidence of many places: the first few, and how many more there are."""
    return some([f"{place}: {short(text)}" for place, text in found])


def some(rows: Sequence[str]) -> tuple[str, ...]:
    """Take the first few rows, and say how many more there are."""
    more = len(rows) - _EXAMPLES
    return (*rows[:_EXAMPLES], *((f"and {more} more",) if more > 0 else ()))


def short(text: str) -> str:
    """Write a text of the binary: secrets hidden, a long one cut."""
    text = masked(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _modules(info: BuildInfo | None) -> tuple[Module, ...]:
    return (*((info.main,) if info and info.main else ()), *(info.modules if info else ()))


def _module_cache(paths: Sequence[str], info: BuildInfo | None) -> str:
    """Find the folder in front of `module@version/`."""
    known: dict[str, list[str]] = {}
    for module in _modules(info):
        used = module.replace or module
        escaped = re.sub(r"[A-Z]", lambda letter: f"!{letter[0].lower()}", used.path)
        known.setdefault(used.version, []).append(f"/{escaped}")
    for path in paths:
        found = _VERSIONED.match(path)
        for ending in known.get(found[2], ()) if found else ():
            if found and found[1].endswith(ending):
                return found[1].removesuffix(ending)
    return ""


def _main_folder(paths: Sequence[str], info: BuildInfo | None) -> str:
    """Find the main module's directory: it contains most files that no other module owns, including package main."""
    if info is None or info.main is None:
        return ""
    inside = info.path.removeprefix(info.main.path)
    if not info.path.startswith(info.main.path) or (inside and not inside.startswith("/")):
        return ""
    folders = {path.rpartition("/")[0] for path in paths if path.endswith(".go")}
    candidates = {folder.removesuffix(inside) for folder in folders if folder.endswith(inside)}
    counts = {one: sum(path.startswith(f"{one}/") for path in paths) for one in candidates if one}
    return max(counts, key=lambda one: (counts[one], -len(one)), default="")
