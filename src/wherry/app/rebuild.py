"""Build a published image again, and say that it is identical, or what differs first and why.

Everything an image says is hostile: flags pass an allowlist, source comes from the user or is fetched when the user
says so, modules are downloaded first, and then Go runs without a network, with empty caches, one job at a time, in
another directory.
"""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from wherry.app.images import open_image
from wherry.app.progress import Progress, Silent
from wherry.app.rebuild_base import recorded_base
from wherry.app.rebuild_compare import Rebuilt, compared_images, compared_programs
from wherry.app.rebuild_provenance import StatedBuild, stated_build
from wherry.app.rebuild_recipe import SOURCE_LABEL, RebuildRecipe
from wherry.app.rebuild_settings import goflags_of, recorded_linkage, without_harm
from wherry.app.rebuild_source import CannotRebuild, fetched_source, source_at
from wherry.app.session import Session
from wherry.errors import WherryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.app.build.options import GoBuild
    from wherry.app.images import OpenImage

_NAME = "rebuilt:rebuilt"
_ENCODER = r"\blevel (\d+)"
_BY_PLATFORM = frozenset({"GOOS", "GOARCH", "GOARM", "GOAMD64", "GOARM64"})
"""What platforms, their variants and the environment set, and `go-env` may not."""
_USUAL = {"GOAMD64": "v1", "GOARM64": "v8.0", "GOARM": "7", "CGO_ENABLED": "0"}
"""Values that a build has anyway; those of one architecture are in no recipe of another."""
_GENERATED = ("dev.wherry.recipe", "org.opencontainers.image.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildOptions:
    """What the user says of a rebuild."""

    source: str | None = None
    """Folder of the module or its repository; None: the session's folder."""
    fetch: bool = False
    """Whether the repository that the image names may be cloned."""
    ldflags: str | None = None
    """In place of the recipe's, with the values that it withholds."""
    platform: str | None = None
    """The only one to build; None: all of the image."""
    provenance: str | None = None
    """A file of SLSA provenance, for an image without a recipe; None: what the image says counts."""


def rebuild(
    session: Session, name: str, options: RebuildOptions | None = None, *, progress: Progress | None = None
) -> Rebuilt:
    """Build an image of a Go module again from its recipe, and compare.

    Args:
        session: where the image is looked for; nothing is written to its store or cache.
        name: an image, as `open_image` takes it.
        options: see there.
        progress: where steps are reported; None: nowhere.

    Raises:
        NotFound: there is no such image.
        CannotRebuild: it can't be built again; nothing was built.
        WherryError: the build failed.

    Cost: a build with empty caches.
    """
    options, progress = options or RebuildOptions(), progress or Silent()
    found = open_image(session, name)
    recipe = RebuildRecipe.of(found, options.platform, _stated(session, found, options))
    with TemporaryDirectory(prefix="wherry-rebuild-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        module = _source(session, recipe, options, folder / "source" / "checkout", progress)
        recipe = replace(recipe, notes=(*recipe.notes, *_other_context(session, recipe, options)))
        built = _Rebuild(session, found, recipe, module, folder, progress).build(options)
        if recipe.program:
            return compared_programs(found, built, options.platform, recipe)
        return compared_images(found, built, options.platform, recipe.notes)


def _stated(session: Session, found: "OpenImage", options: RebuildOptions) -> StatedBuild:
    if options.provenance is None:
        return StatedBuild()
    digests = {str(found.digest), *(str(image.descriptor.digest) for image in found.images(None))}
    return stated_build(session, options.provenance, frozenset(digests))


def _other_context(session: Session, recipe: RebuildRecipe, options: RebuildOptions) -> "Iterator[str]":
    """Note that a folder is not the context that provenance names; a commit names its files itself."""
    if not recipe.context or options.fetch or recipe.text("module", "revision"):
        return
    from wherry.app.build.materials import folder_hash

    found = folder_hash(session.cwd / (options.source or "."))
    if found != recipe.context:
        yield f"the source is not the context of the build: its directory hash is {found}, not {recipe.context}"


def _source(session: Session, recipe: RebuildRecipe, options: RebuildOptions, folder: Path, progress: Progress) -> Path:
    folder.parent.mkdir(parents=True)
    revision, module = recipe.text("module", "revision"), recipe.text("module", "path")
    if options.source is None and options.fetch:
        url = recipe.labels.get(SOURCE_LABEL, "")
        if not url or not revision:
            raise CannotRebuild(f"{recipe.name} does not name a repository and a commit", hint="give --source DIR")
        progress.line(f"fetching {url} at {revision[:12]}")
        return fetched_source(session, url, revision, module, folder)
    if options.source is None:
        url = recipe.labels.get(SOURCE_LABEL, "")
        here = _holds(session.cwd, module)
        if not here:
            says = f"it names {url}: add --fetch to clone that" if url else "its recipe names no repository"
            raise CannotRebuild(f"no source for {module}", hint=f"give --source DIR; {says}")
    return source_at(session, options.source or ".", revision, module, folder)


def _holds(folder: Path, module: str) -> bool:
    from wherry.app.rebuild_source import module_of

    return any(module_of(one) == module for one in (folder, *folder.parents))


class _Rebuild:
    """One build with nothing kept."""

    def __init__(
        self,
        session: Session,
        found: "OpenImage",
        recipe: RebuildRecipe,
        module: Path,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._found = found
        self._recipe, self._module, self._folder, self._progress = recipe, module, folder, progress
        self._outer = session
        self._session = Session(
            store=folder / "store", cache=folder / "cache", cwd=module, environment=self._environment(session),
            home=session.home, keyring=session.keyring, insecure=frozenset(session.insecure), progress=progress,
            clock=session.clock, cancelled=session.cancelled, unpack_limit=session.unpack_limit,
        )  # fmt: skip

    def build(self, options: RebuildOptions) -> "OpenImage":
        from wherry.app.build.build import build

        recipe = self._recipe
        if recipe.withheld and options.ldflags is None and "ldflags" not in self._settings():
            raise CannotRebuild(
                f"the recipe withholds the values of {', '.join(recipe.withheld)}",
                hint="give them with --ldflags '-X NAME=VALUE', or in the source's wherry.toml",
            )
        self._download()
        self._close_network()
        wanted = without_harm(self._session, self._wanted(options), self._folder)
        build(self._session, wanted)
        return open_image(self._session, _NAME)

    def _settings(self) -> str:
        file = self._module / "wherry.toml"
        return file.read_text(errors="replace") if file.is_file() else ""

    def _environment(self, session: Session) -> dict[str, str]:
        recipe = self._recipe
        goflags = goflags_of(recipe.text("go", "goflags"))
        kept = {
            name: value
            for name, value in session.environment.items()
            if not name.startswith(("GO", "CGO_", "KO_", "WHERRY_", "SOURCE_DATE_EPOCH", "GIT_"))
            or name in {"GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOAUTH"}
        }
        ours = {
            "GOCACHE": str(self._folder / "go-build"),
            "GOMODCACHE": str(self._folder / "modules"),
            "GOPATH": str(self._folder / "gopath"),
            "GOFLAGS": shlex.join([*goflags, *recipe.stamping, "-p=1", "-modcacherw"]),
        }
        if recipe.text("go", "experiment"):
            ours["GOEXPERIMENT"] = recipe.text("go", "experiment")
        for name in ("GOAMD64", "GOARM64"):
            level = recipe.built.environment.get(name, _USUAL[name])
            if level != _USUAL[name] and not any(platform.variant for platform in recipe.platforms):
                ours[name] = level
        if recipe.epoch:
            ours["SOURCE_DATE_EPOCH"] = recipe.epoch
        return {**kept, **ours}

    def _download(self) -> None:
        """Download Go and the modules, which needs a network, before anything is compiled."""
        from wherry.host.process import Command
        from wherry.host.toolchain import find_toolchain

        session, recipe = self._session, self._recipe
        version = recipe.built.go.removeprefix("go")
        environment = dict(session.environment)
        known = self._outer.environment.get("GOMODCACHE") or _asked(self._outer, self._module, "GOMODCACHE")
        proxies = environment.get("GOPROXY") or _asked(self._outer, self._module, "GOPROXY")
        for name in ("GOSUMDB", "GOPRIVATE", "GONOSUMDB", "GONOPROXY"):
            environment.setdefault(name, _asked(self._outer, self._module, name))
        if known:
            # What this user's Go has is the nearest proxy; go.sum is checked for each module all the same.
            environment["GOPROXY"] = f"file://{known}/cache/download,{proxies}"
        try:
            toolchain = find_toolchain(session.runner, environment, self._module, version=version)
        except WherryError as error:
            raise CannotRebuild(f"{recipe.built.go}: {error.message}", hint=error.hint) from error
        if recipe.text("module", "source") == "vendor":
            return
        command = Command((toolchain.program, "mod", "download"), self._module, toolchain.environment)
        self._progress.line("downloading modules")
        done = session.runner.run(command)
        if done.returncode:
            raise CannotRebuild(
                f"go mod download: {done.words}", hint="set GOPROXY, GOPRIVATE and credentials as for the first build"
            )

    def _close_network(self) -> None:
        from wherry.host.offline import OfflineRunner, is_possible

        environment = {**self._session.environment, "GOPROXY": "off", "GOENV": "off"}
        self._session.environment = environment
        runner = self._session.runner
        if is_possible(runner, self._module, dict(environment)):
            self._session.__dict__["runner"] = OfflineRunner(runner)
        else:
            self._progress.line("this machine has no network namespaces: Go runs with GOPROXY=off, but not cut off")

    def _linker_flags(self, options: RebuildOptions, recorded: list[str]) -> str | None:
        if options.ldflags is not None:
            return options.ldflags
        return None if self._recipe.withheld else shlex.join(recorded)

    def _wanted(self, options: RebuildOptions) -> "GoBuild":
        from wherry.app.build.options import GoBuild

        recipe, config = self._recipe, self._recipe.config
        flags = {flag.lstrip("-").partition("=")[0]: flag.partition("=")[2] for flag in recipe.built.flags}
        linker = shlex.split(flags.get("ldflags", ""))
        rest = [word for word in linker if word not in {"-s", "-w", "-buildid="}]
        package, module = recipe.text("module", "package"), recipe.text("module", "path")
        inside = package.removeprefix(module).strip("/")
        there = package == module or package.startswith(f"{module}/")
        if not there or ".." in inside.split("/") or not (self._module / inside).is_dir():
            raise CannotRebuild(f"{module} has no package {package}", hint="give the right source with --source")
        encoder = recipe.text("layers", "encoder")
        level = _level(encoder)
        own = [
            pair
            for pair in recipe.built.environment.items()
            if pair[0] not in _BY_PLATFORM and _USUAL.get(pair[0]) != pair[1]
        ]
        return GoBuild(
            packages=(f"./{inside}" if inside else ".",),
            tags=(_NAME,),
            platforms=recipe.platforms,
            base=recipe.text("base", "name"),
            **recorded_base(recipe.document["base"], self._found, self._folder),
            trimpath="trimpath" in flags,
            strip="-s" in linker and not recipe.program,
            strip_buildid="-buildid=" in linker and not recipe.program,
            ldflags=self._linker_flags(options, linker if recipe.program else rest),
            gcflags=flags.get("gcflags") or None,
            asmflags=flags.get("asmflags") or None,
            go_tags=tuple(flags["tags"].split(",")) if flags.get("tags") else None,
            go_env=tuple(own),
            **recorded_linkage(self._session, recipe.document["go"]),
            go_version=recipe.built.go.removeprefix("go") or None,
            no_vcs=not recipe.text("module", "revision"),
            user=_string(config.get("User")) or None,
            workdir=_string(config.get("WorkingDir")) or None,
            labels=tuple((name, value) for name, value in recipe.labels.items() if not name.startswith(_GENERATED)),
            env=tuple(_pairs(config.get("Env"))),
            entrypoint=_words(config.get("Entrypoint")),
            cmd=_words(config.get("Cmd")),
            expose=_words(list(ports)) if isinstance(ports := config.get("ExposedPorts"), dict) else None,
            compression="zstd" if "zstd" in encoder else "none" if not level else "gzip",
            compression_level=level,
            allow_secret_ldflags=True,
            budgets=False,
            no_cache=True,
            go=True,
        )


def _level(encoder: str) -> int | None:
    import re

    found = re.search(_ENCODER, encoder)
    return int(found[1]) if found else None


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _words(value: object) -> tuple[str, ...] | None:
    return tuple(str(word) for word in value) if isinstance(value, list | tuple) and value else None


def _pairs(value: object) -> "Iterator[tuple[str, str]]":
    for line in value if isinstance(value, list | tuple) else ():
        name, _, text = str(line).partition("=")
        yield name, text


def _asked(session: Session, folder: Path, name: str) -> str:
    """Ask Go for a setting of the user's."""
    from wherry.host.process import Command

    try:
        done = session.runner.run(Command(("go", "env", name), folder, session.environment))
    except WherryError:
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
