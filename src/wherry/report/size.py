"""A binary's bytes for a person at a prompt: kinds, modules, packages or functions, and how sure it is."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from wherry.analysis.size import BinarySize, FunctionSize, ModuleSize, PackageSize
from wherry.report.terminal import printable, size, table

_OWNERS_NAMED = 3
_LONGEST_NAME = 72

OWNERS = {
    "relink": "attributed by symbols (relinked)",
    "record": "attributed by symbols (kept by --size-record)",
    "tables": "variables not attributed (use --source)",
}
"""What owners of variables rest on, where the file has no symbols."""
Row = tuple[str, ...]
WAYS = ("module", "package", "function", "kind", "section")
"""How bytes can be listed."""


def lines_of(binary: BinarySize, *, by: str, most: int, match: str = "") -> list[str]:
    """Say where a binary's bytes are.

    Args:
        binary: what was measured.
        by: one of `WAYS`; where owners could not be read, sections or kinds are listed whatever it is.
        most: rows at most; the rest is one row.
        match: leave out packages and functions that have not this text in their names.
    """
    by = by if binary.reading == "full" or by == "kind" else "section"
    lines = [_head(binary), ""]
    if by != "section" and binary.reading == "full":
        lines += _indented(table(list(_kinds(binary)), right=(0, 1)))
        lines += [""] if by != "kind" else []
    right = (0, 1, 2) if by in {"module", "package"} else (0, 1)
    if by != "kind" or binary.reading != "full":
        lines += _indented(table(_rows(binary, by, most, match), right=right))
    lines += [f"  {note}" for note in binary.notes]
    if binary.reading == "full":
        lines += ["", _sure(binary)]
    return [printable(line) for line in lines]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _head(binary: BinarySize) -> str:
    traits = [binary.go or binary.format, "stripped" if binary.stripped else "with symbols"]
    traits += [OWNERS[binary.owners]] if binary.owners in OWNERS else []
    words = [size(binary.size), binary.platform, binary.name if not binary.path else binary.path, ", ".join(traits)]
    return "  ".join(filter(None, words))


def _sure(binary: BinarySize) -> str:
    parts = [f"{_share(part, binary.size)} {name}" for name, part in binary.confidence.items() if part]
    return f"  {', '.join(parts)}"


def _kinds(binary: BinarySize) -> Iterator[tuple[str, ...]]:
    """Give kinds, each with those who have most of it."""
    for kind in binary.kinds:
        owners = sorted(((one.kinds.get(kind.kind, 0), one.path) for one in binary.packages), reverse=True)
        named = ", ".join(f"{path} {size(part)}" for part, path in owners[:_OWNERS_NAMED] if part)
        yield (size(kind.bytes), _share(kind.bytes, binary.size), kind.kind, named)


def _rows(binary: BinarySize, by: str, most: int, match: str) -> list[Row]:
    whole = binary.size
    match by:
        case "module":
            return [("bytes", "share", "alone", "module", ""), *_cut(list(map(_module, binary.modules)), most, whole)]
        case "package":
            packages = [_package(one) for one in binary.packages if match in one.path]
            return [("bytes", "share", "alone", "package", ""), *_cut(packages, most, whole)]
        case "function":
            functions = [
                _function(one, package) for package in binary.packages for one in package.functions if match in one.name
            ]
            return [
                ("bytes", "share", "function", ""),
                *_cut(sorted(functions, key=itemgetter(0), reverse=True), most, whole),
            ]
        case "kind":
            return [("bytes", "share", "kind"), *_cut([(one.bytes, one.kind) for one in binary.kinds], most, whole)]
        case _:
            sections = [(one.bytes, one.name or "(no section)", one.kind) for one in binary.sections]
            return [("bytes", "share", "section", "kind"), *_cut(sorted(sections, reverse=True), most, whole)]


def _cut(rows: Sequence[tuple[Any, ...]], most: int, whole: int) -> Iterator[Row]:
    """Give the first rows, and the sum of the others; the bytes become text, with their share."""
    for count, *words in rows[:most]:
        yield (size(count), _share(count, whole), *words)
    if rest := [row[0] for row in rows[most:]]:
        yield (size(sum(rest)), _share(sum(rest), whole), *("",) * (len(rows[0]) - 3), f"{len(rest)} more", "")


def _module(one: ModuleSize) -> tuple[int, str, str, str]:
    said = one.version if one.path else "shared between packages; linker tables; headers; padding"
    return (one.bytes, _alone(one.exclusive), one.path or "(no package)", said)


def _package(one: PackageSize) -> tuple[int, str, str, str]:
    unsure = one.bytes - one.confidence.get("exact", 0)
    return (one.bytes, _alone(one.exclusive), one.path, f"{_share(unsure, one.bytes)} not exact" if unsure else "")


def _function(one: FunctionSize, package: PackageSize) -> tuple[int, str, str]:
    name = one.name if len(one.name) <= _LONGEST_NAME else f"{one.name[: _LONGEST_NAME - 1]}…"
    return (one.bytes, name, f"generic from {one.generic_from}, compiled for {package.path}" * bool(one.generic_from))


def _alone(exclusive: int | None) -> str:
    return "" if exclusive is None else size(exclusive)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def routes_of(module: ModuleSize) -> list[str]:
    """Say by which ways the main package comes to import a module."""
    ways: dict[tuple[str, ...], list[str]] = {}
    for route in module.routes:
        ways.setdefault(route[:-1], []).append(route[-1])
    count = f"{len(ways)} package{'s' * (len(ways) != 1)}"
    lines = [f"{module.path} {module.version}: imported by {count} outside the module"]
    for way, imported in ways.items():
        lines += [f"  {' → '.join(way)}", *(f"      imports {package}" for package in imported)]
    return [printable(line) for line in lines]


def estimate_of(binary: BinarySize, module: ModuleSize, name: str) -> list[str]:
    """Say what would go without a module or a package, by the import graph."""
    package = next((one for one in binary.packages if one.path == name and module.path != name), None)
    own, gone = (package.bytes, package.exclusive) if package else (module.bytes, module.exclusive)
    gone = gone or own
    return [
        f"without {name}: {size(gone)} of {size(binary.size)} less ({_share(gone, binary.size)}), an estimate",
        f"  {size(own)} its own, {size(gone - own)} from packages that only it imports",
        "  not counted: shared strings and tables, and dead code that only it keeps alive",
    ]


def measured_lines(before: int, after: int, name: str) -> list[str]:
    """Say what a rebuild without a module's functions weighs."""
    less = f"{size(before - after)} less ({_share(before - after, before)})"
    return [
        f"  measured: {size(after)} instead of {size(before)} with its function bodies removed, {less}",
        f"  types and constants of {printable(name)} that other code uses are still linked",
    ]
