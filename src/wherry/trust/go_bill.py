"""What a Go program was made of, from the program alone: build info, and the names of functions the linker kept.

Sources: Go 1.26, runtime/debug (`BuildInfo`), cmd/link (pclntab); those of `golang/names.py`.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from wherry.analysis.binary import build_info
from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument
from wherry.golang import pclntab
from wherry.golang.buildinfo import BuildInfo, Module
from wherry.golang.names import is_standard, package_of, without_promoted
from wherry.trust.bill import Ingredient, IngredientKind, Licence, purl

_DEVEL = "(devel)"
_NO_SUM = "the program has none; one that is built from vendor/ has not"
_GO_LICENCE = Licence("BSD-3-Clause")
ModuleLicence = Callable[[str, str, str, tuple[str, ...]], Licence]
"""Finds a module's licence by path, version, h1 and the folders of its linked packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoFacts:
    """What is known besides the program."""

    sums: Mapping[tuple[str, str], str]
    """h1 by path and version: a program that was built from vendor/ has none of its modules."""
    sum_notes: Mapping[tuple[str, str], str]
    """Where such an h1 is from, or why there is none, in words."""
    proofs: Mapping[tuple[str, str], str]
    """What the checksum database said, in words."""
    licence: ModuleLicence = lambda _path, _version, _h1, _folders: Licence()


def go_parts(elf: Elf, facts: GoFacts) -> tuple[BuildInfo, tuple[Ingredient, ...]] | None:
    """Name the modules, the standard library and the toolchain of a program.

    Returns:
        The build info and all but the program itself, main module first; None where it is no Go program, or one that
        tells nothing.

    Raises:
        InvalidDocument: its tables are broken.
    """
    info = build_info(elf)
    if info is None:
        return None
    linked = _by_module(info, linked_packages(elf))
    parts = [*_main(info, linked), *(_module(one, linked, facts) for one in info.modules), *_go(info, linked)]
    return info, tuple(parts)


def linked_packages(elf: Elf) -> tuple[str, ...]:
    """Name the packages that functions of a program are of, inlined ones too; none where it has no pclntab."""
    section = next((found for name in pclntab.SECTIONS if (found := elf.section(name))), None)
    if section is None:
        return ()
    try:
        names = list(pclntab.function_names(elf.content(section), elf.name))
    except InvalidDocument:
        return ()
    packages = dict.fromkeys(map(package_of, names))
    return tuple(sorted({without_promoted(package, packages) for package in packages if package}))


def _by_module(info: BuildInfo, packages: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Sort packages by the module they are of; the standard library's are under an empty path."""
    paths = {one.path for one in (*info.modules, *([info.main] if info.main else []))}
    found: dict[str, list[str]] = {}
    for package in packages:
        own = info.path if package == "main" else package
        up = own
        while up and up not in paths:
            up = posixpath.dirname(up)
        if up or is_standard(own):
            found.setdefault(up, []).append(own)
    return {path: tuple(sorted(set(mine))) for path, mine in found.items()}


def _main(info: BuildInfo, linked: Mapping[str, tuple[str, ...]]) -> Iterator[Ingredient]:
    if info.main is None or not info.main.path:
        return
    version = "" if info.main.version == _DEVEL else info.main.version
    revision = info.settings.get("vcs.revision", "")
    notes = {"main": "true", "revision": revision, "modified": info.settings.get("vcs.modified", "")}
    yield Ingredient(
        kind=IngredientKind.MODULE, ref=purl("golang", info.main.path, version), name=info.main.path, version=version,
        purl=purl("golang", info.main.path, version), packages=linked.get(info.main.path, ()),
        notes=tuple((name, value) for name, value in notes.items() if value),
    )  # fmt: skip


def _module(module: Module, linked: Mapping[str, tuple[str, ...]], facts: GoFacts) -> Ingredient:
    used = module.replace or module
    packages = linked.get(module.path, ())
    folder = module.replace is not None and module.replace.version in {"", _DEVEL}
    real = replace(module, replace=None) if folder else used
    key = real.path, real.version
    h1 = "" if folder else used.sum or facts.sums.get(key, "")
    folders = tuple(package.removeprefix(module.path).strip("/") for package in packages)
    address = purl("golang", real.path, real.version)
    notes = []
    if module.replace:
        notes.append(("replaces", f"{module.path} {module.version}"))
    if folder:
        notes.append(("source", "a directory, which no checksum covers"))
    elif not used.sum and h1:
        notes.append(("h1-source", facts.sum_notes.get(key, "go.sum")))
    elif not used.sum:
        notes.append(("h1", f"NOASSERTION: {facts.sum_notes.get(key, _NO_SUM)}"))
    if key in facts.proofs:
        notes.append(("checksum-database", facts.proofs[key]))
    return Ingredient(
        kind=IngredientKind.MODULE, ref=address, name=real.path, version=real.version, purl=address, h1=h1,
        licence=Licence() if folder else facts.licence(real.path, real.version, h1, folders),
        packages=packages, notes=tuple(notes),
    )  # fmt: skip


def _go(info: BuildInfo, linked: Mapping[str, tuple[str, ...]]) -> Iterator[Ingredient]:
    version = info.go_version.partition(" ")[0].removeprefix("go")
    library, tools = purl("golang", "stdlib", version), purl("golang", "toolchain", version)
    yield Ingredient(
        kind=IngredientKind.STANDARD_LIBRARY, ref=library, name="stdlib", version=version, purl=library,
        licence=_GO_LICENCE, packages=linked.get("", ()),
    )  # fmt: skip
    yield Ingredient(
        kind=IngredientKind.TOOLCHAIN, ref=tools, name="toolchain", version=version, purl=tools, licence=_GO_LICENCE
    )
