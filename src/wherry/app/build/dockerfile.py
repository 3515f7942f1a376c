"""A build of a Dockerfile, as the pipeline is asked for it: options over wherry.toml, contexts, secrets."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from wherry.app.budget_gate import Budgeted, counted_from
from wherry.app.build.attached import attached_of
from wherry.app.build.cache_export import bring, carrier, import_mounts, packer
from wherry.app.build.call import Call, Streams
from wherry.app.build.config import config_of
from wherry.app.build.deliver import Delivery, check_names, check_platforms
from wherry.app.build.dockerfile_work import Caches, DockerfileRequest, Machine
from wherry.app.build.encoding import EVERYWHERE, encoding_for, encoding_of_level, policy_of
from wherry.app.build.machine import machine_of
from wherry.app.build.options import DockerfileBuild, FrontEnd
from wherry.app.build.prove import Proof, trace_options
from wherry.app.build.published_values import ALLOWED
from wherry.app.build.secrets import agents_of, secrets_of
from wherry.app.build.sources import Source, arguments_of, named_contexts
from wherry.app.progress import Progress
from wherry.app.session import Session
from wherry.build.context import LocalContext
from wherry.dockerfile.frontend import refuse_other
from wherry.dockerfile.instructions import Dockerfile
from wherry.dockerfile.parser import parse
from wherry.errors import NotFound
from wherry.layer.compress import Encoding
from wherry.oci.reference import Reference, names_registry
from wherry.plan.dockerfile_target import DockerfileTarget, StageLayerOptions
from wherry.plan.ops import CopyFrom, CopyOp, CopySource
from wherry.plan.stage_state import StageOptions
from wherry.platform import Platform
from wherry.settings.budgets import Budgets
from wherry.settings.options import BuildOptions
from wherry.settings.outputs import encoding_of
from wherry.settings.values import Added, parse_epoch
from wherry.settings.wherry_toml import Settings

_NAME = re.compile(r"[^a-z0-9._-]+")
_GROUP_AND_OTHERS_WRITE = 0o022


@dataclass(frozen=True, slots=True)
class DockerfileCall:
    """A whole build of a Dockerfile, and what it was read from."""

    call: Call
    source: Source
    images: Mapping[str, str]
    """Named contexts that are images: how they are found, by name."""


@contextmanager
def dockerfile_call(
    session: Session, wanted: DockerfileBuild, source: Source, streams: Streams, progress: Progress
) -> Iterator[DockerfileCall]:
    """Read what a build of a Dockerfile asks for, and the files that say more of it.

    Raises:
        InvalidUsage, InvalidSettings, NotFound, DockerfileError: with what to write instead.
    """
    refuse_other(source.text)
    file = parse(source.text)
    settings = _settings(session, source)
    above = wanted.settings()
    compression, level = encoding_of(wanted.outputs, above.compression, above.compression_level)
    above = replace(above, compression=compression, compression_level=level)
    options = settings.build.under(above)
    names = _names(options, source)
    proofs = (Proof(settings.prove, source.folder if source.local else session.cwd),) if wanted.prove else ()
    for proof in proofs:
        trace_options(proof)  # so that what is malformed is refused before anything is built
    delivery = Delivery.of(session.cwd, wanted)
    check_names(session, names, delivery, insecure=wanted.insecure)
    check_platforms(options.platforms or (), wanted.outputs)
    if wanted.insecure:
        session.insecure |= {Reference.parse(name).registry for name in (*names, *_bases(file))}
    added = _added_files(session, settings, above, source)
    with ExitStack() as stack:
        contexts, images, folders = named_contexts(session, wanted.build_contexts, stack)
        request = DockerfileRequest(
            plan=_request(session, wanted, options, source.cache_scope, _Read(file, contexts, images, added)),
            names=names,
            machine=_machine(session, wanted, streams, progress),
            contexts={
                **folders,
                **({"": source.context} if source.context else {}),
                **{one.context: one.open for one in added},
            },
            secrets_allowed=ALLOWED in wanted.allow,
            caches=_caches(session, wanted, progress),
        )
        call = Call(
            request=request,
            fallback=_readable_everywhere(request) if options.release else None,
            why=f"Dockerfile: {source.name}",
            delivery=delivery,
            jobs=wanted.jobs,
            policy=policy_of(session, wanted, session.cwd, *([source.folder] if source.local else [])),
            use_cache=not wanted.no_cache,
            encodings=frozenset([Encoding(request.plan.packing.algorithm, request.plan.packing.level)]),
            strict_encoder=wanted.strict_encoder,
            budgeted=_budgeted(session, wanted, settings, source, names[0]),
            proofs=proofs,
            modules=((source.folder, modules),) if (modules := _modules(source)) else (),
            attached=attached_of(wanted),
        )
        yield DockerfileCall(call, source, images)


def _added_files(
    session: Session, settings: Settings, above: BuildOptions, source: Source
) -> "tuple[AddedContext, ...]":
    """Give the steps of `add`: the command line's take the place of those of wherry.toml."""
    if above.add is not None:
        return tuple(_added(one, session.cwd) for one in above.add)
    return tuple(_added(one, source.folder) for one in settings.build.add or ())


def _machine(session: Session, wanted: DockerfileBuild, streams: Streams, progress: Progress) -> partial[Machine]:
    return partial(
        machine_of,
        session,
        isolation=wanted.isolation,
        secrets=secrets_of(session, wanted.secrets),
        agents=agents_of(session, wanted.agents),
        shell=streams.shell if wanted.debug_shell else None,
        notice=progress.warn,
        ignore_chown=wanted.ignore_chown_errors,
    )


def _caches(session: Session, wanted: DockerfileBuild, progress: Progress) -> Caches:
    return Caches(
        bring=lambda results: bring(session, wanted.cache_from, results, progress),
        mounts=lambda client: import_mounts(session, wanted.cache_from, client, progress),
        carry=carrier(session, wanted.cache_to, progress),
        pack=packer(wanted.cache_to),
    )


def _settings(session: Session, source: Source) -> Settings:
    """Read the wherry.toml of a context that is a folder here; one that is for Go modules says nothing."""
    if source.settings is None or not source.settings.is_file():
        return Settings(BuildOptions(), {})
    name = os.path.relpath(source.settings, session.cwd)
    settings = Settings.parse(source.settings.read_text(errors="replace"), name, FrontEnd.DOCKERFILE)
    return settings if settings.build.front_door != FrontEnd.GO else Settings(BuildOptions(), {})


def _modules(source: Source) -> str:
    """Say how the modules of a context that is a folder here are verified: as its wherry.toml says for any build."""
    if source.settings is None or not source.settings.is_file():
        return ""
    return Settings.parse(source.settings.read_text(errors="replace"), str(source.settings)).trust.modules


def _budgeted(
    session: Session, wanted: DockerfileBuild, settings: Settings, source: Source, name: str
) -> tuple[Budgeted, ...]:
    budgets = settings.budgets if wanted.budgets else Budgets()
    return counted_from([Budgeted(name, budgets, source.folder)], wanted.against, session.cwd)


def _readable_everywhere(request: DockerfileRequest) -> DockerfileRequest:
    packing = _packing(EVERYWHERE[0], EVERYWHERE[1], rewrite=request.plan.packing.rewrite)
    return replace(request, plan=replace(request.plan, packing=packing))


def _packing(algorithm: str, level: int | None, *, rewrite: bool) -> StageLayerOptions:
    encoding = encoding_of_level(algorithm, level)
    return StageLayerOptions(
        algorithm=encoding.algorithm, level=encoding.level, encoder=encoding.encoder, rewrite=rewrite
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read for a request."""

    file: Dockerfile
    contexts: Mapping[str, str]
    """Kinds of named contexts."""
    images: Mapping[str, str]
    added: tuple["AddedContext", ...]


def _request(
    session: Session, wanted: DockerfileBuild, options: BuildOptions, cache_scope: str, read: _Read
) -> DockerfileTarget:
    arguments = dict(arguments_of(session, wanted.build_args))
    epoch = parse_epoch(arguments.get("SOURCE_DATE_EPOCH") or session.environment.get("SOURCE_DATE_EPOCH", ""))
    if epoch is not None:
        arguments["SOURCE_DATE_EPOCH"] = str(epoch)
    here = Platform.of("linux", os.uname().machine)
    algorithm, level = encoding_for(options, wanted.outputs)
    return DockerfileTarget(
        file=read.file,
        contexts=read.contexts,
        context_images=read.images,
        platforms=options.platforms or (here,),
        build_platform=here,
        implicit=not options.platforms,
        target=wanted.target,
        options=StageOptions(
            arguments=arguments,
            network=wanted.network,
            hosts=wanted.hosts,
            limits=wanted.limits,
            shm=wanted.shm,
            host_network="network.host" in wanted.allow,
            insecure="security.insecure" in wanted.allow,
            epoch=epoch,
        ),
        changes=config_of(options),
        added=tuple(one.gather(epoch or 0) for one in read.added),
        annotations=options.annotations or (),
        packing=_packing(algorithm, level, rewrite=any(output.rewrite_timestamp for output in wanted.outputs)),
        no_cache=frozenset(wanted.no_cache_filter),
        cache_scope=cache_scope,
    )


@dataclass(frozen=True, slots=True)
class AddedContext:
    """A file of `--add`: a context of its own, and where the file goes."""

    file: Path
    added: Added
    mode: int

    @property
    def context(self) -> str:
        """The name of the context, which no other has."""
        return f"--add {self.file}"

    def open(self) -> LocalContext:
        """Open the folder that the file is in."""
        return LocalContext(self.file.parent)

    def gather(self, epoch: int) -> CopyOp:
        """Give the step; times are SOURCE_DATE_EPOCH, or 1970, as they are in images of Go modules."""
        origin = CopyFrom("context", self.context)
        return CopyOp(
            takings=(CopySource(origin, f"/{self.file.name}", follow=True),),
            destination=self.added.path,
            owner=f"{self.added.uid}:{self.added.gid}",
            mode=f"{self.mode:04o}",
            mtime=epoch * 1_000_000_000,
        )


def _added(added: Added, folder: Path) -> AddedContext:
    file = folder / added.file
    if not file.is_file():
        raise NotFound(f"--add {added.file}: no such file", hint="write it as FILE:PATH[:mode[:owner]]")
    own = file.stat().st_mode & 0o7777 & ~_GROUP_AND_OTHERS_WRITE
    return AddedContext(file, added, added.mode if added.mode is not None else own)


def _bases(file: Dockerfile) -> Iterator[str]:
    """Give the images of registries that FROM names without a variable."""
    for stage in file.stages:
        image = stage.base.image
        if "$" not in image and names_registry(image):
            yield image


def _names(options: BuildOptions, source: Source) -> tuple[str, ...]:
    for name in options.tags or ():
        Reference.parse(name)
    return options.tags or (_NAME.sub("-", source.title.lower()).strip("-._") or "image",)
