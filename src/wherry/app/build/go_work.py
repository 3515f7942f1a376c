"""Go modules to images: the front end's half of the line that `pipeline.py` shows.

Here, since only here both ends are known: the rooms that make images and the module that asks for them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.analysis.build_secrets import judge_x_values
from wherry.app.build.config import judge_config
from wherry.app.build.go_checks import build_id, judge, refuse_if_it_cannot_start, refuse_unknown_user, warm
from wherry.app.build.options import FrontEnd
from wherry.app.build.profile import profile_lines
from wherry.app.build.result import BuiltImage, BuiltPlatform, GoProgram
from wherry.base.settings import DEFAULTS, BaseSettings
from wherry.bases import Bases
from wherry.build.compile import GoFlags
from wherry.build.origins import note_origins
from wherry.build.perform import ImagePerformer
from wherry.build.program_builder import ProgramBuilder
from wherry.build.recipe import refuse_secrets
from wherry.build.solver import StepOutcome
from wherry.build.values import compiled_of, descriptor_of, layer_of
from wherry.checkout import Checkout, Released, VcsFacts, rfc3339
from wherry.elf.static_pie import VERSION as STATIC_PIE
from wherry.errors import NotFound, WherryError
from wherry.host.toolchain import kept_settings, locate
from wherry.oci import media
from wherry.oci.config import RuntimeConfig
from wherry.oci.manifest import Index
from wherry.plan.go import LayerOptions, ProgramTarget, plan_images
from wherry.plan.graph import AddedFile, Plan
from wherry.platform import LEVELS, Platform, buildable, order
from wherry.settings.template import words_of
from wherry.settings.values import parse_epoch
from wherry.source import published
from wherry.source.module import MainPackage
from wherry.source.vcs import Vcs, VcsAbsent
from wherry.store.contract import write_document

if TYPE_CHECKING:
    from wherry.pipeline import BuildSetup
    from wherry.store.results import Results

GO_VARIABLES = ("GO", "CGO_")
"""Prefixes of what the environment says to Go."""
_NOT_GO = frozenset({"GOPATH_BACKUP", "GOOGLE_APPLICATION_CREDENTIALS", "GOTELEMETRYDIR", "GOPROXY"})
"""GOPROXY cannot change a build: go.sum fixes the content."""


_CGO: Mapping[str, Mapping[str, str]] = {"musl": {"CGO_ENABLED": "1"}, "off": {"CGO_ENABLED": "0"}}
AUTO = "auto"
"""The base that `auto_base` chooses; who does not ask it gets the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoRequest:
    """One image that a user asks for."""

    package: MainPackage
    names: tuple[str, ...]
    """Tags in the local store."""
    platforms: tuple[Platform, ...]
    base: str
    base_said: str = ""
    """How the base was asked for, where that is another name; a rebuild asks the same way."""
    settings: BaseSettings = DEFAULTS
    """What the base has in place of its defaults."""
    flags: GoFlags = field(default_factory=GoFlags)
    go_version: str = ""
    go_environment: Mapping[str, str] = field(default_factory=dict)
    stamp: bool = True
    """Whether facts of version control go into labels, and into a program that reads them."""
    config: RuntimeConfig = field(default_factory=RuntimeConfig)
    path: str = ""
    """The program's path in the image; empty: /app/NAME."""
    added: tuple[AddedFile, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    algorithm: str = "gzip"
    level: int | None = None
    release: bool = False
    """Whether that is the smallest encoding, for which there is another where a registry refuses it."""
    profile: tuple[str, ...] = ()
    cgo: str = ""
    """`musl`, `off`, or empty: as the environment says."""
    no_inline: tuple[str, ...] = ()
    debug_info: Path | None = None
    """Where the program with its symbols goes; with several platforms, one file each (`.linux-arm64`)."""


@dataclass(frozen=True, slots=True)
class GoRequests:
    """Several images, built side by side."""

    images: tuple[GoRequest, ...]
    front_end = FrontEnd.GO

    @contextmanager
    def open(self, setup: "BuildSetup", results: "Results") -> Iterator["GoImages"]:
        """See `pipeline.Request`."""
        own = next((one.package for one in self.images if not one.package.release), None)
        vcs = Checkout(own.module, setup.runner, setup.environment) if own else Released(None, setup.environment)
        bases = Bases(setup.store, setup.remote(results), setup.debs)
        programs = ProgramBuilder(
            runner=setup.runner,
            environment=setup.environment,
            scratch=setup.cache / "link",
            vcs=lambda: vcs.status,
            judge=judge,
            judge_values=judge_x_values,
            warm=warm,
            threads=setup.threads,
            said=setup.listener.printed,
            detail=setup.listener.detail,
            cwd=setup.cwd,
        )
        performer = ImagePerformer(
            store=setup.store,
            programs=programs,
            base=bases.take,
            folders=lambda name, image, parents: bases.folders(name, image, parents, results),
            holds_layer=bases.holds,
            refuse=lambda compiled, program, image: refuse_if_it_cannot_start(
                compiled, program, image, setup.store, setup.cache
            ),
            check_user=lambda user, base, files: refuse_unknown_user(user, base, files, bases),
            threads=setup.threads,
            moving=setup.listener.moving,
        )
        try:
            yield GoImages(setup, self.images, vcs, bases, performer, results)
        finally:
            vcs.stop()
            performer.close()


@dataclass
class GoImages:
    """See `pipeline.Work`."""

    setup: "BuildSetup"
    requests: Sequence[GoRequest]
    vcs: Checkout | Released
    bases: Bases
    performer: ImagePerformer
    results: "Results"
    renewed: frozenset[str] = frozenset()
    _left_out: list[str] = field(default_factory=list)
    """What `--platform all` does not build, a line an image."""
    _targets: list[ProgramTarget] = field(default_factory=list)
    _plan: Plan | None = None

    def plan(self) -> Plan:
        """See `pipeline.Work`."""
        self.requests = [replace(one, base="static") if one.base == AUTO else one for one in self.requests]
        self._targets = [self._target(request) for request in self.requests]
        self._plan = plan_images(self._targets, cache_scope=str(self.requests[0].package.module))
        return self._plan

    def images(self, outcomes: Mapping[str, StepOutcome]) -> list[BuiltImage]:
        """See `pipeline.Work`."""
        note_origins(self.results, outcomes.values())
        return [self._finish(*pair, outcomes) for pair in zip(self.requests, self._targets, strict=True)]

    def keep(self, outcomes: Mapping[str, StepOutcome], *, unchanged: bool) -> None:
        """Write the programs with their symbols."""
        del unchanged
        for request, target in zip(self.requests, self._targets, strict=True):
            self._write_debug_info(request, target, outcomes)

    def abandon(self) -> None:
        """Leave the compiler alone: it ends by itself, and its cache is of use."""

    def placed(self, error: WherryError) -> WherryError:
        """Leave it: the compiler names the place."""
        return error

    def trace(self) -> Vcs | VcsAbsent:
        """Give what git says."""
        return self.vcs.status

    @property
    def notices(self) -> tuple[str, ...]:
        """What profiles, git and published modules have to say."""
        chosen = dict.fromkeys(line for request in self.requests for line in profile_lines(request))
        releases = [request.package.release for request in self.requests if request.package.release]
        return (
            *chosen,
            *self._left_out,
            *self.vcs.notices,
            *(warning for release in releases for warning in release.warnings),
        )

    @property
    def looked_at(self) -> int:
        """See `pipeline.Work`."""
        return self.performer.looked_at

    def _target(self, request: GoRequest) -> ProgramTarget:
        from wherry.layer.compress import Encoding

        encoding = (
            Encoding(request.algorithm, request.level)
            if request.level is not None
            else Encoding.default(request.algorithm)
        )
        for warning in refuse_secrets(
            judge_config(request.config, request.annotations), allowed=request.flags.secrets_allowed
        ):
            self.setup.listener.warn(warning)
        epoch = parse_epoch(self.setup.environment.get("SOURCE_DATE_EPOCH", ""))
        release, bases = request.package.release, self.bases
        vcs = Released(release, self.setup.environment) if release else self.vcs
        facts = vcs.facts() if request.stamp else VcsFacts()
        if other := request.package.dependency:
            # The checkout decides the version of another module, and is not what the program is made of.
            facts = replace(facts, revision="", version=other.version, source="")
        flags = expanded_flags(request.flags, vcs).arguments()
        created = epoch if epoch is not None else facts.committed
        return ProgramTarget(
            package=request.package,
            platforms=self._platforms(request),
            flags=(*published.FLAGS, *flags) if release else flags,
            public=request.flags.public,
            secrets_allowed=request.flags.secrets_allowed,
            environment={
                "CGO_ENABLED": "0",
                **self._go_environment(),
                **(published.ENVIRONMENT if release else {}),
            },
            overrides={**request.go_environment, **_CGO.get(request.cgo, {})},
            go=self._go(request),
            stamp=request.stamp and not release and not request.package.dependency,
            base=request.base,
            base_content=bases.content(request.base, request.settings),
            path=request.path or f"/app/{request.package.name}",
            added=request.added,
            changes=_configured(request, facts),
            created=rfc3339(created),
            annotations={**bases.annotations(request.base), **request.annotations},
            recipe=_recipe(request, facts, epoch, encoding.encoder, remote=bases.is_remote(request.base)),
            packing=LayerOptions(
                algorithm=encoding.algorithm, level=encoding.level, encoder=encoding.encoder, mtime=epoch or 0
            ),
            static_pie=STATIC_PIE if request.flags.pie else 0,
            cgo=request.cgo if request.cgo == "musl" else "",
            no_inline=request.no_inline,
        )

    def _platforms(self, request: GoRequest) -> tuple[Platform, ...]:
        """Give what is built: of `--platform all`, what the base has.

        Raises:
            NotFound: the base has nothing of it.
        """
        named = [platform for platform in request.platforms if not platform.every]
        if len(named) == len(request.platforms) or (there := self.bases.platforms(request.base)) is None:
            return order(request.platforms)
        taken = order([*named, *filter(buildable, there)])
        absent = [str(platform) for platform in request.platforms if platform not in taken]
        foreign = [str(platform) for platform in there if not buildable(platform)]
        said = [f"{', '.join(absent)} (the base has no image for it)"] if absent else []
        said += [f"{', '.join(foreign)} (wherry builds for linux)"] if foreign else []
        if not taken:
            raise NotFound(f"base {request.base}: no image for linux", hint=f"it has: {', '.join(foreign) or 'none'}")
        if said:
            self._left_out.append(f"--platform all with base {request.base} leaves out {'; '.join(said)}")
        return taken

    def _finish(self, request: GoRequest, target: ProgramTarget, outcomes: Mapping[str, StepOutcome]) -> BuiltImage:
        platforms = tuple(self._platform(target, platform, outcomes) for platform in target.platforms)
        root = platforms[0].image.descriptor
        if len(platforms) > 1:
            index = Index.of(tuple(built.image.descriptor for built in platforms), dict(request.annotations))
            root = write_document(self.setup.store, media.OCI_INDEX, index.encoded())
        return BuiltImage(
            names=request.names,
            title=request.package.name,
            root=root,
            platforms=platforms,
            base=request.base,
            package=request.package.import_path,
        )

    def _platform(
        self, target: ProgramTarget, platform: Platform, outcomes: Mapping[str, StepOutcome]
    ) -> BuiltPlatform:
        from wherry.store.images import read_image

        manifest = descriptor_of(outcomes[target.step("assemble", platform)].result)
        outcome = outcomes[target.step("compile", platform)]
        compiled = compiled_of(outcome.result)
        packs = [target.step(what, platform) for what in ("pack files of", "pack")]
        return BuiltPlatform(
            platform=platform,
            image=read_image(self.setup.store, manifest),
            own=tuple(layer_of(outcomes[pack].result) for pack in packs if pack in outcomes),
            program=GoProgram(compiled.digest, compiled.size, compiled.go, outcome.cached, outcome.seconds),
        )

    def _write_debug_info(self, request: GoRequest, target: ProgramTarget, outcomes: Mapping[str, StepOutcome]) -> None:
        from wherry.store.files import replacing

        if request.debug_info is None:
            return
        for platform in target.platforms:
            outcome = outcomes[target.step("compile", platform)]
            compiled = compiled_of(outcome.result)
            place = debug_path(request.debug_info, platform, many=len(target.platforms) > 1)
            if compiled.build_id and build_id(place) == compiled.build_id:
                continue
            debug = self.performer.programs.link_debug_binary(outcome.step, compiled)
            with replacing(place) as copy, debug.open("rb") as source:
                while chunk := source.read(1 << 20):
                    copy.write(chunk)
            place.chmod(0o755)

    def _go(self, request: GoRequest) -> str:
        located = locate(self.setup.environment)
        return f"{located[0] if located else ''}" + (f"@{request.go_version}" if request.go_version else "")

    def _go_environment(self) -> dict[str, str]:
        own = {**kept_settings(self.setup.environment, LEVELS), **self.setup.environment}
        return {
            name: value
            for name, value in own.items()
            if (name.startswith(GO_VARIABLES) and name not in _NOT_GO)
            or name in {"HOME", "XDG_CONFIG_HOME", "CC", "CXX", "AR"}
        }


def expanded_flags(flags: GoFlags, vcs: Checkout | Released) -> GoFlags:
    """Replace templates in flags by what they name.

    Raises:
        InvalidUsage: a name is unknown, or has no value here.
    """
    return replace(
        flags,
        ldflags=vcs.expanded(flags.ldflags, flags.place("ldflags")),
        gcflags=vcs.expanded(flags.gcflags, flags.place("gcflags")),
        asmflags=vcs.expanded(flags.asmflags, flags.place("asmflags")),
        tags=words_of(vcs.expanded(",".join(flags.tags), flags.place("tags"))),
    )


def debug_path(file: Path, platform: Platform, *, many: bool) -> Path:
    """Say where the program with symbols of a platform goes."""
    return file.with_name(f"{file.name}.{str(platform).replace('/', '-')}") if many else file


def _configured(request: GoRequest, facts: VcsFacts) -> RuntimeConfig:
    import msgspec

    path = request.path or f"/app/{request.package.name}"
    config = request.config
    labels = {
        "org.opencontainers.image.title": request.package.name,
        "org.opencontainers.image.revision": facts.revision,
        "org.opencontainers.image.version": facts.version,
        "org.opencontainers.image.source": facts.source,
        **(config.labels or {}),
    }
    return msgspec.structs.replace(
        config,
        entrypoint=config.entrypoint or (path,),
        labels={name: value for name, value in labels.items() if value},
    )


def _recipe(request: GoRequest, facts: VcsFacts, epoch: int | None, encoder: str, *, remote: bool) -> dict[str, str]:
    from wherry import __version__

    recipe = {
        "wherry": __version__,
        "base.name": request.base_said or request.base if Bases.is_named(request.base) or remote else "external",
        "layers.encoder": encoder,
        "layers.mtime": str(epoch or 0),
        "module.revision": facts.revision,
        **request.settings.recipe(),
    }
    if request.profile:
        recipe["go.profile"] = ",".join(request.profile)
    if epoch is not None:
        recipe["sourceDateEpoch"] = str(epoch)
    return recipe
