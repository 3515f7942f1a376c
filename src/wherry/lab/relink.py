"""A stripped program linked once more with symbols: what they name has the same addresses in both.

Packages come from Go's build cache, so only the linker works. That the two are the same program is not believed but
compared: each section that is loaded has to have the same address and bytes. Source: Go 1.26, `go tool link -help` (-s
leaves out the symbol table and DWARF, which no program loads).
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.build.compile import merged, no_inline_flags, unknown_flags, with_symbols, words_of
from wherry.elf.reader import SHF_ALLOC, SHT_NOBITS, Elf
from wherry.errors import WherryError
from wherry.lab.compiling import Compiler, Recipe
from wherry.source.module import MainPackage
from wherry.typed import from_json

if TYPE_CHECKING:
    from wherry.analysis.named_data import NamedData

_IDS = (".note.go.buildid", ".note.gnu.build-id")
"""Sections that name the build: Go's has a hash of the linker's flags in it, and of the file."""
_WINDOW = 1 << 20
_MOST_NAMED = 3
_TARGET = ("GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64", "GO386", "GOMIPS", "GOPPC64", "GORISCV64", "CGO_ENABLED")
_RECORDED = ("-trimpath", "-tags", "-buildmode", "-ldflags", "-gcflags", "-asmflags", "-race")
"""Settings of build info that are flags."""
_FLAG = re.compile(r"-(trimpath|ldflags|gcflags|asmflags|tags|buildmode|race)(=|\Z)")
_RELEASE = re.compile(r"go1\.\d{1,3}((\.|rc|beta)\d{1,3})?")


class NotTheSame(WherryError):
    """The program that was linked is another one than the program that was asked about."""


@dataclass(frozen=True, slots=True)
class Built:
    """How a program says it was built."""

    flags: tuple[str, ...]
    environment: Mapping[str, str]
    stamped: bool
    """Whether it has the state of version control in it."""
    go: str
    """Such as go1.26.8."""
    no_inline: tuple[str, ...] = ()
    """Flags for packages that were compiled without inlining; the last that matches a package counts."""


def built_by_recipe(text: str) -> Built | None:
    """Read the recipe of an image that wherry built; None if it is not one.

    Args:
        text: the label's.

    Raises:
        NotTheSame: it names a flag that could do harm.
    """
    try:
        document = from_json(text, _Recipe)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    recipe = document.go
    flags = _flags_of(str(recipe.get("flags", "")), document.version)
    target = {name: str(recipe[name]) for name in _TARGET if name in recipe}
    kept = tuple(filter(None, flags))
    patterns = no_inline_flags(str(recipe.get("noInline", "")).split())
    stamped, go = recipe.get("buildvcs") == "true", _release(str(recipe.get("version", "")))
    return Built(_harmless(kept), target, stamped, go, _harmless(patterns))


class _Recipe(msgspec.Struct):
    go: dict[str, object]
    version: int = 1


def _flags_of(text: str, version: int) -> list[str]:
    """Split a recipe's flags: version 1 joins them by spaces, a later one quotes as a shell does."""
    if version > 1:
        try:
            return shlex.split(text)
        except ValueError:
            return []
    flags: list[str] = []
    for word in text.split(" "):
        if _FLAG.match(word) or not flags:
            flags.append(word)
        else:
            flags[-1] += f" {word}"
    return flags


def built_by_settings(settings: Mapping[str, str], go: str) -> Built:
    """Take what build info records of a build; it leaves -ldflags out where paths were trimmed.

    Raises:
        NotTheSame: it names a flag that could do harm.
    """
    flags = tuple(
        name if value == "true" and name in {"-trimpath", "-race"} else f"{name}={value}"
        for name, value in settings.items()
        if name in _RECORDED and value != "false"
    )
    target = {name: value for name, value in settings.items() if name in _TARGET}
    return Built(_harmless(flags), target, "vcs" in settings, _release(go.partition(" ")[0]))


def _harmless(flags: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse flags that could start a program or write a file: an image that anybody made names them.

    Raises:
        NotTheSame: there is one.
    """
    unknown = unknown_flags(flags) + tuple(flag for flag in flags if not _FLAG.match(flag))
    if unknown:
        raise NotTheSame(
            f"the build info lists {unknown[0]}, which wherry does not pass on from a binary",
            hint="build it from source",
        )
    return flags


def _release(version: str) -> str:
    """Give a version that a Go toolchain can have; empty for others, which leaves the choice to the module."""
    return version if _RELEASE.fullmatch(version) else ""


def relinked(compiler: Compiler, package: MainPackage, built: Built, program: Elf) -> "NamedData":
    """Link a program again with symbols, and give what they name.

    Args:
        compiler: what compiles; the program with symbols is in its folder only as long as this takes.
        package: the main package.
        built: how the program was built.
        program: the program.

    Raises:
        CompileFailed: it can't be built.
        NotTheSame: it can, and it is another program.

    Cost: a link where Go's cache has the packages, else a build.
    """
    from wherry.analysis.mapped import map_elf
    from wherry.analysis.named_data import named_data

    goflags = words_of(compiler.toolchain.settings.get("GOFLAGS", ""))
    flags = with_symbols(merged(built.flags, goflags), program.gnu_build_id)
    recipe = Recipe(package, (*built.no_inline, *flags, f"-buildvcs={str(built.stamped).lower()}"), built.environment)
    debug, _ = compiler.compile(recipe, "with-symbols")
    try:
        elf = map_elf(debug)
        different = list(differing_sections(program, elf))
        if different:
            more = f" and {len(different) - _MOST_NAMED} more" if len(different) > _MOST_NAMED else ""
            raise NotTheSame(
                f"{package.folder} builds a different program: {', '.join(different[:_MOST_NAMED])}{more} differ",
                hint="check out the source it was built from, with the same Go and flags",
            )
        return named_data(elf)
    finally:
        debug.unlink()


def differing_sections(one: Elf, other: Elf) -> Iterator[str]:
    """Name the sections that are loaded and are not the same in two programs, those that name the build left out."""
    first, second = _loaded(one), _loaded(other)
    for name in dict.fromkeys((*first, *second)):
        if first.get(name) != second.get(name) or (name not in _IDS and not _same_bytes(one, other, name)):
            yield name


def _loaded(elf: Elf) -> dict[str, tuple[int, int]]:
    return {one.name: (one.address, one.size) for one in elf.sections if one.flags & SHF_ALLOC}


def _same_bytes(one: Elf, other: Elf, name: str) -> bool:
    first, second = one.section(name), other.section(name)
    if first is None or second is None or SHT_NOBITS in {first.type, second.type}:
        return first is not None and second is not None and first.type == second.type
    if first.stored != second.stored:
        return False
    return all(
        one.view[first.offset + at : first.offset + min(at + _WINDOW, first.stored)]
        == other.view[second.offset + at : second.offset + min(at + _WINDOW, first.stored)]
        for at in range(0, first.stored, _WINDOW)
    )


def package_in(folder: Path, module: str, import_path: str) -> MainPackage:
    """Name a main package by its import path, from a folder of its module."""
    return MainPackage(folder, folder, module, import_path, "measured")
