"""Programs of the modules that go.mod or go.work brings in, found by import path as `go build IMPORT/PATH` does.

Source: Go 1.26, `go help list` (-find, Module, Error); go.dev/ref/mod, "Resolving a package to a module".
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from wherry.errors import NotFound
from wherry.host.process import Runner
from wherry.host.toolchain import find_toolchain
from wherry.source.module import Dependency, MainPackage, NoMainPackage, module_path_of, one_a_line, program_name
from wherry.typed import json_decoder

Words = tuple[str, str, str, str]
"""Import path, module, version and folder of the sources."""
_ASKED = "Dir,ImportPath,Name,Standard,Module,Error"


class _Module(msgspec.Struct, rename="pascal"):
    path: str = ""
    version: str = ""


class _Problem(msgspec.Struct, rename="pascal"):
    err: str = ""


class _Package(msgspec.Struct, rename="pascal"):
    dir: str = ""
    import_path: str = ""
    name: str = ""
    standard: bool = False
    """Whether it is Go's own; `cmd/link` is far more often a folder that is not there."""
    module: _Module | None = None
    error: _Problem | None = None


def find_dependency(runner: Runner, environment: Mapping[str, str], import_path: str, place: Path) -> MainPackage:
    """Find a program of a module that is required, replaced, vendored or used by a workspace.

    Args:
        runner: starts `go list`.
        environment: the user's, whole.
        import_path: such as `example.com/lib/cmd/t`.
        place: the folder with the go.mod, or the go.work, that decides the versions; `go build` runs there.

    Raises:
        NotFound: no module there provides it; the message has Go's words.
        NoMainPackage: it is a library.
        HostUnable: there is no Go, or none as new as the module asks.

    Cost: one `go list`; a module that is not in the module cache yet is downloaded.
    """
    toolchain = find_toolchain(runner, environment, place)
    answer = runner.run(toolchain.command(place, "list", "-e", "-find", f"-json={_ASKED}", "--", import_path))
    packages = json_decoder(_Package).decode_lines(one_a_line(answer.stdout)) if not answer.returncode else []
    if len(packages) != 1 or packages[0].error or not packages[0].dir or packages[0].standard:
        said = packages[0].error.err if packages and packages[0].error else answer.words
        raise NotFound(
            f"{import_path}: not a package of this module or of one that it requires: {_first(said, import_path)}",
            hint=f"build a published program with {import_path}@latest, or require its module: go get {import_path}",
        )
    found = packages[0]
    if found.name != "main":
        raise NoMainPackage(
            f"{import_path}: package {found.name}, not main", hint="give the import path of a main package"
        )
    module = found.module or _Module()
    return package_of(place, (found.import_path, module.path, module.version, found.dir))


def words_of(package: MainPackage) -> Words | None:
    """Write down what a program of another module is, for a plan; None for other programs."""
    other = package.dependency
    return (package.import_path, other.module, other.version, str(other.folder)) if other else None


def package_of(place: Path, words: Words) -> MainPackage:
    """Read what `words_of` wrote; `place` is the folder that `go build` runs in."""
    import_path, module, version, sources = words
    other = Dependency(module, version, Path(sources))
    return MainPackage(place, place, module_path_of(place), import_path, program_name(import_path), dependency=other)


def _first(words: str, import_path: str) -> str:
    lines = [line.strip() for line in words.strip().splitlines() if line.strip()]
    said = lines[0] if lines else "go list found nothing"
    return said.rstrip(":;").removeprefix(f"package {import_path}: ").partition("; to add it")[0]
