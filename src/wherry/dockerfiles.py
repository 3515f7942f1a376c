"""A Dockerfile to images: the second front door, on one page; from the plan on it is the line of `pipeline.py`.

Beside `pipeline.py`, since only here both ends are known: the rooms that make images and the one that asks for them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.build.carried import Cargo, Mounted
from wherry.build.context import LocalContext
from wherry.build.engine import Engine, Outcome
from wherry.build.running import Accounts, Runs
from wherry.build.stages import StagePerformer
from wherry.dockerfile.errors import DockerfileError
from wherry.errors import NotFound, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode
from wherry.oci.image import Image
from wherry.oci.manifest import Index
from wherry.oci.reference import Reference
from wherry.plan.from_dockerfile import Planned, Request, plan_dockerfile
from wherry.plan.stage_steps import PackTree
from wherry.plan.steps import Step, TakeBase
from wherry.platform import Platform
from wherry.remote import Policy, RemoteBases
from wherry.sandbox.crew import Crew
from wherry.sandbox.spec import Container, Emulator
from wherry.store.contract import write_document
from wherry.store.copy import copy
from wherry.store.disk import DiskStore
from wherry.store.find import locate
from wherry.store.images import image_for, read_image
from wherry.store.results import Results
from wherry.store.trees import Trees

if TYPE_CHECKING:
    from wherry.build.gather import Outside
    from wherry.registry.open import Registries

LAYOUT, DOCKER = "oci-layout://", "docker-image://"


@dataclass(frozen=True, slots=True)
class StageImage:
    """One built image."""

    names: tuple[str, ...]
    root: Descriptor
    images: tuple[Image, ...]
    title: str


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a build did."""

    image: StageImage
    outcomes: Mapping[str, Outcome]
    planned: Planned
    unchanged: bool
    seconds: float
    looked_at: int
    contexts: Mapping[str, LocalContext]
    """Those that were opened, by name."""
    asked: Mapping[str, Descriptor]
    """Names that a registry was asked for, and where they led."""


@dataclass
class Machine:
    """What this machine gives to steps."""

    crew: Crew
    trees: Trees  # type: ignore[type-arg] # what it unpacks is nobody's business here
    overlay: bool
    account: Accounts
    emulator: Callable[[Platform], Emulator | None]
    secrets: Mapping[str, bytes]
    agents: Mapping[str, Path]
    outside: "Outside"
    resolv_conf: bytes = b""
    failed: Callable[[Container, int], None] = field(default=lambda _job, _code: None)


@dataclass
class DockerfileBuilder:
    """Builds one Dockerfile; made for one command."""

    store: DiskStore
    cache: Path
    machine: Machine
    contexts: Mapping[str, Callable[[], LocalContext]]
    """By name; empty: the build's own."""
    registries: "Callable[[], Registries] | None" = None
    policy: Policy = field(default_factory=Policy)
    warned: Callable[[str], None] = field(default=lambda _: None)
    clock: Callable[[], float] = time.time
    threads: int = 2
    use_cache: bool = True
    began: Callable[[Step], None] = field(default=lambda _: None)
    finished: Callable[[Outcome], None] = field(default=lambda _: None)
    said: Callable[[str, str], None] = field(default=lambda _step, _text: None)
    begins: Callable[[Planned], None] = field(default=lambda _: None)
    judge: Callable[[Planned], None] = field(default=lambda _: None)
    """Stops what must not be published, before a step is done."""
    bring: Callable[[Results], None] = field(default=lambda _: None)
    """Brings in caches of other machines, before anything is looked up."""
    carry: Callable[[Cargo], None] | None = None
    """Takes the cache of this build elsewhere."""
    caches: "Callable[[Crew, Path, DiskStore], tuple[Mounted, ...]]" = field(default=lambda _crew, _folder, _store: ())
    """Packs the caches of mounts, to be carried too."""

    def build(self, request: Request, names: tuple[str, ...], title: str) -> StageReport:
        """Build the target on each platform, and name it.

        Raises:
            DockerfileError: the file asks for what can't be.
            StepFailed: a program did not end well.
            WherryError: whatever else stopped it; nothing was named.
        """
        began = self.clock()
        results = Results(self.cache)
        opened: dict[str, LocalContext] = {}

        def context(name: str) -> LocalContext:
            if name not in opened:
                if name not in self.contexts:
                    raise NotFound(
                        "the build has no context: the Dockerfile came alone",
                        hint="give a folder too, with -f - for the Dockerfile",
                    )
                opened[name] = self.contexts[name]()
            return opened[name]

        with ExitStack() as stack:
            stack.callback(results.close)
            stack.callback(self.machine.crew.close)
            stack.enter_context(self.store.writing())
            remote = (
                RemoteBases(self.store, self.registries, results, self.policy, self.warned) if self.registries else None
            )
            images = StageImages(self.store, remote)
            self.bring(results)
            planned = plan_dockerfile(request, images)
            self.judge(planned)
            hold = stack.enter_context(self.machine.trees.work())
            performer = self._performer(request, results, hold, images, context)
            outcomes, unchanged = self._carry_out(planned, performer, results)
            for one in opened.values():
                one.remember()
            if self.carry is not None:
                packing = request.packing
                action = PackTree(packing.algorithm, packing.level, packing.encoder)
                cargo = performer.carry(outcomes, request.slot, action)
                mounts = self.caches(self.machine.crew, self.cache / "mounts", self.store)
                self.carry(msgspec.structs.replace(cargo, mounts=mounts))
            if not unchanged:
                note_steps(results, request.slot, outcomes, self.clock())
            image = self._image(planned, outcomes, names, title, request)
            for name in names:
                if self.store.tags().get(name) != image.root:
                    self.store.tag(name, image.root)
        looked_at = sum(one.looked_at for one in opened.values())
        seconds = self.clock() - began
        return StageReport(image, outcomes, planned, unchanged, seconds, looked_at, opened, images.asked)

    def _performer(
        self,
        request: Request,
        results: Results,
        hold: object,
        images: "StageImages",
        context: Callable[[str], LocalContext],
    ) -> StagePerformer:
        machine = self.machine

        def owner(layers: Sequence[str], text: str) -> tuple[int, int]:
            """Find whom `--chown` or WORKDIR means; as for BuildKit, a name that nobody has is root's."""
            user, _, group = text.partition(":")
            uid, gid = (int(user), int(user)) if user.isdecimal() else _named(machine, layers, user, self.warned)
            if group:
                gid = int(group) if group.isdecimal() else _named(machine, layers, f"0:{group}", self.warned)[1]
            return uid, gid

        runs = Runs(
            crew=machine.crew,
            accounts=machine.account,
            emulator=machine.emulator,
            secrets=machine.secrets,
            agents=machine.agents,
            caches=self.cache / "mounts",
            said=self.said,
            proxies=request.wishes.proxies,
            resolv_conf=machine.resolv_conf,
            failed=machine.failed,
        )
        return StagePerformer(
            store=self.store,
            results=results,
            hold=hold,  # type: ignore[arg-type] # it is the trees' own
            crew=machine.crew,
            stage=machine.trees.stage,
            overlay=machine.overlay,
            take=images.take,
            holds_layer=images.holds,
            contexts=context,
            outside=machine.outside,
            runs=runs,
            account=owner,
            threads=self.threads,
            clock=self.clock,
            reachable=self._reachable,
        )

    def _reachable(self, blob: Descriptor) -> bool:
        """Have a blob that is known to be elsewhere."""
        if not self.store.elsewhere.places(blob.digest):
            return False
        try:
            for _ in self.store.read(blob):
                pass
        except WherryError as error:
            self.warned(f"{error.message}; what needs it is done again")
            return False
        return True

    def _carry_out(
        self, planned: Planned, performer: StagePerformer, results: Results
    ) -> tuple[Mapping[str, Outcome], bool]:
        engine = Engine(
            results=results,
            locks=self.cache / "locks",
            performer=performer,
            threads=self.threads + 1,
            use_cache=self.use_cache,
            clock=self.clock,
            began=self.began,
            finished=self.finished,
            abandon=self.machine.crew.kill,
            renewed=planned.renewed,
        )
        try:
            cached = engine.lookup(planned.plan)
            if cached is not None:
                return cached, True
            self.begins(planned)
            return engine.run(planned.plan), False
        except WherryError as error:
            raise _placed(error, planned) from error

    def _image(
        self, planned: Planned, outcomes: Mapping[str, Outcome], names: tuple[str, ...], title: str, request: Request
    ) -> StageImage:
        manifests = [
            decode(outcomes[step].result, Descriptor, "a manifest just written") for step in planned.images.values()
        ]
        images = tuple(read_image(self.store, manifest) for manifest in manifests)
        root = manifests[0]
        if len(manifests) > 1:
            index = Index.of(tuple(manifests), dict(request.annotations))
            root = write_document(self.store, media.OCI_INDEX, index.encoded())
        return StageImage(names, root, images, title)


class Noted(msgspec.Struct, frozen=True):
    """What is remembered of a step for `wherry why`."""

    cached: bool
    """In the last build that did anything."""
    missed: float
    """When it was done last, seconds since the epoch; 0: never here."""
    seconds: float
    """How long that took."""
    reasons: tuple[str, ...]
    """Why it was done."""


def note_steps(results: Results, slot: str, outcomes: Mapping[str, Outcome], now: float) -> None:
    """Remember why each step was done."""
    before = noted_steps(results, slot)
    steps = {}
    for name, outcome in outcomes.items():
        if outcome.cached and name in before:
            steps[name] = msgspec.structs.replace(before[name], cached=True)
        elif outcome.cached:
            steps[name] = Noted(cached=True, missed=0.0, seconds=0.0, reasons=())
        else:
            steps[name] = Noted(cached=False, missed=now, seconds=outcome.seconds, reasons=outcome.reasons)
    results.put_fact(f"steps of {slot}", msgspec.json.encode(steps).decode())


def noted_steps(results: Results, slot: str) -> dict[str, Noted]:
    """Give what is remembered of a build's steps, in their order."""
    known = results.fact(f"steps of {slot}")
    return msgspec.json.decode(known, type=dict[str, Noted]) if known else {}


def _placed(error: WherryError, planned: Planned) -> WherryError:
    """Say where in the Dockerfile a step is that failed."""
    step = getattr(error, "step", "")
    instruction = planned.texts.get(step)
    if instruction is None:
        return error
    placed = DockerfileError(error.message, instruction.lines, hint=error.hint)
    placed.exit_code = error.exit_code
    return placed


def _named(machine: Machine, layers: Sequence[str], name: str, warned: Callable[[str], None]) -> tuple[int, int]:
    try:
        found = machine.account(layers, name)
    except WherryError as error:
        warned(f"{error.message}; what is made for it is root's")
        return 0, 0
    return found.uid, found.gid


class StageImages:
    """Finds what a Dockerfile names: images of the local store, of layouts, of registries."""

    def __init__(self, store: DiskStore, remote: RemoteBases | None) -> None:
        """Take where to look."""
        self._store = store
        self._remote = remote
        self._found: dict[tuple[str, Platform], Image] = {}
        self.asked: dict[str, Descriptor] = {}
        """Names that a registry was asked for, and where they led."""

    def image(self, name: str, platform: Platform) -> Image:
        """See `Images.image`."""
        key = (name, platform)
        if key not in self._found:
            self._found[key] = self._image(name, platform)
        return self._found[key]

    def content(self, name: str) -> Mapping[str, str]:
        """See `Images.content`."""
        return {"digest": str(self._root(name).digest)}

    def take(self, action: TakeBase) -> Image:
        """Have an image's layers where this build wants them."""
        return self.image(action.base, action.platform)

    def at_hand(self, name: str, platform: Platform) -> Image | None:
        """Read an image's documents where no registry has to be asked, also those of another platform's image."""
        try:
            if name.startswith(LAYOUT):
                found = locate(_layout_path(name), self._store, Path("/"))
                source, root = found.source, _tagged(name, found.root, found.source)
            elif (here := self._here(name.removeprefix(DOCKER))) is not None:
                source, root = self._store, here
            else:
                return None
            return (
                read_image(source, root)
                if root.media_type not in media.INDEXES
                else image_for(source, root, platform, name)
            )
        except WherryError:
            return None

    def holds(self, layer: Descriptor) -> bool:
        """Tell whether a layer is where this build wants it."""
        return self._remote.holds(layer) if self._remote else self._store.has(layer)

    def _image(self, name: str, platform: Platform) -> Image:
        if name.startswith(LAYOUT):
            found = locate(_layout_path(name), self._store, Path("/"))
            root = _tagged(name, found.root, found.source)
            image = _compatible(found.source, root, platform, name)
            copy(image.descriptor, found.source, self._store)
            return image
        name = name.removeprefix(DOCKER)
        root_here = self._here(name)
        if root_here is not None:
            return _compatible(self._store, root_here, platform, name)
        if self._remote is None:
            raise NotFound(f"{name}: no such image here", hint="`wherry pull` or `wherry load` it first")
        self.asked[name] = self._remote.root(name)
        return self._remote.image(name, platform)

    def _root(self, name: str) -> Descriptor:
        if name.startswith(LAYOUT):
            found = locate(_layout_path(name), self._store, Path("/"))
            return _tagged(name, found.root, found.source)
        name = name.removeprefix(DOCKER)
        here = self._here(name)
        if here is not None:
            return here
        if self._remote is None:
            raise NotFound(f"{name}: no such image here", hint="`wherry pull` or `wherry load` it first")
        return self._remote.root(name)

    def _here(self, name: str) -> Descriptor | None:
        wanted = Reference.parse(name)
        if wanted.digest is not None:
            return None
        tags = self._store.tags()
        for spelt in (name, str(wanted), wanted.canonical, str(wanted).removesuffix(":latest")):
            if spelt in tags:
                return tags[spelt]
        return None


def _layout_path(name: str) -> str:
    path = name.removeprefix(LAYOUT)
    path = path.partition("@")[0]
    head, colon, tag = path.rpartition(":")
    return head if colon and "/" not in tag else path


def _tagged(name: str, root: Descriptor, source: object) -> Descriptor:
    """Choose what a tag or digest behind a layout's path names."""
    from wherry.store.layout import LayoutFolder

    path = name.removeprefix(LAYOUT)
    _, at, digest = path.partition("@")
    head, colon, tag = path.partition("@")[0].rpartition(":")
    wanted = digest if at else tag if colon and head and "/" not in tag else ""
    if wanted and isinstance(source, LayoutFolder):
        return source.resolve(wanted)
    return root


def _compatible(source: object, root: Descriptor, platform: Platform, name: str) -> Image:
    """Choose the image for a platform; one without a variant serves for any."""
    try:
        return image_for(source, root, platform, name)  # type: ignore[arg-type] # every store is a source
    except NotFound:
        if root.media_type in media.INDEXES:
            raise
        image = read_image(source, root)  # type: ignore[arg-type] # as above
        if (image.platform.os, image.platform.architecture) != (platform.os, platform.architecture):
            raise
        return image


def tree_of(document: bytes) -> str:
    """Name the tree that a step's result leads to; for those who look at results."""
    return str(msgspec.json.decode(document).get("tree", ""))
