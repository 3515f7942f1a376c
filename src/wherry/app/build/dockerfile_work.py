"""A Dockerfile to images: the front end's half of the line that `pipeline.py` shows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.app.build.named_images import NamedImages
from wherry.app.build.options import FrontEnd
from wherry.app.build.published_values import refuse_published
from wherry.app.build.result import BuiltImage, BuiltPlatform
from wherry.app.build.step_notes import note_steps
from wherry.build.cache_export import CacheExport, MountedCache
from wherry.build.context import LocalContext
from wherry.build.copy_sources import names_in
from wherry.build.run import AccountReader, Agent, StepRunner
from wherry.build.solver import StepOutcome
from wherry.build.stage_results import PackedLayer
from wherry.build.stages import StagePerformer
from wherry.build.values import base_layers_fact
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.instructions import Instruction
from wherry.errors import NotFound, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode
from wherry.oci.manifest import Index
from wherry.plan.dockerfile import plan_dockerfile
from wherry.plan.dockerfile_target import DockerfileTarget, PlannedImages
from wherry.plan.graph import Plan
from wherry.plan.ops import CopyOp, LayerOp, RunOp
from wherry.platform import Platform
from wherry.sandbox.accounts import id_number
from wherry.sandbox.client import SandboxClient
from wherry.sandbox.networks import Networks
from wherry.sandbox.spec import Container, Emulator
from wherry.snapshots.snapshots import Snapshots
from wherry.store.contract import write_document
from wherry.store.disk import DiskStore
from wherry.store.images import read_image
from wherry.store.results import Results

if TYPE_CHECKING:
    from wherry.build.copy_sources import UrlFetcher
    from wherry.pipeline import BuildSetup


@dataclass
class Machine:
    """What this machine gives to steps."""

    client: SandboxClient
    trees: Snapshots  # type: ignore[type-arg] # the type of the unpacked entries is not used here
    overlay: bool
    account: AccountReader
    emulator: Callable[[Platform], Emulator | None]
    secrets: Mapping[str, bytes]
    agents: Mapping[str, Agent]
    outside: "UrlFetcher"
    resolv_conf: bytes = b""
    network: Networks = field(default_factory=Networks)
    groups: tuple[str, ...] = ()
    """Folders in which control groups that limit processes may be made, best first."""
    floor: int = 256 << 20
    """Bytes that have to stay free on the disk."""
    owners: str = "answered"
    """What chown in a step does where there is one id only: `answered`, `ignored`, or empty: it fails."""
    failed: Callable[[Container, int], None] = field(default=lambda _job, _code: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """Caches that are imported before a build, and exported after it."""

    bring: Callable[[Results], None] = field(default=lambda _: None)
    """Imports the records of other machines, before anything is looked up."""
    mounts: "Callable[[SandboxClient], None]" = field(default=lambda _: None)
    """Imports the caches of mounts."""
    carry: Callable[[CacheExport], None] | None = None
    """Exports the cache of this build."""
    pack: "Callable[[SandboxClient, Path, DiskStore], tuple[MountedCache, ...]]" = field(
        default=lambda _client, _folder, _store: ()
    )
    """Packs the caches of mounts, to be exported too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileRequest:
    """An image of a Dockerfile that a user asks for."""

    plan: DockerfileTarget
    names: tuple[str, ...]
    """Tags in the local store."""
    machine: Callable[[], Machine]
    """Makes what steps need of this machine; a build ends it."""
    contexts: Mapping[str, Callable[[], LocalContext]]
    """By name; empty: the build's own."""
    caches: Caches = field(default_factory=Caches)
    secrets_allowed: bool = False
    """Whether what looks like a secret may be published."""
    front_end = FrontEnd.DOCKERFILE

    @contextmanager
    def open(self, setup: "BuildSetup", results: Results) -> Iterator["DockerfileImages"]:
        """See `pipeline.DockerfileTarget`."""
        with ExitStack() as stack:
            machine = self.machine()
            stack.callback(machine.client.close)
            self.caches.mounts(machine.client)
            yield DockerfileImages(setup, self, machine, results, stack)


@dataclass(frozen=True, slots=True)
class Trace:
    """What the images of a Dockerfile depend on."""

    planned: PlannedImages
    contexts: Mapping[str, LocalContext]
    """Those that were opened, by name."""
    asked: Mapping[str, Descriptor]
    """Names that a registry was asked for, and what they resolved to."""
    used: Mapping[str, tuple[Descriptor, ...]] = field(default_factory=dict)
    """Images that were built on or copied from, by name."""
    copied_nothing: tuple[Instruction, ...] = ()
    """COPY and ADD with wildcards that matched nothing."""


class DockerfileImages:
    """See `pipeline.Work`."""

    notices: tuple[str, ...] = ()

    def __init__(
        self, setup: "BuildSetup", request: DockerfileRequest, machine: Machine, results: Results, stack: ExitStack
    ) -> None:
        """Take what is needed; nothing is read yet."""
        self._machine = machine
        self.setup = setup
        self._request = request
        self._results = results
        self._stack = stack
        self._opened: dict[str, LocalContext] = {}
        self._named = NamedImages(setup.store, setup.remote(results))
        self._planned: PlannedImages | None = None
        self._performer: StagePerformer | None = None

    @property
    def performer(self) -> StagePerformer:
        """See `pipeline.Work`."""
        assert self._performer is not None  # noqa: S101 - it is made with the plan
        return self._performer

    @property
    def planned(self) -> PlannedImages:
        """The plan, with its places in the file."""
        assert self._planned is not None  # noqa: S101 - as above
        return self._planned

    @property
    def renewed(self) -> frozenset[str]:
        """See `pipeline.Work`."""
        return self.planned.renewed

    @property
    def looked_at(self) -> int:
        """See `pipeline.Work`."""
        return sum(one.looked_at for one in self._opened.values())

    def plan(self) -> Plan:
        """See `pipeline.Work`.

        Raises:
            DockerfileError: the file asks for what can't be.
            SecretPublished: a value that the image would keep has the form of a secret.
        """
        self._request.caches.bring(self._results)
        self._planned = plan_dockerfile(self._request.plan, self._named)
        refuse_published(self._planned, allowed=self._request.secrets_allowed, warn=self.setup.listener.warn)
        self._performer = self._perform(self._stack.enter_context(self._machine.trees.work()))
        return self._planned.plan

    def images(self, outcomes: Mapping[str, StepOutcome]) -> list[BuiltImage]:
        """See `pipeline.Work`."""
        platforms = tuple(
            BuiltPlatform(
                platform=image.platform,
                image=image,
                own=tuple(
                    decode(outcomes[need].result, PackedLayer, "a layer just written").layer
                    for need in outcomes[step].step.needs
                    if isinstance(outcomes[need].step.action, LayerOp)
                ),
            )
            for step in self.planned.images.values()
            for image in [
                read_image(self.setup.store, decode(outcomes[step].result, Descriptor, "a manifest just written"))
            ]
        )
        self._note_base_layers(platforms)
        root = platforms[0].image.descriptor
        if len(platforms) > 1:
            index = Index.of(tuple(built.image.descriptor for built in platforms), dict(self._request.plan.annotations))
            root = write_document(self.setup.store, media.OCI_INDEX, index.encoded())
        return [BuiltImage(names=self._request.names, title=self._request.names[0], root=root, platforms=platforms)]

    def _note_base_layers(self, platforms: Sequence[BuiltPlatform]) -> None:
        """Remember how many layers each base has, for the budgets `own-` and `base-`."""
        for built in platforms:
            fact = base_layers_fact(built.image.descriptor.digest)
            count = str(len(built.image.manifest.stack) - len(built.own))
            if self._results.fact(fact) != count:
                self._results.put_fact(fact, count)

    def keep(self, outcomes: Mapping[str, StepOutcome], *, unchanged: bool) -> None:
        """Remember what was read and why steps were done; export the cache."""
        request = self._request.plan
        for one in self._opened.values():
            one.remember()
        if self._request.caches.carry is not None:
            packing = request.packing
            action = LayerOp(packing.algorithm, packing.level, packing.encoder)
            exported = self.performer.carry(outcomes, request.cache_scope, action)
            mounts = self._request.caches.pack(self._machine.client, self.setup.cache / "mounts", self.setup.store)
            self._request.caches.carry(msgspec.structs.replace(exported, mounts=mounts))
        if not unchanged:
            note_steps(self._results, request.cache_scope, outcomes, self.setup.clock())

    def abandon(self) -> None:
        """See `pipeline.Work`."""
        self._machine.client.kill()

    def placed(self, error: WherryError) -> WherryError:
        """Say where in the Dockerfile a step is that failed."""
        instruction = self.planned.texts.get(getattr(error, "step", ""))
        if instruction is None:
            return error
        placed = DockerfileError(error.message, instruction.lines, hint=error.hint)
        placed.exit_code = error.exit_code
        return placed

    def trace(self) -> Trace:
        """See `pipeline.Work`."""
        names = sorted(self.performer.copied_nothing)
        empty = [self.planned.texts[name] for name in names if name in self.planned.texts]
        return Trace(self.planned, self._opened, self._named.asked, self._named.used, tuple(dict.fromkeys(empty)))

    def _context(self, name: str) -> LocalContext:
        if name not in self._opened:
            if name not in self._request.contexts:
                raise NotFound(
                    "no build context: the Dockerfile was read from standard input",
                    hint="give a context directory too, with -f - for the Dockerfile",
                )
            self._opened[name] = self._request.contexts[name]()
        return self._opened[name]

    def _perform(self, hold: object) -> StagePerformer:
        machine, setup = self._machine, self.setup

        def owner(layers: Sequence[str], text: str) -> tuple[int, int]:
            """Resolve `--chown` or WORKDIR's user; as for BuildKit, an unknown name is root."""
            warn = setup.listener.warn
            user, _, group = text.partition(":")
            number = id_number(user, "user")
            uid, gid = (number, number) if number is not None else _named(machine, layers, user, warn)
            if group:
                number = id_number(group, "group")
                gid = number if number is not None else _named(machine, layers, f"0:{group}", warn)[1]
            return uid, gid

        runs = StepRunner(
            client=machine.client,
            accounts=machine.account,
            emulator=machine.emulator,
            secrets=machine.secrets,
            agents=machine.agents,
            caches=setup.cache / "mounts",
            said=setup.listener.printed,
            proxies=self._request.plan.options.proxies,
            resolv_conf=machine.resolv_conf,
            network=machine.network,
            groups=machine.groups,
            floor=machine.floor,
            owners=machine.owners,
            failed=machine.failed,
        )
        return StagePerformer(
            store=setup.store,
            results=self._results,
            hold=hold,  # type: ignore[arg-type] # it is the trees' own
            client=machine.client,
            stage=machine.trees.stage,
            overlay=machine.overlay,
            take=self._named.take,
            holds_layer=self._named.holds,
            contexts=self._context,
            outside=machine.outside,
            runs=runs,
            account=owner,
            threads=setup.threads,
            moving=setup.listener.moving,
            clock=setup.clock,
            reachable=self._reachable,
            named=_named_by(self.planned.plan),
        )

    def _reachable(self, blob: Descriptor) -> bool:
        """Fetch a blob that is known to be elsewhere."""
        if not self.setup.store.elsewhere.places(blob.digest):
            return False
        try:
            for _ in self.setup.store.read(blob):
                pass
        except WherryError as error:
            self.setup.listener.warn(f"{error.message}; the steps that need it run again")
            return False
        return True


def _named_by(plan: Plan) -> tuple[str, ...]:
    """Give what the steps of a plan name of the build's own context; `/` is all of it."""
    found: list[str] = []
    for step in plan.steps:
        match step.action:
            case CopyOp() as action:
                found += names_in(action, "")
            case RunOp(mounts=mounts):
                found += (one.source or "/" for one in mounts if one.kind == "context" and not one.name)
    return tuple(dict.fromkeys(found))


def _named(machine: Machine, layers: Sequence[str], name: str, warned: Callable[[str], None]) -> tuple[int, int]:
    try:
        found = machine.account(layers, name)
    except WherryError as error:
        warned(f"{error.message}; its files are owned by root")
        return 0, 0
    return found.uid, found.gid
