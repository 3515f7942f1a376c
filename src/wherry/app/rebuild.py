"""Build a published image again, and say that it is identical, or what differs first and why.

Everything an image says is hostile: flags pass an allowlist, source comes from the user or is fetched when the user
says so, modules are downloaded first, and then Go runs without a network, with empty caches, one job at a time, in
another directory.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from wherry.analysis.difference import Compared
from wherry.app.images import open_image, recipe_in
from wherry.app.progress import Progress, Silent
from wherry.app.rebuild_base import recorded_base
from wherry.app.rebuild_provenance import StatedBuild, stated_build
from wherry.app.rebuild_settings import goflags_of, recorded_linkage, without_harm
from wherry.app.rebuild_source import CannotRebuild, fetched_source, source_at
from wherry.app.session import Session
from wherry.errors import NotFound, WherryError
from wherry.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wherry.app.build.options import GoBuild
    from wherry.app.images import OpenImage
    from wherry.lab.relink import Built
    from wherry.oci.image import Image

_NAME = "rebuilt:rebuilt"
_SOURCE = "org.opencontainers.image.source"
_ENCODER = r"\blevel (\d+)"
_BY_PLATFORM = frozenset({"GOOS", "GOARCH", "GOARM", "GOAMD64", "GOARM64"})
"""What platforms, their variants and the environment set, and `go-env` may not."""
_USUAL = {"GOAMD64": "v1", "GOARM64": "v8.0", "GOARM": "7", "CGO_ENABLED": "0"}
"""Values that a build has anyway; those of one architecture are in no recipe of another."""
_GENERATED = ("dev.wherry.recipe", "org.opencontainers.image.")


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry rebuild --json` prints."""

    version: int = 1
    identical: bool
    before: str
    """The image that was asked about, with its digest; or a program's path."""
    after: str
    """What it was compared with."""
    platforms: tuple[Compared, ...]
    notes: tuple[str, ...] = ()
    """What limits the answer."""


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


def compare(session: Session, before: str, after: str, *, platform: str | None = None) -> Rebuilt:
    """Compare two images, or two programs, without building.

    Args:
        session: where they are looked for.
        before: an image, or a program's file.
        after: the same.
        platform: of images with several, the only one to compare; None: all.

    Raises:
        NotFound: one is not there.
    """
    from wherry.app.subjects import is_program

    paths = session.cwd / before, session.cwd / after
    if all(map(is_program, paths)):
        from wherry.analysis.differing_programs import compare_files

        compared = compare_files(*paths, before)
        return Rebuilt(identical=not compared.differences, before=before, after=after, platforms=(compared,))
    return _compared(open_image(session, before), open_image(session, after), platform, ())


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
    recipe = _Recipe.of(found, options.platform, _stated(session, found, options))
    with TemporaryDirectory(prefix="wherry-rebuild-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        module = _source(session, recipe, options, folder / "source" / "checkout", progress)
        recipe = replace(recipe, notes=(*recipe.notes, *_other_context(session, recipe, options)))
        built = _Rebuild(session, found, recipe, module, folder, progress).build(options)
        if recipe.program:
            return _compared_programs(found, built, options.platform, recipe)
        return _compared(found, built, options.platform, recipe.notes)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What the recipe of an image says, checked."""

    name: str
    built: "Built"
    document: Mapping[str, Mapping[str, str]]
    platforms: tuple[Platform, ...]
    labels: Mapping[str, str]
    config: Mapping[str, object]
    epoch: str
    notes: tuple[str, ...]
    program: str = ""
    """The path of the only thing to compare: the program of an image without a recipe."""
    context: str = ""
    """The directory hash of the context of a Dockerfile, as its provenance says it."""

    @classmethod
    def of(cls, found: "OpenImage", platform: str | None, stated: StatedBuild) -> "_Recipe":
        from wherry.lab.relink import built_by_recipe

        images = found.images(Platform.parse(platform) if platform else None)
        first = images[0]
        labels = dict(first.config.runtime.labels or {})
        if not recipe_in(labels):
            labels["dev.wherry.recipe"] = stated.recipes.get(str(first.platform), "")
        if stated.source:
            labels.setdefault(_SOURCE, stated.source)
        document = recipe_in(labels)
        built = _checked(lambda: built_by_recipe(labels["dev.wherry.recipe"]))
        sections = {key: value for key, value in document.items() if isinstance(value, dict)}
        if built is None or not {"module", "go", "base", "layers"} <= sections.keys():
            return _by_program(found, images, labels, stated)
        notes = []
        if str(sections["module"].get("revision", "")).endswith("-dirty"):
            raise CannotRebuild(
                f"{found.name} was built from a changed working tree at {sections['module']['revision'][:12]}: "
                "its source is in no commit",
                hint="build it again from a commit",
            )
        from wherry import __version__

        if document.get("wherry") != __version__:
            notes.append(f"built by wherry {document.get('wherry')}; this is {__version__}")
        return cls(
            found.name, built, sections, tuple(image.platform for image in images), labels,
            msgspec.to_builtins(first.config.runtime), str(document.get("sourceDateEpoch", "")), tuple(notes),
        )  # fmt: skip

    def text(self, section: str, key: str) -> str:
        """Give a value of the recipe; empty where there is none."""
        value = self.document[section].get(key, "")
        return value if isinstance(value, str) else ""

    @property
    def stamping(self) -> tuple[str, ...]:
        """The flag for the state of version control; wherry's own builds decide by what the program reads."""
        return (f"-buildvcs={str(self.built.stamped).lower()}",) if self.program else ()

    @property
    def withheld(self) -> tuple[str, ...]:
        """Variables whose -X values are not published."""
        return tuple(self.text("go", "withheld").split())


def _stated(session: Session, found: "OpenImage", options: RebuildOptions) -> StatedBuild:
    if options.provenance is None:
        return StatedBuild()
    digests = {str(found.digest), *(str(image.descriptor.digest) for image in found.images(None))}
    return stated_build(session, options.provenance, frozenset(digests))


def _by_program(
    found: "OpenImage", images: "Sequence[Image]", labels: Mapping[str, str], stated: StatedBuild
) -> _Recipe:
    """Take what Go records of the program in an image that another tool built."""
    from wherry.app.rebuild_program import NOTE, program_recipe
    from wherry.lab.relink import NotTheSame

    try:
        path, built, sections = program_recipe(found, images[0])
    except NotTheSame as error:
        raise CannotRebuild(error.message, hint="build it from source yourself, and compare with --against") from error
    revision = sections["module"]["revision"] or stated.revision
    if revision.endswith("-dirty"):
        raise CannotRebuild(
            f"{found.name} was built from a changed working tree at {revision[:12]}: its source is in no commit",
            hint="build it again from a commit",
        )
    sections["module"]["revision"] = revision
    source = {name: value for name, value in labels.items() if name == _SOURCE}
    return _Recipe(
        found.name,
        built,
        sections,
        tuple(image.platform for image in images),
        source,
        {},
        "",
        (NOTE,),
        program=path,
        context=stated.context,
    )


def _other_context(session: Session, recipe: _Recipe, options: RebuildOptions) -> "Iterator[str]":
    """Note that a folder is not the context that provenance names; a commit names its files itself."""
    if not recipe.context or options.fetch or recipe.text("module", "revision"):
        return
    from wherry.app.build.materials import folder_hash

    found = folder_hash(session.cwd / (options.source or "."))
    if found != recipe.context:
        yield f"the source is not the context of the build: its directory hash is {found}, not {recipe.context}"


def _checked(read: "Callable[[], Built | None]") -> "Built | None":
    try:
        return read()
    except WherryError as error:
        raise CannotRebuild(error.message, hint="build it from source yourself, and compare with --against") from error


def _source(session: Session, recipe: _Recipe, options: RebuildOptions, folder: Path, progress: Progress) -> Path:
    folder.parent.mkdir(parents=True)
    revision, module = recipe.text("module", "revision"), recipe.text("module", "path")
    if options.source is None and options.fetch:
        url = recipe.labels.get(_SOURCE, "")
        if not url or not revision:
            raise CannotRebuild(f"{recipe.name} does not name a repository and a commit", hint="give --source DIR")
        progress.line(f"fetching {url} at {revision[:12]}")
        return fetched_source(session, url, revision, module, folder)
    if options.source is None:
        url = recipe.labels.get(_SOURCE, "")
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
        self, session: Session, found: "OpenImage", recipe: _Recipe, module: Path, folder: Path, progress: Progress
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


def _compared_programs(before: "OpenImage", after: "OpenImage", platform: str | None, recipe: _Recipe) -> Rebuilt:
    from wherry.app.rebuild_program import compare_only_programs

    images = before.images(Platform.parse(platform) if platform else None)
    compared = compare_only_programs(before, after, images)
    return Rebuilt(
        identical=all(not one.differences for one in compared),
        before=f"{before.name}@{before.digest} {recipe.program}",
        after="the same program, built again",
        platforms=compared,
        notes=recipe.notes,
    )


def _compared(before: "OpenImage", after: "OpenImage", platform: str | None, notes: tuple[str, ...]) -> Rebuilt:
    from wherry.analysis.differing_images import compare_images

    wanted = Platform.parse(platform) if platform else None
    sides = [{str(image.platform): image for image in one.images(wanted)} for one in (before, after)]
    shared = [name for name in sides[0] if name in sides[1]]
    if not shared and len(sides[0]) == len(sides[1]) == 1:
        pairs = [(next(iter(sides[0].values())), next(iter(sides[1].values())))]
    elif not shared:
        raise NotFound(
            f"{before.name} and {after.name} have no platform in common",
            hint=f"{before.name} has {', '.join(sides[0])}; {after.name} has {', '.join(sides[1])}",
        )
    else:
        pairs = [(sides[0][name], sides[1][name]) for name in shared]
    compared = tuple(compare_images((before.source, one), (after.source, other)) for one, other in pairs)
    alone = [name for name in (*sides[0], *sides[1]) if (name in sides[0]) != (name in sides[1])] if shared else []
    same = not alone and all(not one.differences for one in compared)
    if alone:
        notes = (*notes, f"only in one of them: {', '.join(alone)}")
    return Rebuilt(
        identical=same, before=f"{before.name}@{before.digest}", after=f"{after.name}@{after.digest}",
        platforms=compared, notes=notes,
    )  # fmt: skip
