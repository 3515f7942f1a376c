"""`wherry slim` and `wherry flags`: a program chosen as `wherry build` does, compiled again and again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from wherry.app.build.base_choice import BaseChooser
from wherry.app.build.go_request import request_of
from wherry.app.build.go_work import GO_VARIABLES, GoRequest, expanded_flags
from wherry.app.build.programs import ChosenProgram, chosen_of
from wherry.app.extras import need_explain
from wherry.app.places import TOML
from wherry.app.progress import Progress, Silent
from wherry.app.session import Session
from wherry.build import compile as go
from wherry.checkout import Checkout
from wherry.errors import InvalidUsage, NotFound, WherryError
from wherry.host.toolchain import find_toolchain, kept_settings
from wherry.lab.compiling import Compiler, Recipe
from wherry.layer.compress import Encoding
from wherry.oci.reference import Reference
from wherry.platform import LEVELS, Platform
from wherry.settings.options import BuildOptions
from wherry.settings.values import parse_platforms

if TYPE_CHECKING:
    from wherry.lab.flags import FlagTrials
    from wherry.lab.slim import SlimFindings


@dataclass(frozen=True, slots=True)
class VariantCompiler:
    """A program that can be compiled in any way."""

    chosen: ChosenProgram
    request: GoRequest
    platform: Platform
    compiler: Compiler
    recipe: Recipe
    """How `wherry build` compiles it."""
    encoding: Encoding
    """Of the layer that `wherry build` makes."""


def _programs_of(session: Session, program: str) -> tuple[ChosenProgram, ...]:
    """Find the programs that a word names: a folder, a service, or an image of the local store by what built it."""
    try:
        return tuple(chosen_of(session, () if program == "." else (program,), offline=False))
    except NotFound:
        package = _package_of_image(session, program)
        if not package:
            raise
    try:
        found = tuple(chosen_of(session, (package,), offline=False))
    except NotFound as error:
        raise NotFound(
            f"{program}: built from {package}, but its source was not found",
            hint="run it in the module's directory, or give the directory of the main package",
        ) from error
    named = tuple(one for one in found if str(Reference.parse(program)) in map(_full, one.options.tags or ()))
    return named or found


def _full(name: str) -> str:
    return str(Reference.parse(name))


def _package_of_image(session: Session, name: str) -> str:
    """Read what an image of the local store was built from; empty where there is none, or wherry did not build it."""
    from wherry.app.images import recipe_of
    from wherry.store.images import images_of

    try:
        image = next(iter(images_of(session.store, session.store.resolve(name))), None)
    except WherryError:
        return ""
    module = recipe_of(image).get("module") if image else None
    if not isinstance(module, dict) or not isinstance(package := module.get("package"), str):
        return ""
    version = module.get("version")
    return f"{package}@{version}" if isinstance(version, str) and version else package


@contextmanager
def bench_of(session: Session, program: str, platform: str | None) -> Iterator[VariantCompiler]:
    """Choose the program and make a folder to compile it in.

    Raises:
        InvalidUsage: the words mean several programs.
    """
    found = _programs_of(session, program)
    if len(found) > 1:
        names = ", ".join(one.package.import_path for one in found)
        raise InvalidUsage(f"several programs found: {names}", hint="choose one")
    chosen = found[0]
    asked = parse_platforms([platform]) if platform else parse_platforms(["linux/amd64"])
    above = BuildOptions(platforms=asked if platform else None, ca=(), ca_for=(), ca_only=False)  # no endpoint is asked
    request = request_of(BaseChooser(session), above, asked, chosen, stamp=False, outputs=())
    toolchain = find_toolchain(session.runner, session.environment, chosen.package.folder, version=request.go_version)
    goflags = go.words_of(toolchain.settings.get("GOFLAGS", ""))
    first = request.platforms[0]
    known = {**kept_settings(session.environment, LEVELS), **session.environment}
    own = {name: text for name, text in known.items() if name.startswith(GO_VARIABLES)}
    environment = {
        "CGO_ENABLED": "0",
        **own,
        **first.go_environment(),
        **first.go_levels(own),
        **request.go_environment,
    }
    vcs = Checkout(chosen.package.module, session.runner, session.environment)
    try:
        flags = expanded_flags(request.flags, vcs)
    finally:
        vcs.stop()
    recipe = Recipe(chosen.package, go.merged(flags.arguments(), goflags), environment)
    encoding = Encoding(request.algorithm, request.level) if request.level else Encoding.default(request.algorithm)
    with TemporaryDirectory(prefix="wherry-") as folder, _seen_from(session, chosen):
        yield VariantCompiler(
            chosen, request, first, Compiler(session.runner, toolchain, Path(folder)), recipe, encoding
        )


@contextmanager
def _seen_from(session: Session, chosen: ChosenProgram) -> Iterator[None]:
    """Write paths in what the compiler says as they are where the user is."""
    from wherry.source.go_messages import places_in, seen_from

    try:
        yield
    except go.CompileFailed as error:
        error.message = seen_from(error.message, chosen.package.folder, session.cwd)
        error.places = tuple(places_in(error.message))
        raise


@dataclass(frozen=True, slots=True)
class SlimResult:
    """What keeps a program's bytes alive, and what was written of it."""

    found: "SlimFindings"
    tags: tuple[str, ...]
    """Build tags that pay and drop nothing."""
    file: Path | None = None
    """The wherry.toml that they were written to."""
    table: str = ""
    written: tuple[str, ...] = ()
    """All tags that stand there now."""


def slim(
    session: Session,
    program: str = ".",
    *,
    platform: str | None = None,
    apply: bool = False,
    progress: Progress | None = None,
) -> SlimResult:
    """Find what defeats dead-code elimination, and try known fixes by rebuilding.

    Args:
        session: where Go is.
        program: a folder, or a service of wherry.toml.
        platform: the one to try it on; None: the first.
        apply: whether tags that pay and drop nothing are written into wherry.toml.
        progress: where it is reported.

    Raises:
        InvalidUsage, NotFound: it is not a program, or there are several.
        ExplainMissing: numpy is not installed.

    Cost: a compilation for each fix.
    """
    need_explain("finding what keeps code alive")
    from wherry.lab.remedies import known_ways, that_apply, way_of
    from wherry.lab.slim import slim as tried
    from wherry.lab.slim import tags_of
    from wherry.source.graph import list_imports

    with bench_of(session, program, platform) as bench:
        recipe = bench.recipe
        imports = list_imports(
            session.runner, bench.compiler.toolchain, bench.chosen.package.folder, bench.chosen.package.argument,
            go.listing_flags(recipe.flags), recipe.environment, main=bench.chosen.package.import_path,
        )  # fmt: skip
        own = (way_of(name, row) for name, row in _own_ways(bench.chosen).items())
        tags = {tag for flag in recipe.flags if flag.startswith("-tags=") for tag in flag[6:].split(",")}
        ways = tuple(that_apply(known_ways(own), imports.keys(), tags))
        with (progress or Silent()).step("slim") as step:
            found = tried(bench.compiler, recipe, ways, imports, bench.encoding, step.detail)
        advised = tuple(tags_of(found.advised))
        if not apply or not advised:
            return SlimResult(found, advised)
        return SlimResult(found, advised, *_apply(bench, advised))


def flags(
    session: Session,
    program: str = ".",
    *,
    platform: str | None = None,
    deep: bool = False,
    start: "VariantStart | None" = None,
    progress: Progress | None = None,
) -> "FlagTrials":
    """Build a program in every variant of flags that matters; weigh each, and start it if asked to.

    Args:
        session: where Go is.
        program: a folder, or a service of wherry.toml.
        platform: the one to try it on; None: the first.
        deep: try what compiles packages again too.
        start: how variants are started; None: they are not.
        progress: where it is reported.

    Raises:
        InvalidUsage: it can't be started on this machine.
    """
    from wherry.lab.flags import StartPlan, runs_here
    from wherry.lab.flags import flags as tried
    from wherry.lab.variants import variants_for

    with bench_of(session, program, platform) as bench:
        running = None
        if start:
            if not runs_here(bench.recipe):
                raise InvalidUsage(f"this machine cannot run programs for {bench.platform}", hint="remove --run")
            passed = {name: text or session.environment.get(name, "") for name, text in start.env.items()}
            running = StartPlan(start.arguments, {**session.environment, **passed}, start.runs, start.ready)
        variants = variants_for(bench.platform.architecture, deep=deep)
        with (progress or Silent()).step("flags") as step:
            return tried(bench.compiler, bench.recipe, variants, running, step.detail)


@dataclass(frozen=True, slots=True)
class VariantStart:
    """How variants are started."""

    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables; an empty one is the session's."""
    runs: int = 20
    ready: str = ""
    """A URL that answers once it is ready; empty: it listens."""


def _own_ways(chosen: ChosenProgram) -> dict[str, dict[str, object]]:
    from wherry.settings.wherry_toml import Settings

    file = chosen.folder / TOML
    if not file.is_file():
        return {}
    return {name: dict(row) for name, row in Settings.parse(file.read_text(errors="replace")).slim.items()}


def _apply(bench: VariantCompiler, tags: tuple[str, ...]) -> tuple[Path, str, tuple[str, ...]]:
    """Write tags into wherry.toml, where the program's other tags stand; give the file, the table and all tags."""
    from wherry.settings.rewrite import with_list
    from wherry.settings.wherry_toml import Settings
    from wherry.store.edits import editing

    chosen = bench.chosen
    file = chosen.folder / TOML
    text = file.read_bytes().decode(errors="surrogateescape") if file.is_file() else ""
    table = _table_of(chosen.service, Settings.parse(text).services)
    wanted = tuple(dict.fromkeys((*(chosen.options.go_tags or ()), *tags)))
    with editing(file) as sink:
        sink.write(with_list(text, table, "go-tags", wanted).encode(errors="surrogateescape"))
    return file, table, wanted


def _table_of(service: str, services: Mapping[str, BuildOptions]) -> str:
    """Return the table for a service's tags: its own if it has tags, or if services exist that were not tried."""
    if not service or (len(services) == 1 and services[service].go_tags is None):
        return "build"
    return f'services."{service}"' if "." in service else f"services.{service}"
