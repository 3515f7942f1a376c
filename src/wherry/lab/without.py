"""What would go without a module, measured: the program is built with the bodies of the module's functions left out.

Types, constants and what a variable's own value needs stay, so that the rest compiles: what is measured is at most what
would go, less the module's types. Source: Go 1.26, `go help build` (-overlay).
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from wherry.build.compile import CompileFailed, listing_flags
from wherry.errors import NotFound
from wherry.host.process import Command
from wherry.lab.compiling import Compiler, Recipe
from wherry.lab.countdown import Countdown
from wherry.source.module import PackageBroken, one_a_line
from wherry.typed import json_decoder

Said = Callable[[str], None]


class _Module(msgspec.Struct, rename="pascal"):
    path: str = ""
    dir: str = ""
    go_mod: str = ""
    main: bool = False


class _Package(msgspec.Struct, rename="pascal"):
    import_path: str
    name: str = ""
    dir: str = ""
    go_files: tuple[str, ...] = ()
    s_files: tuple[str, ...] = ()
    standard: bool = False
    module: _Module | None = None


@dataclass(frozen=True, slots=True)
class Without:
    """What a rebuild said."""

    before: int
    """Bytes of the file."""
    after: int
    files: int
    """The module or package with its functions removed."""


def measure_without(compiler: Compiler, recipe: Recipe, name: str, say: Said) -> Without:
    """Build a program unchanged, and without what a module or a package does.

    Args:
        compiler: what compiles.
        recipe: how the program is compiled.
        name: a module, or a package.
        say: receives progress messages.

    Raises:
        NotFound: the program has nothing of it.
        CompileFailed: it can't be built without it.
    """
    packages = _packages(compiler, recipe)
    chosen = [one for one in packages if not one.standard and _is_of(one, name)]
    if not chosen:
        raise NotFound(
            f"{name}: not a module or package of the program", hint="`wherry size` lists modules and packages"
        )
    trial = Countdown(say, 2)
    trial("building it unchanged")
    before = _size(compiler, recipe)
    trial(f"building without the functions of {name}")
    paths = [f"{one.dir}/{file}" for one in chosen for file in one.go_files]
    assembled = [f"{one.dir}/{file}" for one in chosen if one.s_files for file in one.go_files]
    stubs = _stubs(compiler, paths, assembled, {one.import_path: one.name for one in packages})
    after = _size(compiler, _with_stubs(compiler, recipe, packages, chosen[0].module, stubs))
    return Without(before, after, len(paths))


def _with_stubs(
    compiler: Compiler,
    recipe: Recipe,
    packages: Sequence[_Package],
    module: _Module | None,
    stubs: Mapping[str, str],
) -> Recipe:
    """Have files stand in for others. Go lets none stand in for one of the module cache: there the module is copied."""
    cached = compiler.toolchain.settings["GOMODCACHE"]
    if module is None or not module.dir.startswith(cached):
        overlay = compiler.folder / "overlay.json"
        overlay.write_text(json.dumps({"Replace": stubs}))
        return replace(recipe, flags=(*recipe.flags, f"-overlay={overlay}"))
    copied = compiler.folder / "copied"
    shutil.copytree(module.dir, copied, copy_function=shutil.copyfile)
    for place in [copied, *copied.rglob("*")]:
        place.chmod(0o700 if place.is_dir() else 0o600)
    if not (copied / "go.mod").exists():
        (copied / "go.mod").write_text(f"module {module.path}\n")
    for path, stub in stubs.items():
        shutil.copyfile(stub, copied / Path(path).relative_to(module.dir))
    own = Path(next(one.module.go_mod for one in packages if one.module and one.module.main))
    modfile = compiler.folder / "other.mod"
    modfile.write_text(f"{own.read_text()}\nreplace {module.path} => {copied}\n")
    if own.with_suffix(".sum").exists():
        shutil.copyfile(own.with_suffix(".sum"), modfile.with_suffix(".sum"))
    return replace(recipe, flags=(*recipe.flags, f"-modfile={modfile}", "-mod=mod"))


def _is_of(package: _Package, name: str) -> bool:
    return name in {package.import_path, package.module.path if package.module else ""}


def _size(compiler: Compiler, recipe: Recipe) -> int:
    program, _ = compiler.compile(recipe, "measured")
    size = program.stat().st_size
    program.unlink()
    return size


def _packages(compiler: Compiler, recipe: Recipe) -> Sequence[_Package]:
    words = ("list", "-deps", "-e", "-buildvcs=false", "-json=ImportPath,Name,Dir,GoFiles,SFiles,Standard,Module")
    command = compiler.toolchain.command(
        recipe.package.folder, *words, *listing_flags(recipe.flags), recipe.argument, extra=recipe.environment
    )
    answer = compiler.runner.run(command)
    if answer.returncode:
        raise PackageBroken(f"{recipe.package.import_path}: {answer.words}", hint="run `go build` there to see it too")
    return json_decoder(_Package).decode_lines(one_a_line(answer.stdout))


def _stubs(
    compiler: Compiler, paths: Sequence[str], assembled: Sequence[str], names: Mapping[str, str]
) -> dict[str, str]:
    folder = compiler.folder / "stubs"
    folder.mkdir(exist_ok=True)
    asked = json.dumps({"Files": paths, "Names": names, "Assembled": assembled}).encode()
    with as_file(files("wherry.lab").joinpath("gosrc", "stub.go")) as source:
        # The tool runs here, whatever the program is for; a file alone needs no module.
        environment = {**compiler.toolchain.environment, "GOFLAGS": "", "GOWORK": "off", "GO111MODULE": "off"}
        argv = (compiler.toolchain.program, "run", str(source), str(folder))
        done = compiler.runner.run(Command(argv, compiler.folder, environment, asked))
    if done.returncode:
        raise CompileFailed(f"functions could not be removed: {done.words}", hint="report this output")
    return dict(json.loads(done.stdout)["Replace"])
