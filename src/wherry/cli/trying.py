"""`wherry slim` and `wherry flags`: a program chosen as `wherry build` does, compiled again and again."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wherry.app.build.go_request import request_of
from wherry.app.build.go_work import GO_VARIABLES, GoRequest
from wherry.app.build.programs import Chosen, chosen_of
from wherry.app.places import TOML
from wherry.build import compile as go
from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.host.toolchain import find_toolchain
from wherry.lab.compiling import Compiler, Recipe
from wherry.layer.compress import Encoding
from wherry.platform import Platform
from wherry.settings.options import BuildOptions
from wherry.settings.values import parse_platforms


@dataclass(frozen=True, slots=True)
class Bench:
    """A program that can be compiled in any way."""

    chosen: Chosen
    request: GoRequest
    platform: Platform
    compiler: Compiler
    recipe: Recipe
    """How `wherry build` compiles it."""
    encoding: Encoding
    """Of the layer that `wherry build` makes."""


@contextmanager
def bench_of(world: World, program: str, platform: str | None) -> Iterator[Bench]:
    """Choose the program and make a folder to compile it in.

    Raises:
        InvalidUsage: the words mean several programs.
    """
    found = tuple(chosen_of(world, () if program == "." else (program,), offline=False))
    if len(found) > 1:
        names = ", ".join(one.package.import_path for one in found)
        raise InvalidUsage(f"there are several programs: {names}", hint="name one")
    chosen = found[0]
    asked = parse_platforms([platform]) if platform else parse_platforms(["linux/amd64"])
    request = request_of(
        world, BuildOptions(platforms=asked if platform else None), asked, chosen, stamp=False, outputs=()
    )
    toolchain = find_toolchain(world.runner, world.environment, chosen.package.folder, version=request.go_version)
    goflags = go.words_of(toolchain.settings.get("GOFLAGS", ""))
    first = request.platforms[0]
    own = {name: text for name, text in world.environment.items() if name.startswith(GO_VARIABLES)}
    environment = {"CGO_ENABLED": "0", **own, **first.go_environment(), **request.go_environment}
    recipe = Recipe(chosen.package, go.merged(request.flags.arguments(), goflags), environment)
    encoding = Encoding(request.algorithm, request.level) if request.level else Encoding.default(request.algorithm)
    with TemporaryDirectory(prefix="wherry-") as folder:
        yield Bench(chosen, request, first, Compiler(world.runner, toolchain, Path(folder)), recipe, encoding)


def say_slim(world: World, program: str, platform: str | None, *, apply: bool, as_json: bool) -> int:
    """Carry `wherry slim` out."""
    from wherry.lab.slim import slim, tags_of
    from wherry.lab.ways import known_ways, that_apply, way_of
    from wherry.report.lab import slim_document, slim_lines
    from wherry.source.graph import list_imports

    with bench_of(world, program, platform) as bench:
        recipe = bench.recipe
        imports = list_imports(
            world.runner, bench.compiler.toolchain, bench.chosen.package.folder, bench.chosen.package.argument,
            go.listing_flags(recipe.flags), recipe.environment, main=bench.chosen.package.import_path,
        )  # fmt: skip
        own = (way_of(name, row) for name, row in _own_ways(bench.chosen).items())
        tags = {tag for flag in recipe.flags if flag.startswith("-tags=") for tag in flag[6:].split(",")}
        ways = tuple(that_apply(known_ways(own), imports.keys(), tags))
        found = slim(bench.compiler, recipe, ways, imports, bench.encoding, lambda line: world.note(f"  {line}"))
        if as_json:
            world.say(json.dumps(slim_document(found)))
        else:
            for line in slim_lines(found):
                world.say(line)
        if apply:
            _apply(world, bench, tags_of(found.advised))
        elif found.advised:
            world.note(f"--apply writes {', '.join(tags_of(found.advised))} into {TOML}")
    return 0


def say_flags(world: World, options: Mapping[str, Any]) -> int:
    """Carry `wherry flags` out."""
    from wherry.lab.flags import Running, flags, runs_here
    from wherry.lab.variants import variants_for
    from wherry.report.flags import flags_document, flags_lines

    with bench_of(world, options["program"], options["platform"]) as bench:
        running = None
        if options["run_"]:
            if not runs_here(bench.recipe):
                raise InvalidUsage(f"a program for {bench.platform} can't be started here", hint="leave --run out")
            given = dict(pair.partition("=")[::2] for pair in options["env"])
            passed = {name: text or world.environment.get(name, "") for name, text in given.items()}
            running = Running(options["arguments"], {**world.environment, **passed}, options["runs"], options["ready"])
        variants = variants_for(bench.platform.architecture, deep=options["deep"])
        found = flags(bench.compiler, bench.recipe, variants, running, lambda line: world.note(f"  {line}"))
        if options["as_json"]:
            world.say(json.dumps(flags_document(found)))
        else:
            for line in flags_lines(found):
                world.say(line)
    return 0


def _own_ways(chosen: Chosen) -> dict[str, dict[str, object]]:
    from wherry.settings.wherry_toml import Settings

    file = chosen.folder / TOML
    if not file.is_file():
        return {}
    return {name: dict(row) for name, row in Settings.parse(file.read_text(errors="replace")).slim.items()}


def _apply(world: World, bench: Bench, tags: list[str]) -> None:
    """Write tags into wherry.toml, where the program's other tags stand."""
    from wherry.settings.rewrite import with_list
    from wherry.settings.wherry_toml import Settings
    from wherry.store.files import editing

    if not tags:
        world.note("nothing pays without dropping something: wherry.toml stays as it is")
        return
    chosen = bench.chosen
    file = chosen.folder / TOML
    text = file.read_bytes().decode(errors="surrogateescape") if file.is_file() else ""
    table = _table_of(chosen.service, Settings.parse(text).services)
    wanted = tuple(dict.fromkeys((*(chosen.options.go_tags or ()), *tags)))
    with editing(file) as sink:
        sink.write(with_list(text, table, "go-tags", wanted).encode(errors="surrogateescape"))
    world.note(f"{file}: [{table}] go-tags = {', '.join(wanted)}")


def _table_of(service: str, services: Mapping[str, BuildOptions]) -> str:
    """Name the table for a service's tags: its own where it has tags, or others are there that nobody tried."""
    if not service or (len(services) == 1 and services[service].go_tags is None):
        return "build"
    return f'services."{service}"' if "." in service else f"services.{service}"
