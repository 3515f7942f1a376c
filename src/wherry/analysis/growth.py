"""Compare two measured programs, separating code changes from toolchain changes.

A function that both have under one name and that grew was edited, or compiled by another Go. Modules whose source is
the same (version and hash) tell what the other Go does to code; by that ratio the part that is to be expected of edited
modules is estimated.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from wherry.analysis.diff import (
    BinaryDiff,
    ChangedBytes,
    FunctionChange,
    KindChange,
    ModuleChange,
    PackageChange,
    SettingChange,
    ToolchainShare,
)
from wherry.analysis.owners import STANDARD
from wherry.analysis.same_data import matched
from wherry.analysis.size import BinarySize, ModuleSize

C = TypeVar("C", bound=ChangedBytes)
Function = tuple[str, str]
"""Package and name."""

_LEAST_BASIS = 20_000
"""Bytes of functions; fewer are too few to take a ratio from."""
_NO_CODE = ("-ldflags", "DefaultGODEBUG", "symbols")
"""Settings that change no function."""
TOOLCHAIN: Final = frozenset({"toolchain", "flags"})
"""Causes that are no change of anybody's code."""


def compare(before: BinarySize | None, after: BinarySize | None) -> BinaryDiff:
    """Say what grew between two programs; None for one that is not there.

    Raises:
        ValueError: neither is there.
    """
    one = after or before
    if one is None:
        raise ValueError("nothing to compare")
    if before and after:
        before, after = matched(before, after)
    settings = _settings(before, after) if before and after else ()
    functions = _Functions.of(before, after)
    another = _another(before, after, settings) if before and after else ""
    modules = _modules(before, after, functions, another)
    toolchain = None
    if before and after and another:
        ratio, basis, known = _ratio(modules, functions)
        modules = tuple(_expected(one, functions, ratio) for one in modules)
        brought = sum(one.change if one.cause in TOOLCHAIN else one.expected or 0 for one in modules)
        toolchain = ToolchainShare(
            before=before.go, after=after.go, bytes=brought, ratio=ratio, basis=basis, basis_bytes=known
        )
    return BinaryDiff(
        before=before.size if before else 0,
        after=after.size if after else 0,
        name_before=before.name if before else "",
        name_after=after.name if after else "",
        platform=one.platform,
        path=one.path,
        kinds=_changes(
            _sizes((row.kind, row.bytes) for row in before.kinds) if before else {},
            _sizes((row.kind, row.bytes) for row in after.kinds) if after else {},
            lambda kind, old, new: KindChange(kind=kind, before=old, after=new),
        ),
        packages=_packages(before, after),
        functions=_changes(
            functions.before,
            functions.after,
            lambda key, old, new: FunctionChange(name=key[1], package=key[0], before=old, after=new),
        ),
        settings=settings,
        modules=tuple(one for one in modules if one.change or one.grown or one.version_before != one.version_after),
        toolchain=toolchain,
        notes=tuple(dict.fromkeys(note for side in (before, after) if side for note in side.notes)),
    )


@dataclass(frozen=True, slots=True)
class _Functions:
    """Bytes of functions in both programs, and the module of each."""

    before: Mapping[Function, int]
    after: Mapping[Function, int]
    modules: Mapping[str, frozenset[Function]]

    @classmethod
    def of(cls, before: BinarySize | None, after: BinarySize | None) -> "_Functions":
        modules: dict[str, set[Function]] = {}
        sides = []
        for binary in (before, after):
            sizes: dict[Function, int] = {}
            for package in binary.packages if binary else ():
                for function in package.functions:
                    key = (package.path, function.name)
                    sizes[key] = sizes.get(key, 0) + function.bytes
                    modules.setdefault(package.module, set()).add(key)
            sides.append(sizes)
        return cls(sides[0], sides[1], {path: frozenset(keys) for path, keys in modules.items()})

    def in_both(self, module: str) -> tuple[int, int]:
        """Give the bytes, before and after, of a module's functions that both have."""
        both = [key for key in self.modules.get(module, ()) if key in self.before and key in self.after]
        return sum(self.before[key] for key in both), sum(self.after[key] for key in both)

    def new(self, module: str) -> int:
        """Give the bytes of its functions that only the second has."""
        return sum(self.after[key] for key in self.modules.get(module, ()) if key not in self.before)

    def removed(self, module: str) -> int:
        """Give the bytes of its functions that only the first has."""
        return sum(self.before[key] for key in self.modules.get(module, ()) if key not in self.after)


def _settings(before: BinarySize, after: BinarySize) -> tuple[SettingChange, ...]:
    old, new = _all_settings(before), _all_settings(after)
    return tuple(
        SettingChange(name=name, before=old.get(name, ""), after=new.get(name, ""))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _all_settings(binary: BinarySize) -> dict[str, str]:
    said = {name: text for name, text in binary.settings.items() if not name.startswith("vcs")}
    return {**said, "symbols": "stripped" if binary.stripped else "kept"}


def _another(before: BinarySize, after: BinarySize, settings: Iterable[SettingChange]) -> str:
    """Report what of the build is another: `toolchain`, `flags`, or nothing."""
    if before.go != after.go:
        return "toolchain"
    return "flags" if any(one.name not in _NO_CODE for one in settings) else ""


def _modules(
    before: BinarySize | None, after: BinarySize | None, functions: _Functions, another: str
) -> tuple[ModuleChange, ...]:
    old = {one.path: one for one in before.modules} if before else {}
    new = {one.path: one for one in after.modules} if after else {}
    main = {side.module for side in (before, after) if side}
    rows = []
    for path in old.keys() | new.keys():
        was, now = old.get(path), new.get(path)
        sizes = (was.bytes if was else 0, now.bytes if now else 0)
        both = functions.in_both(path)
        grown, added, removed = both[1] - both[0], functions.new(path), functions.removed(path)
        row = ModuleChange(
            path=path,
            version_before=was.version if was else "",
            version_after=now.version if now else "",
            before=sizes[0],
            after=sizes[1],
            cause="code" if was and now and path in main else _cause(was, now, another),
            grown=grown,
            new=added,
            removed=removed,
            rest=sizes[1] - sizes[0] - grown - added + removed,
        )
        rows.append(row)
    return tuple(sorted(rows, key=lambda row: (-abs(row.change), row.path)))


def _cause(was: ModuleSize | None, now: ModuleSize | None, another: str) -> str:
    if was is None or now is None:
        one = was or now
        return "" if one and not one.path else "added" if now else "removed"
    if not now.path:
        return ""
    if now.path == STANDARD or (was.version == now.version and was.sum and was.sum == now.sum):
        return another or "linked"
    return "version" if was.version != now.version else "code"


def _ratio(modules: Iterable[ModuleChange], functions: _Functions) -> tuple[float | None, str, int]:
    """Report how much bigger the same source became, and of what that is known."""
    same = [one.path for one in modules if one.cause in TOOLCHAIN and one.path != STANDARD]
    for paths, name in (
        (same, f"{len(same)} module{'s' * (len(same) != 1)} with the same source"),
        ([STANDARD], "Go's own packages"),
    ):
        sums = [functions.in_both(path) for path in paths]
        old, new = sum(one for one, _ in sums), sum(one for _, one in sums)
        if old >= _LEAST_BASIS:
            return new / old, name, old
    return None, "", 0


def _expected(module: ModuleChange, functions: _Functions, ratio: float | None) -> ModuleChange:
    """Say of changed code what the toolchain would have made of it as it was."""
    import msgspec

    if ratio is None or module.cause not in {"version", "code"}:
        return module
    return msgspec.structs.replace(module, expected=round(functions.in_both(module.path)[0] * (ratio - 1)))


def _packages(before: BinarySize | None, after: BinarySize | None) -> tuple[PackageChange, ...]:
    sides = [{one.path: one for one in side.packages} if side else {} for side in (before, after)]
    modules = {path: one.module for side in sides for path, one in side.items()}
    return _changes(
        {path: one.bytes for path, one in sides[0].items()},
        {path: one.bytes for path, one in sides[1].items()},
        lambda path, old, new: PackageChange(path=path, module=modules[path], before=old, after=new),
    )


K = TypeVar("K", bound="str | Function")


def _sizes(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    return dict(rows)


def _changes(before: Mapping[K, int], after: Mapping[K, int], make: Callable[[K, int, int], C]) -> tuple[C, ...]:
    """Make rows of what changed, the largest change first."""
    keys = sorted(before.keys() | after.keys())
    rows = (make(key, before.get(key, 0), after.get(key, 0)) for key in keys)
    return tuple(sorted((row for row in rows if row.change), key=lambda row: -abs(row.change)))
