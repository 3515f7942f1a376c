"""The import graph of a measured program, asked of Go where its source is available."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.analysis.exclusive import with_graph
from wherry.analysis.imports import ImportGraph
from wherry.analysis.size import BinarySize, SizeDocument
from wherry.app.session import Session
from wherry.errors import InvalidUsage, WherryError

if TYPE_CHECKING:
    from wherry.lab.compiling import Compiler, Recipe

_MODULE = re.compile(r'^module\s+"?([^\s"]+)', re.MULTILINE)


def with_source(session: Session, document: SizeDocument, source: str | None, *, wanted: str) -> SizeDocument:
    """Add what the source tells: bytes that would go with a module, and routes.

    Args:
        session: where.
        document: what was measured.
        source: a folder of the module; None: here, if here it is.
        wanted: the module or package to find import chains to.

    Raises:
        InvalidUsage: the source is wanted and is not there.
        WherryError: Go can't load it.
    """
    binaries = []
    for binary in document.binaries:
        folder = _folder(session, source, binary)
        if folder is None:
            if wanted or source:
                raise InvalidUsage(
                    f"{binary.name}: needs the source of {binary.module or 'its module'} to find imports",
                    hint="give its directory with --source DIR",
                )
            binaries.append(binary)
            continue
        try:
            graph = _graph(session, folder, binary)
        except WherryError as error:
            if wanted or source:
                raise
            binaries.append(msgspec.structs.replace(binary, notes=(*binary.notes, f"imports unknown: {error.message}")))
            continue
        binaries.append(with_graph(binary, graph, routes_to=wanted))
    return msgspec.structs.replace(document, binaries=tuple(binaries))


def _folder(session: Session, source: str | None, binary: BinarySize) -> Path | None:
    """Find the folder of the program's module; of another module's folder nothing is said."""
    if not is_inside(binary.package, binary.module):
        return None
    return module_folder(session, source, binary.module)


def is_inside(package: str, module: str) -> bool:
    """Report whether a package path belongs to a module: a program can name anything, even what Go reads as a flag."""
    return bool(module) and (package == module or package.startswith(f"{module}/"))


def module_folder(session: Session, source: str | None, module: str) -> Path | None:
    """Give the folder that was named, or the session's, if it is in the module; None if it is not."""
    start = (session.cwd / (source or ".")).absolute()
    for folder in (start, *start.parents):
        file = folder / "go.mod"
        if file.is_file():
            found = _MODULE.search(file.read_text(errors="replace"))
            return start if found and found[1] == module else None
    return None


def _graph(session: Session, folder: Path, binary: BinarySize) -> ImportGraph:
    from wherry.host.toolchain import find_toolchain
    from wherry.source.graph import list_imports

    toolchain = find_toolchain(session.runner, session.environment, folder)
    goos, _, goarch = binary.platform.partition("/")
    target = {"GOOS": goos, "GOARCH": goarch.partition("/")[0], "CGO_ENABLED": binary.settings.get("CGO_ENABLED", "0")}
    flags = list(_flags(binary))
    return ImportGraph(list_imports(session.runner, toolchain, folder, binary.package, flags, target))


@contextmanager
def recipe_of(session: Session, binary: BinarySize, source: str | None) -> Iterator[tuple["Compiler", "Recipe"]]:
    """Make what builds a program again as its build info says it was built, in a folder of ours.

    Raises:
        InvalidUsage: its source is not here.
    """
    from tempfile import TemporaryDirectory

    from wherry.host.toolchain import find_toolchain
    from wherry.lab.compiling import Compiler, Recipe
    from wherry.source.module import MainPackage

    folder = _folder(session, source, binary)
    if folder is None:
        raise InvalidUsage(f"{binary.name}: source not found", hint="give its directory with --source DIR")
    goos, _, goarch = binary.platform.partition("/")
    target = {"GOOS": goos, "GOARCH": goarch.partition("/")[0], "CGO_ENABLED": binary.settings.get("CGO_ENABLED", "0")}
    flags = ["-trimpath"] if binary.settings.get("-trimpath") == "true" else []
    flags += ["-ldflags=-s"] if binary.stripped else []
    # Named by its import path, whatever folder we start in.
    package = MainPackage(folder, folder, binary.module, binary.package, "measured")
    with TemporaryDirectory(prefix="wherry-") as place:
        toolchain = find_toolchain(session.runner, session.environment, folder)
        recipe = Recipe(package, (*flags, *_flags(binary)), target)
        yield Compiler(session.runner, toolchain, Path(place)), recipe


def _flags(binary: BinarySize) -> Iterator[str]:
    if tags := binary.settings.get("-tags"):
        yield f"-tags={tags}"
