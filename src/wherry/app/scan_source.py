"""What the source tells of a hole: the imports that lead to it, the line of go.mod to change, and the change itself."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from wherry.analysis.imports import ImportGraph
from wherry.app.scan_upgrades import Upgrade, argument_for
from wherry.errors import InvalidUsage, NotFound
from wherry.trust.known_holes import STDLIB, TOOLCHAIN, Hole

if TYPE_CHECKING:
    from wherry.app.scan_result import ScannedSubject
    from wherry.app.session import Session
    from wherry.golang.modfile import Replacement

_PATH = re.compile(r"[A-Za-z0-9][!-<>-?A-~]*")
"""Paths of modules that are words of a command: neither an option nor two words."""


def with_routes(session: "Session", subject: "ScannedSubject", source: str) -> "ScannedSubject":
    """Add the shortest chain of imports to each package with a hole, where the source was named.

    Raises:
        InvalidUsage: the directory is of another module than the program.
        PackageBroken: Go cannot load it.
    """
    wanted = {package for hole in subject.result.holes for package in hole.packages}
    if subject.kind != "program" or not wanted:
        return subject
    from wherry.app.imports import module_folder

    module = subject.module.partition("@")[0]
    folder = module_folder(session, source, module)
    if folder is None:
        raise InvalidUsage(f"--source {source}: not the module {module}", hint="give the directory with its go.mod")
    go_mod = next((one / "go.mod" for one in (folder, *folder.parents) if (one / "go.mod").is_file()), None)
    lines = go_mod_lines(go_mod.read_text(errors="replace"), subject.result.holes) if go_mod else {}
    tags = subject.target.get("-tags", "")
    target = {name: text for name, text in subject.target.items() if not name.startswith("-")}
    flags = [f"-tags={tags}"] if tags else []
    graph = _graph(session, folder, subject.package, flags, target)
    calls = _calls(session, folder, subject, flags, target)
    routes = {package: found[0] for package in sorted(wanted) if (found := graph.routes({package}))}
    return replace(subject, routes=routes, calls=calls, lines=lines)


def _calls(
    session: "Session", folder: Path, subject: "ScannedSubject", flags: list[str], target: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Link the program once, and read from what the linker prints how each vulnerable function is reached."""
    from tempfile import TemporaryDirectory

    from wherry.golang.names import package_of
    from wherry.host.toolchain import find_toolchain
    from wherry.lab.compiling import Compiler, Recipe
    from wherry.lab.deadcode import chains
    from wherry.source.module import MainPackage
    from wherry.trust.linked import escape, symbol_of

    wanted = {symbol for hole in subject.result.holes for symbol in hole.symbols if not symbol.endswith("*")}

    def called(name: str) -> str:
        package = package_of(name)
        return f"{package}.{symbol_of(name.removeprefix(f'{escape(package)}.'))}" if package else ""

    if not wanted:
        return {}
    package = MainPackage(folder, folder, subject.module.partition("@")[0], subject.package, "measured")
    with TemporaryDirectory(prefix="wherry-") as place:
        toolchain = find_toolchain(session.runner, session.environment, folder)
        recipe = Recipe(package, ("-trimpath", "-ldflags=-dumpdep", *flags), target)
        _, printed = Compiler(session.runner, toolchain, Path(place)).compile(recipe, "linked")
    found: dict[str, tuple[str, ...]] = {}
    for name, whole in chains(printed.splitlines(), lambda symbol: called(symbol) in wanted).items():
        symbol, chain = called(name), _from_main(whole)
        if len(chain) > 1 and (symbol not in found or len(chain) < len(found[symbol])):
            found[symbol] = chain
    return found


def _from_main(chain: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out what the runtime does before the program, and steps that only go from a function to its value."""
    from wherry.golang.names import unescape

    start = chain.index("main.main") if "main.main" in chain else 0
    return tuple(dict.fromkeys(unescape(step) for step in chain[start:]))


def imported_packages(session: "Session", folder: Path) -> frozenset[str]:
    """Ask Go which packages all packages of a module need.

    Raises:
        PackageBroken: Go cannot load them.
    """
    graph = _graph(session, folder, "./...", [], {})
    return frozenset({*graph.imports, *(name for names in graph.imports.values() for name in names)})


def _graph(session: "Session", folder: Path, package: str, flags: list[str], target: Mapping[str, str]) -> ImportGraph:
    from wherry.host.toolchain import find_toolchain
    from wherry.source.graph import list_imports

    toolchain = find_toolchain(session.runner, session.environment, folder)
    return ImportGraph(list_imports(session.runner, toolchain, folder, package, flags, target))


def go_mod_lines(text: str, holes: Iterable[Hole]) -> dict[str, int]:
    """Find the lines of go.mod that decide the versions of modules with holes; those that have none are left out."""
    modules = {hole.module: hole.required_as or hole.module for hole in holes}
    return {module: line for module, named in modules.items() if (line := go_mod_line(text, named))}


def go_mod_line(text: str, module: str) -> int:
    """Find the line of go.mod that decides a module's version; 0: there is none."""
    words = re.escape(module) if module not in {STDLIB, TOOLCHAIN} else r"(?:toolchain|go)"
    found = re.search(rf"^[ \t]*(?:require[ \t]+)?\"?{words}\"?[ \t]+\S", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 0


@dataclass(frozen=True, slots=True)
class Fixed:
    """What was changed."""

    upgrades: tuple[Upgrade, ...]
    failed: tuple[tuple[Upgrade, str], ...]
    diff: tuple[str, ...]
    """The lines of a unified diff of go.mod."""


def _commands(one: Upgrade, replaced: "Iterable[Replacement]") -> tuple[tuple[str, ...], ...]:
    """Give the calls of Go that raise a module, and put its checksum into go.sum."""
    if not one.required_as:
        return (("get", argument_for(one.module, one.to)),)
    lines = (line for line in replaced if (line.old_path, line.new_path) == (one.required_as, one.module))
    at = next((f"@{line.old_version}" for line in lines if line.old_version), "")
    return (
        ("mod", "edit", f"-replace={one.required_as}{at}={one.module}@{one.to}"),
        ("mod", "download", one.required_as),
    )


def fix(session: "Session", folder: Path, wanted: Iterable[Upgrade]) -> Fixed:
    """Raise modules in go.mod, one after the other; one that fails leaves the others.

    By `go get`; where another module replaces the one that is required, in the line that says so.

    Raises:
        NotFound: there is no go.mod.
        HostUnable: there is no Go.
    """
    import difflib

    from wherry.golang.modfile import parse_go_mod
    from wherry.host.toolchain import find_toolchain

    file = folder / "go.mod"
    if not file.is_file():
        raise NotFound(f"{folder}: no go.mod to change", hint="give the module's directory with --source DIR")
    before = file.read_text(errors="replace")
    toolchain = find_toolchain(session.runner, session.environment, folder)
    replaced = parse_go_mod(before, str(file)).replace
    done, failed = [], []
    for one in wanted:
        if not all(_PATH.fullmatch(path) for path in (one.module, one.required_as or one.module)):
            failed.append((one, "a path like this is not given to Go"))
            continue
        for words in _commands(one, replaced):
            outcome = session.runner.run(toolchain.command(folder, *words, extra={}))
            if outcome.returncode:
                failed.append((one, outcome.words))
                break
        else:
            done.append(one)
    after = file.read_text(errors="replace")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "go.mod", "go.mod", lineterm="", n=1)
    return Fixed(tuple(done), tuple(failed), tuple(lines))
