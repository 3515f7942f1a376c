"""What differs between two Go programs, and the likely cause: build info, build ID, sections, functions.

The Go build ID has four parts, `ACTION(link)/ACTION(main package)/CONTENT(main package)/CONTENT(program)`: where the
middle ones are equal, source, dependencies, flags and compiler were the same, and only the link differs. Notes that
name the build and `.go.fipsinfo` (a hash over other sections) always differ with the rest, so they are compared last.

Sources: Go 1.26, cmd/go/internal/work/buildid.go (the parts), debug/buildinfo, cmd/link/internal/ld.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from wherry.analysis.binary import build_info
from wherry.analysis.difference import Compared, Difference, cause
from wherry.analysis.mapped import map_elf
from wherry.elf.machine import architecture
from wherry.elf.reader import Elf, Section
from wherry.errors import InvalidDocument
from wherry.finding import Finding
from wherry.golang import pclntab
from wherry.golang.buildinfo import BuildInfo, Module

_NAMES_BUILD = (".note.go.buildid", ".note.gnu.build-id", ".go.fipsinfo")
_SYMBOLS = (".symtab", ".strtab", ".debug_", ".zdebug_")
_WINDOW = 1 << 20
_SHOWN = 40
"""Bytes of two differing places that are shown."""
_MICRO = re.compile(r"GO(AMD64|ARM|ARM64|386|MIPS|MIPS64|PPC64|RISCV64)\Z")
_PARTS = 4
_TEXT = re.compile(rb"[\x20-\x7e]+")


def compare_files(first: Path, second: Path, place: str) -> Compared:
    """Compare two executables.

    Args:
        first: a file.
        second: another.
        place: what messages call them.

    Raises:
        NotFound: one can't be read.
    """
    try:
        one, other = map_elf(first, place), map_elf(second, place)
    except InvalidDocument as error:
        why = cause("content", f"{place}: the bytes differ", error.problem, place=place)
        return Compared("", tuple(_bytes(first, second, place)), why)
    return compare_programs(one, other, place)


def compare_programs(one: Elf, other: Elf, place: str) -> Compared:
    """Compare two ELF programs whose tables were read."""
    if one.view == other.view:
        return Compared("", (), None)
    found = [*_headers(one, other), *_only_in_one(one, other)]
    info, other_info = build_info(one), build_info(other)
    lines = list(_lines(info, other_info))
    found += lines
    ids = one.go_build_id, other.go_build_id
    if ids[0] != ids[1]:
        found.append(Difference("build id", "build ID", *ids))
    files = _first_file(one, other)
    if files:
        found.append(Difference("section", "file table of the pclntab", *files))
    inside = list(_sections(one, other))
    found += inside
    why = (
        _by_header(one, other)
        or _by_info(info, other_info, lines)
        or _by_files(files)
        or _by_sections(one, other)
        or _by_build_id(ids, inside)
    )
    return Compared("", tuple(found), _at(why, place))


def _at(why: Finding, place: str) -> Finding:
    return Finding(why.rule, why.severity, place, why.message, why.evidence, why.remedy)


def _bytes(first: Path, second: Path, place: str) -> Iterator[Difference]:
    with first.open("rb") as one, second.open("rb") as other:
        at = 0
        while True:
            before, after = one.read(_WINDOW), other.read(_WINDOW)
            if before != after:
                offset = _first(before, after)
                shown = [side[offset : offset + 8].hex(" ") for side in (before, after)]
                yield Difference("bytes", f"{place} offset {at + offset:#x}", *shown)
                return
            if not before:
                return
            at += len(before)


def _first(before: bytes | memoryview, after: bytes | memoryview) -> int:
    """Give the first place where two texts differ, by halves: a comparison of slices is C's."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        if before[low:middle] == after[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _headers(one: Elf, other: Elf) -> Iterator[Difference]:
    for name, before, after in (
        ("architecture", architecture(one), architecture(other)),
        ("class", f"{one.bits} bits", f"{other.bits} bits"),
        ("type", str(one.type), str(other.type)),
    ):
        if before != after:
            yield Difference("header", name, before, after)


def _only_in_one(one: Elf, other: Elf) -> Iterator[Difference]:
    names = [{section.name for section in elf.sections} for elf in (one, other)]
    for section in (*one.sections, *other.sections):
        if section.name and (section.name in names[0]) != (section.name in names[1]):
            there = section.name in names[0]
            yield Difference("section", section.name, *(("there", "missing") if there else ("missing", "there")))


def _lines(one: BuildInfo | None, other: BuildInfo | None) -> Iterator[Difference]:
    sides = [dict(_flat(info)) if info else {} for info in (one, other)]
    for name in dict.fromkeys((*sides[0], *sides[1])):
        if sides[0].get(name) != sides[1].get(name):
            yield Difference("build info", name, sides[0].get(name, ""), sides[1].get(name, ""))


def _flat(info: BuildInfo) -> Iterator[tuple[str, str]]:
    yield "go", info.go_version
    yield "path", info.path
    if info.main:
        yield "mod", _module(info.main)
    for module in info.modules:
        yield f"dep {module.path}", _module(module)
    for name, value in info.settings.items():
        yield f"build {name}", value


def _module(module: Module) -> str:
    text = " ".join(filter(None, (module.version, module.sum)))
    return f"{text} => {module.replace.path} {_module(module.replace)}".rstrip() if module.replace else text


def _first_file(one: Elf, other: Elf) -> tuple[str, str] | None:
    """Give the first two names of source files that differ."""
    tables = [_table(elf) for elf in (one, other)]
    if tables[0] is None or tables[1] is None or tables[0].filenames == tables[1].filenames:
        return None
    pairs = zip_longest(tables[0].file_names(), tables[1].file_names(), fillvalue="")
    return next((pair for pair in pairs if pair[0] != pair[1]), None)


def _table(elf: Elf) -> pclntab.Pclntab | None:
    section = next(filter(None, map(elf.section, pclntab.SECTIONS)), None)
    if section is None:
        return None
    try:
        return pclntab.Pclntab.parse(elf.content(section), elf.name)
    except InvalidDocument:
        return None


def _sections(one: Elf, other: Elf) -> Iterator[Difference]:
    """Give the sections of both that differ, in the order of the file; those that name the build last."""
    shared = [section for section in one.sections if section.name and other.section(section.name)]
    for section in sorted(shared, key=lambda section: (section.name in _NAMES_BUILD, section.offset)):
        same = other.section(section.name)
        assert same is not None  # noqa: S101 - only shared ones are looked at
        before, after = one.content(section), other.content(same)
        if before == after:
            continue
        at = _first(before, after)
        sizes = "" if len(before) == len(after) else f" ({len(before):,} and {len(after):,} bytes)"
        spot = _named(one, section, at) if section.name == ".text" else f"offset {section.offset + at:#x}"
        level = "function" if section.name == ".text" else "section"
        yield Difference(level, f"{section.name} {spot}{sizes}", _shown(before, at), _shown(after, at))


def _named(elf: Elf, section: Section, at: int) -> str:
    """Name the function that a place of the code is in."""
    table = _table(elf)
    if table is None:
        return f"offset {section.offset + at:#x}"
    from wherry.golang.functions import Functions

    try:
        functions = Functions.read(table)
        number = int(functions.starts.searchsorted(at, side="right")) - 1
        return f"{functions.names[number]}+{at - int(functions.starts[number]):#x}"
    except (InvalidDocument, IndexError):
        return f"offset {section.offset + at:#x}"


def _shown(content: memoryview, at: int) -> str:
    """Show a place: the text that it is in, or its bytes."""
    window = bytes(content[max(0, at - _SHOWN) : at + _SHOWN])
    middle = min(at, _SHOWN)
    for match in _TEXT.finditer(window):
        if match.start() <= middle < match.end() and match.end() - match.start() > _PARTS:
            return match.group().decode()
    return bytes(content[at : at + 8]).hex(" ")


def _by_header(one: Elf, other: Elf) -> Finding | None:
    if architecture(one) == architecture(other):
        return None
    return cause("platform", f"one is for {architecture(one)}, the other for {architecture(other)}")


def _by_info(one: BuildInfo | None, other: BuildInfo | None, lines: list[Difference]) -> Finding | None:
    if one is None or other is None:
        return None
    by_name = {line.place: line for line in lines}
    settings = {name.removeprefix("build "): line for name, line in by_name.items() if name.startswith("build ")}
    return (
        _by_go(by_name.get("go"))
        or _by_settings(settings)
        or _by_modules(by_name)
        or _by_stamp(by_name, settings)
        or _by_rest(settings)
    )


def _by_go(line: Difference | None) -> Finding | None:
    if line is None:
        return None
    releases = [text.partition(" ")[0].partition("-X:")[0] for text in (line.before, line.after)]
    if releases[0] != releases[1]:
        return cause(
            "toolchain", f"{releases[0]} built one, {releases[1]} the other",
            remedy="pin Go: `toolchain` in go.mod, or `go` in wherry.toml",
        )  # fmt: skip
    return cause("experiment", "GOEXPERIMENT differs", f"{line.before} and {line.after}")


def _by_settings(settings: dict[str, Difference]) -> Finding | None:
    for name, line in settings.items():
        both = f"{line.before or 'unset'} and {line.after or 'unset'}"
        if name in {"GOOS", "GOARCH"}:
            return cause("platform", f"{name} differs: {both}")
        if _MICRO.match(name):
            return cause("microarchitecture", f"{name} differs: {both}", remedy=f"set {name} in both builds")
    for name, rule, message in (
        ("CGO_ENABLED", "cgo", "cgo is enabled in one of them only"),
        ("GOEXPERIMENT", "experiment", "GOEXPERIMENT differs"),
        ("-buildmode", "buildmode", "-buildmode differs"),
        ("-trimpath", "path-not-trimmed", "one is built without -trimpath"),
        ("-tags", "tags", "build tags differ"),
        ("-pgo", "pgo", "the profile for optimisation (PGO) differs"),
    ):
        if found := settings.get(name):
            return cause(rule, message, f"{name}: {found.before or 'unset'} and {found.after or 'unset'}")
    return None


def _by_modules(lines: dict[str, Difference]) -> Finding | None:
    modules = {name: line for name, line in lines.items() if name.startswith("dep ")}
    for name, line in modules.items():
        before, after = line.before.split(" "), line.after.split(" ")
        if before[:1] != after[:1] or "=>" in line.before + line.after:
            return cause("module-version", f"{name[4:]} differs: {line.before or 'none'} and {line.after or 'none'}")
    if modules:
        return cause(
            "vendored", "one is built from vendor/, the other from the module cache",
            f"{next(iter(modules))[4:]} has its hash (h1) in one of them only",
            remedy="build both with -mod=vendor, or neither",
        )  # fmt: skip
    return None


def _by_stamp(lines: dict[str, Difference], settings: dict[str, Difference]) -> Finding | None:
    stamps = [line for name, line in settings.items() if name == "vcs" or name.startswith("vcs.")]
    if not stamps and "mod" not in lines:
        return None
    modified = settings.get("vcs.modified")
    shown = [
        f"{line.place.removeprefix('build ')}: {line.before or 'none'} and {line.after or 'none'}" for line in stamps
    ]
    dirty = modified is not None and "true" in (modified.before, modified.after)
    return cause(
        "vcs-stamp",
        "one is built from a changed working tree"
        if dirty
        else "the state of version control that Go recorded differs",
        *shown,
        remedy="build both from the same commit, or with -buildvcs=false",
    )


def _by_rest(settings: dict[str, Difference]) -> Finding | None:
    if line := settings.get("DefaultGODEBUG"):
        return cause("go-line", "the `go` line of go.mod differs", f"DefaultGODEBUG: {line.before} and {line.after}")
    for name, line in settings.items():
        return cause("flags", f"{name} differs: {line.before or 'unset'} and {line.after or 'unset'}")
    return None


def _by_files(files: tuple[str, str] | None) -> Finding | None:
    if files is None or not all(name.startswith("/") for name in files if name):
        return None
    return cause(
        "path-not-trimmed", "paths of the machine that built them are in the programs", f"{files[0]} and {files[1]}",
        remedy="build both with -trimpath (wherry's default)",
    )  # fmt: skip


def _by_sections(one: Elf, other: Elf) -> Finding | None:
    names = [{section.name for section in elf.sections if section.name.startswith(_SYMBOLS)} for elf in (one, other)]
    if names[0] == names[1]:
        return None
    only = ", ".join(sorted(names[0] ^ names[1])[:3])
    return cause("stripped", f"one has symbols or DWARF that the other lacks: {only}", remedy="-ldflags=-s in both")


def _by_build_id(ids: tuple[str, str], inside: list[Difference]) -> Finding:
    if not all(ids) and ids[0] != ids[1]:
        return cause("no-build-id", "one has no Go build ID: it was linked with -buildid=")
    parts = [name.split("/") for name in ids]
    first = next((line for line in inside if not line.place.startswith(_NAMES_BUILD)), None)
    where = () if first is None else (f"{first.place}: {first.before} and {first.after}",)
    if len(parts[0]) == len(parts[1]) == _PARTS:
        action, content = (parts[0][number] == parts[1][number] for number in (1, 2))
        if action and content:
            return cause(
                "linker-flag", "only the link differs: an -X value or another linker flag", *where,
                remedy="compare -ldflags of both builds; Go leaves them out of build info where paths are trimmed",
            )  # fmt: skip
        if content:
            return cause(
                "same-code",
                "inputs of the compiler differ, and its output does not: a comment, a blank line, an unused tag",
                *where,
            )  # fmt: skip
    return cause("source-changed", "source, dependencies or flags of the compiler differ", *where)
