"""The whole line in one page: a request to an image in the store. Read this first.

source (what the user has) → plan (steps with keys) → build (do what is not cached) → layer → image → store.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.analysis.build_secrets import AT_START, judge_arguments, judge_x_values
from wherry.bases import Bases
from wherry.build.compile import GoFlags
from wherry.build.engine import Engine, Outcome
from wherry.build.origins import note_origins
from wherry.build.perform import ImagePerformer
from wherry.build.recipe import refuse_secrets
from wherry.build.values import Compiled, Facts, compiled_of, descriptor_of, layer_of
from wherry.checkout import Checkout, Released, VcsFacts, rfc3339
from wherry.errors import WherryError
from wherry.finding import Finding, Severity
from wherry.host.process import Runner
from wherry.host.toolchain import locate
from wherry.oci import media
from wherry.oci.config import Layer, RuntimeConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.manifest import Index
from wherry.plan.from_module import Packing, Target, plan_images
from wherry.plan.steps import AddedFile, Plan
from wherry.platform import Platform, order
from wherry.remote import Policy, RemoteBases
from wherry.settings.values import parse_epoch
from wherry.source import published
from wherry.source.module import MainPackage
from wherry.source.vcs import Vcs, VcsAbsent
from wherry.store.contract import write_document
from wherry.store.disk import DiskStore
from wherry.store.results import Results

if TYPE_CHECKING:
    from wherry.registry.open import Registries

GO_VARIABLES = ("GO", "CGO_")
"""Prefixes of what the environment says to Go."""
_NOT_GO = frozenset({"GOPATH_BACKUP", "GOOGLE_APPLICATION_CREDENTIALS", "GOTELEMETRYDIR", "GOPROXY"})
"""Whoever sends a module, its checksum decides."""


class CannotStart(WherryError):
    """The program would not start on the base; nothing was stored under a name."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image that a user asks for."""

    package: MainPackage
    names: tuple[str, ...]
    """Tags in the local store."""
    platforms: tuple[Platform, ...]
    base: str
    flags: GoFlags = field(default_factory=GoFlags)
    go_version: str = ""
    go_environment: Mapping[str, str] = field(default_factory=dict)
    stamp: bool = True
    """Whether facts of version control go into labels, and into a program that reads them."""
    config: RuntimeConfig = field(default_factory=RuntimeConfig)
    path: str = ""
    """Where the program lies in the image; empty: /app/NAME."""
    added: tuple[AddedFile, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    algorithm: str = "gzip"
    level: int | None = None
    debug_info: Path | None = None
    """Where the program with its symbols goes; with several platforms, one file each (`.linux-arm64`)."""


@dataclass(frozen=True, slots=True)
class BuiltPlatform:
    """One platform of a built image."""

    platform: Platform
    image: Image
    compiled: Compiled
    own: tuple[Layer, ...]
    """Layers above the base."""
    compile_outcome: Outcome


@dataclass(frozen=True, slots=True)
class Built:
    """One built image."""

    request: Request
    root: Descriptor
    """Of the manifest, or of the index where there are several platforms."""
    platforms: tuple[BuiltPlatform, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Its tags."""
        return self.request.names

    @property
    def title(self) -> str:
        """What it is called among others."""
        return self.request.package.name

    @property
    def images(self) -> tuple[Image, ...]:
        """One for each platform."""
        return tuple(built.image for built in self.platforms)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All blobs that the image is made of."""
        images = [built.image for built in self.platforms]
        below = (blob for image in images for blob in (image.descriptor, image.manifest.config, *image.manifest.stack))
        return tuple({blob.digest: blob for blob in (self.root, *below)}.values())


@dataclass(frozen=True, slots=True)
class Report:
    """What a build did."""

    images: tuple[Built, ...]
    unchanged: bool
    """Whether everything came from the cache."""
    looked_at: int
    outcomes: Mapping[str, Outcome]
    seconds: float
    vcs: Vcs | VcsAbsent
    began: int
    """Nanoseconds since the epoch, before anything was read."""
    notices: tuple[str, ...] = ()


def _processors() -> int:
    """Count the CPUs we may use; where the system doesn't tell (macOS), all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Pipeline:
    """Builds requests; made for one command."""

    store: DiskStore
    cache: Path
    runner: Runner
    environment: Mapping[str, str]
    registries: "Callable[[], Registries] | None" = None
    """Where bases that are not here are had from; None: nowhere."""
    policy: Policy = field(default_factory=Policy)
    warned: Callable[[str], None] = field(default=lambda _: None)
    clock: Callable[[], float] = time.time
    threads: int = field(default_factory=_processors)
    use_cache: bool = True
    finished: Callable[[Outcome], None] = field(default=lambda _: None)
    said: Callable[[str, str], None] = field(default=lambda _step, _text: None)
    begins: Callable[[], None] = field(default=lambda: None)
    """Called once where something has to be done: not all is cached."""

    @cached_property
    def results(self) -> Results:
        """Results of earlier builds."""
        return Results(self.cache)

    def build(self, requests: Sequence[Request]) -> Report:
        """Build every image and name it; nothing is named unless all of them are whole.

        Raises:
            WherryError: whatever stopped it; the store is as it was, but for blobs that no name leads to.
        """
        began, began_ns = self.clock(), time.time_ns()
        vcs = self._checkout(requests)
        bases = Bases(self.store, self._remote())
        performer = ImagePerformer(
            store=self.store,
            runner=self.runner,
            environment=self.environment,
            scratch=self.cache / "link",
            vcs=lambda: vcs.status,
            judge=judge,
            judge_values=judge_x_values,
            base=bases.take,
            folders=lambda name, image, parents: bases.folders(name, image, parents, self.results),
            holds_layer=bases.holds,
            refuse=lambda compiled, program, image: refuse_if_it_cannot_start(compiled, program, image, bases),
            threads=self.threads,
            said=self.said,
        )
        try:
            with self.store.writing():
                targets = [self._target(request, vcs, bases) for request in requests]
                plan = plan_images(targets, slot=str(requests[0].package.module))
                outcomes, unchanged = self._carry_out(plan, performer)
                note_origins(self.results, outcomes.values())
                built = tuple(self._finish(*pair, outcomes) for pair in zip(requests, targets, strict=True))
                for image in built:
                    self._write_twins(plan, image, performer)
                    for name in image.request.names:
                        self._name(name, image.root)
        finally:
            vcs.stop()
            performer.close()
            self.results.close()
        releases = [request.package.release for request in requests if request.package.release]
        status = vcs.status  # asked for before its notices, which tell of it
        return Report(
            images=built,
            unchanged=unchanged,
            looked_at=performer.looked_at,
            outcomes=outcomes,
            seconds=self.clock() - began,
            vcs=status,
            began=began_ns,
            notices=(*vcs.notices, *(warning for release in releases for warning in release.warnings)),
        )

    def _remote(self) -> RemoteBases | None:
        if self.registries is None:
            return None
        return RemoteBases(self.store, self.registries, self.results, self.policy, self.warned)

    def _carry_out(self, plan: Plan, performer: ImagePerformer) -> tuple[Mapping[str, Outcome], bool]:
        engine = Engine(
            results=self.results,
            locks=self.cache / "locks",
            performer=performer,
            threads=self.threads + 1,
            use_cache=self.use_cache,
            clock=self.clock,
            finished=self.finished,
        )
        cached = engine.lookup(plan)
        if cached is not None:
            return cached, True
        self.begins()
        return engine.run(plan), False

    def _checkout(self, requests: Sequence[Request]) -> Checkout | Released:
        own = next((request.package for request in requests if not request.package.release), None)
        return Checkout(own.module, self.runner, self.environment) if own else Released(None, self.environment)

    def _target(self, request: Request, checkout: Checkout | Released, bases: Bases) -> Target:
        from wherry.layer.compress import Encoding

        encoding = (
            Encoding(request.algorithm, request.level)
            if request.level is not None
            else Encoding.default(request.algorithm)
        )
        for warning in refuse_secrets(_published(request), allowed=request.flags.secrets_allowed):
            self.warned(warning)
        epoch = parse_epoch(self.environment.get("SOURCE_DATE_EPOCH", ""))
        release = request.package.release
        vcs = Released(release, self.environment) if release else checkout
        facts = vcs.facts() if request.stamp else VcsFacts()
        flags = replace(request.flags, ldflags=vcs.expanded(request.flags.ldflags, "--ldflags")).arguments()
        created = epoch if epoch is not None else facts.committed
        return Target(
            package=request.package,
            platforms=order(request.platforms),
            flags=(*published.FLAGS, *flags) if release else flags,
            public=request.flags.public,
            secrets_allowed=request.flags.secrets_allowed,
            environment={
                "CGO_ENABLED": "0",
                **self._go_environment(),
                **(published.ENVIRONMENT if release else {}),
            },
            overrides=request.go_environment,
            go=self._go(request),
            stamp=request.stamp and not release,
            base=request.base,
            base_content=bases.content(request.base),
            path=request.path or f"/app/{request.package.name}",
            added=request.added,
            changes=_configured(request, facts),
            created=rfc3339(created),
            annotations={**bases.annotations(request.base), **request.annotations},
            recipe=_recipe(request, facts, epoch, encoding.encoder, remote=bases.is_remote(request.base)),
            packing=Packing(
                algorithm=encoding.algorithm, level=encoding.level, encoder=encoding.encoder, mtime=epoch or 0
            ),
        )

    def _finish(self, request: Request, target: Target, outcomes: Mapping[str, Outcome]) -> Built:
        from wherry.store.images import read_image

        platforms = []
        for platform in target.platforms:
            manifest = descriptor_of(outcomes[target.step("assemble", platform)].result)
            compiled = outcomes[target.step("compile", platform)]
            packs = [
                outcomes[target.step(what, platform)]
                for what in ("pack files of", "pack")
                if target.step(what, platform) in outcomes
            ]
            platforms.append(
                BuiltPlatform(
                    platform,
                    read_image(self.store, manifest),
                    compiled_of(compiled.result),
                    tuple(layer_of(pack.result) for pack in packs),
                    compiled,
                )
            )
        root = platforms[0].image.descriptor
        if len(platforms) > 1:
            index = Index.of(tuple(built.image.descriptor for built in platforms), dict(request.annotations))
            root = write_document(self.store, media.OCI_INDEX, index.encoded())
        return Built(request, root, tuple(platforms))

    def _write_twins(self, plan: Plan, image: Built, performer: ImagePerformer) -> None:
        from wherry.store.files import replacing

        if image.request.debug_info is None:
            return
        for built in image.platforms:
            place = twin_path(image.request.debug_info, built.platform, many=len(image.platforms) > 1)
            if built.compiled.build_id and _build_id(place) == built.compiled.build_id:
                continue
            twin = performer.link_twin(plan.by_name[built.compile_outcome.step.name], built.compiled)
            with replacing(place) as copy, twin.open("rb") as source:
                while chunk := source.read(1 << 20):
                    copy.write(chunk)
            place.chmod(0o755)

    def _name(self, name: str, root: Descriptor) -> None:
        if self.store.tags().get(name) != root:
            self.store.tag(name, root)

    def _go(self, request: Request) -> str:
        located = locate(self.environment)
        return f"{located[0] if located else ''}" + (f"@{request.go_version}" if request.go_version else "")

    def _go_environment(self) -> dict[str, str]:
        return {
            name: value
            for name, value in self.environment.items()
            if (name.startswith(GO_VARIABLES) and name not in _NOT_GO)
            or name in {"HOME", "XDG_CONFIG_HOME", "CC", "CXX", "AR"}
        }


def twin_path(file: Path, platform: Platform, *, many: bool) -> Path:
    """Say where the program with symbols of a platform goes."""
    return file.with_name(f"{file.name}.{str(platform).replace('/', '-')}") if many else file


def _build_id(program: Path) -> str:
    from wherry.analysis.mapped import map_elf

    return map_elf(program).gnu_build_id if program.is_file() else ""


def judge(program: Path) -> Facts:
    """Read of a fresh program what the line has to know."""
    from wherry.analysis.closure import needs_of, reads_build_info

    needs = needs_of(program)
    return Facts(needs.interpreter, tuple(needs.libraries), reads_build_info(program), _build_id(program))


def refuse_if_it_cannot_start(compiled: Compiled, program: Callable[[], Path], base: Image, bases: Bases) -> None:
    """Stop where the program asks for what its base has not.

    Raises:
        CannotStart: with what it asks for.
    """
    if not compiled.interpreter and not compiled.libraries:
        return
    from wherry.analysis.closure import start_findings

    findings = start_findings(program(), has=bases.root(base).has, platform=base.platform)
    fatal = [finding for finding in findings if finding.severity is Severity.ERROR]
    if fatal:
        raise CannotStart(_why(compiled, fatal), hint=fatal[0].remedy)


def _why(compiled: Compiled, findings: Iterable[Finding]) -> str:
    lines = [f"{compiled.recipe['module.package']} can't start on its base"]
    for finding in findings:
        lines.append(f"  {finding.message}")
        lines.extend(f"    {evidence}" for evidence in finding.evidence)
    return "\n".join(lines)


def _configured(request: Request, facts: VcsFacts) -> RuntimeConfig:
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


def _published(request: Request) -> Iterator[Finding]:
    yield from judge_arguments(request.config.environment, "env", AT_START)
    yield from judge_arguments(request.config.labels or {}, "label", AT_START)
    yield from judge_arguments(request.annotations, "annotation", AT_START)


def _recipe(request: Request, facts: VcsFacts, epoch: int | None, encoder: str, *, remote: bool) -> dict[str, str]:
    from wherry import __version__

    recipe = {
        "wherry": __version__,
        "base.name": request.base if request.base in Bases.EMBEDDED or remote else "external",
        "layers.encoder": encoder,
        "layers.mtime": str(epoch or 0),
        "module.revision": facts.revision,
    }
    if epoch is not None:
        recipe["sourceDateEpoch"] = str(epoch)
    return recipe
