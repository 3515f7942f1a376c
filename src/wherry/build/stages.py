"""What the steps of a Dockerfile do: gather files, run programs, make layers and images of what changed."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import msgspec

from wherry.build.cache_export import CacheExport, carried, unique
from wherry.build.context import ContextSelection, LocalContext
from wherry.build.copy_sources import SourceCollector, UrlFetcher
from wherry.build.packing_progress import packing
from wherry.build.run import MountedStack, RunRoot, StepRunner
from wherry.build.solver import ObservedInputs, StepOutcome
from wherry.build.stage_results import ChangedFiles, PackedLayer, StepInputs, changed_of, history_of, packed_of
from wherry.build.values import encode_image, image_of
from wherry.counted import Moving, unheard
from wherry.image.assemble import as_oci
from wherry.layer.compress import Encoding, pack_tar
from wherry.layer.decompress import open_layer
from wherry.layer.tar import read_tar
from wherry.oci import media
from wherry.oci.config import ImageConfig, Layer, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.document import decode, encode
from wherry.oci.image import Image
from wherry.oci.manifest import Manifest
from wherry.plan.graph import BaseOp, CompileOp, FilesLayerOp, ProgramImageOp, Step, key_of
from wherry.plan.ops import CopyOp, LayerOp, MkdirOp, RunOp, StageImageOp
from wherry.sandbox.client import SandboxClient
from wherry.sandbox.spec import ChangeFiles, DiffTar, Measure
from wherry.snapshots.records import Snapshot
from wherry.snapshots.snapshots import ActiveSnapshot, Lease
from wherry.store.contract import SoundStore, write_document
from wherry.store.results import Results, StepRecord
from wherry.typed import from_msgpack

_FEW = 4000
"""Files of a step whose hashes are kept by name, so that a miss can name them."""
_NOTHING = hashlib.sha256().hexdigest()
"""The hash of what copies take of a stage, where they take nothing."""
_SOON = 0.2
"""Seconds of unpacking after which a message is printed."""


@dataclass
class StagePerformer:
    """Does the steps of a Dockerfile's plan; made for each build."""

    store: SoundStore
    results: Results
    hold: Lease  # type: ignore[type-arg] # what it unpacks is nobody's business here
    client: SandboxClient
    stage: Path
    """An empty folder that sandboxes mount on."""
    overlay: bool
    take: Callable[[BaseOp], Image]
    holds_layer: Callable[[Descriptor], bool]
    contexts: Callable[[str], LocalContext]
    outside: UrlFetcher
    runs: StepRunner
    account: Callable[[Sequence[str], str], tuple[int, int]]
    """The rootfs that resolves `user:group`."""
    threads: int = 2
    clock: Callable[[], float] = time.time
    moving: Moving = unheard
    """Hears of bytes that are packed."""
    reachable: Callable[[Descriptor], bool] = field(default=lambda _: False)
    """Reports whether a missing blob can be fetched, and fetches it."""
    measured: dict[str, str] = field(default_factory=dict)
    """Facts about what was taken of stages, for caches that are carried elsewhere."""
    named: tuple[str, ...] = ()
    """What the steps take of the build's own context, wildcards among the paths."""
    copied_nothing: set[str] = field(default_factory=set)
    """Steps that copy only what wildcards match, and nothing did."""
    _images: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def look(self, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None) -> ObservedInputs | None:
        """See `Performer.look`."""
        del known
        match step.action:
            case BaseOp():
                return ObservedInputs("", b"")
            case CopyOp() as gather:
                return _seen(self._gathered(step, gather, needs))
            case RunOp() as execute:
                return _seen(StepInputs(self._below(step.needs, needs) | self.runs.reads(execute)))
            case StageImageOp():
                results = {str(number): needs[need].result.hex() for number, need in enumerate(step.needs)}
                return ObservedInputs(key_of(results), b"")
            case LayerOp():
                return _seen(StepInputs(self._below(step.needs, needs) | _times_below(step, needs)))
            case _:
                return _seen(StepInputs(self._below(step.needs, needs)))

    def holds(self, step: Step, result: bytes) -> bool:
        """See `Performer.holds`."""
        match step.action:
            case BaseOp():
                image = image_of(result)
                documents = image.descriptor, image.manifest.config
                return all(map(self.store.sound, documents)) and all(map(self.holds_layer, image.manifest.stack))
            case CopyOp() | MkdirOp() | RunOp():
                changed = changed_of(result)
                if changed.tree and self.hold.find(changed.tree) is not None:
                    return True
                return changed.layer is not None and self._reachable(changed.layer.blob)
            case LayerOp():
                return self._reachable(packed_of(result).layer.blob)
            case _:
                return self.store.sound_image(decode(result, Descriptor, "a remembered image"))

    def do(
        self, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None
    ) -> tuple[bytes, ObservedInputs | None]:
        """See `Performer.do`."""
        seen = self.look(step, needs, known)
        match step.action:
            case BaseOp() as action:
                return encode_image(self.take(action)), seen
            case CopyOp() as action:
                with self.hold.make() as making:
                    self._gather(step, action, needs, making)
            case MkdirOp() as action:
                with self.hold.make() as making:
                    self._furnish(step, action, needs, making)
            case RunOp() as action:
                with self.hold.make() as making:
                    self._execute(step, action, needs, making)
            case LayerOp() as action:
                return self._pack(step, action, needs), seen
            case StageImageOp() as action:
                return self._finish(step, action, needs), seen
            case CompileOp() | FilesLayerOp() | ProgramImageOp():
                raise TypeError("a Dockerfile's plan has no such step")
        assert making.tree is not None  # noqa: S101 - it was made, or an error was raised
        return encode(ChangedFiles(making.tree.name, self.clock())), seen

    def explain(self, step: Step, known: StepRecord, seen: ObservedInputs | None) -> tuple[str, ...]:
        """See `Performer.explain`."""
        from wherry.build.why import Version, reasons

        if seen is None or seen.key == known.content or not known.observed or not seen.observed:
            return ()
        before, after = (from_msgpack(blob, StepInputs) for blob in (known.observed, seen.observed))
        return reasons(
            step, Version(before.fields, before.files, before.texts), Version(after.fields, after.files, after.texts)
        )

    def _below(self, names: Iterable[str], needs: Mapping[str, StepOutcome]) -> dict[str, str]:
        return {f"step {number}": needs[name].key for number, name in enumerate(names)}

    def _gathered(self, step: Step, action: CopyOp, needs: Mapping[str, StepOutcome]) -> StepInputs:
        own, other = _split(step, action)
        fields = {} if action.alone else self._below(own, needs)
        files: dict[str, str] = {}
        texts: dict[str, bytes] = {}
        gatherer = self._gatherer(step, action, needs, own, other)
        nothing = True
        for number, part in enumerate(gatherer.parts()):
            if isinstance(part, ContextSelection):
                fields[f"files {number}"] = part.digest
                files |= part.files
                texts |= part.texts
                nothing &= part.nothing
            elif isinstance(part, str):
                fields[f"files {number}"] = part
                nothing = False
            else:
                measured = fields[f"files {number}"] = self._measure(part, other, needs)
                nothing &= measured == _NOTHING
        if nothing:
            self.copied_nothing.add(step.name)
        return StepInputs(fields, files if len(files) <= _FEW else {}, texts)

    def _measure(self, job: Measure, other: Sequence[str], needs: Mapping[str, StepOutcome]) -> str:
        """Hash what is taken of a stage; remembered under what the stage is, so that it is done once."""
        spec = [{key: value for key, value in copy.items() if key != "origin"} for copy in job["copies"]]
        fact = f"measure {key_of({**self._below(other, needs), 'spec': repr(spec)})}"
        known = self.results.fact(fact)
        if known is None:
            known = self.client.measure(job)
            self.results.put_fact(fact, known)
        self.measured[fact] = known
        return known

    def _gatherer(
        self, step: Step, action: CopyOp, needs: Mapping[str, StepOutcome], own: Sequence[str], other: Sequence[str]
    ) -> SourceCollector:
        del step
        return SourceCollector(
            action,
            folders=lambda: () if action.alone else self.folders(own, needs),
            others=lambda: self.folders(other, needs),
            contexts=self.contexts,
            outside=self.outside,
            account=self.account,
            ids=self.client.mapping.for_trees,
            stage=str(self.stage),
            named=self.named,
        )

    def _gather(self, step: Step, action: CopyOp, needs: Mapping[str, StepOutcome], making: ActiveSnapshot) -> None:
        own, other = _split(step, action)
        self._gatherer(step, action, needs, own, other).gather(self.client, making.folder, overlay=self.overlay)

    def _furnish(self, step: Step, action: MkdirOp, needs: Mapping[str, StepOutcome], making: ActiveSnapshot) -> None:
        layers = self.folders(step.needs, needs)
        uid, gid = self.account(layers, action.owner) if action.owner else (0, 0)
        job = ChangeFiles(
            task="change",
            ids=self.client.mapping.for_trees,
            stage=str(self.stage),
            layers=list(layers),
            writable=str(making.folder),
            overlay=self.overlay,
            actions=[
                {
                    "action": "folder",
                    "path": action.path,
                    "mode": 0o755,
                    "owner": {"uid": uid, "gid": gid},
                    "mtime": action.mtime,
                }
            ],
        )
        self.client.change(job)

    def _execute(self, step: Step, action: RunOp, needs: Mapping[str, StepOutcome], making: ActiveSnapshot) -> None:
        own = _own(step)
        others, at = [], len(own)
        for mount in action.mounts:
            if mount.stack:
                names = step.needs[at : at + mount.stack]
                others.append(MountedStack(self.folders(names, needs), key_of(self._below(names, needs))))
                at += mount.stack
        self.runs.run(
            step.name,
            action,
            RunRoot(self.folders(own, needs), tuple(others), making.folder, self.stage, overlay=self.overlay),
        )

    def folders(self, names: Sequence[str], needs: Mapping[str, StepOutcome]) -> tuple[str, ...]:
        """Give the folders of a rootfs's layers, base first.

        Args:
            names: the steps that make it.
            needs: their outcomes.
        """
        found: list[str] = []
        for name in names:
            outcome = needs[name]
            if isinstance(outcome.step.action, BaseOp):
                found += self._unpacked(name, image_of(outcome.result))
            else:
                found.append(self._tree(changed_of(outcome.result), found))
        return tuple(found)

    def _tree(self, changed: ChangedFiles, below: Sequence[str]) -> str:
        """Give the folder of what a step changed; one that came as a layer is unpacked."""
        tree = self.hold.find(changed.tree) if changed.tree else None
        if tree is not None:
            return str(tree.folder)
        assert changed.layer is not None  # noqa: S101 - one of the two was there when the step was looked at
        with self._lock:
            fact = f"tree {self.client.identity} of {changed.layer.diff_id}"
            known = self.results.fact(fact)
            tree = self.hold.find(known) if known else None
            if tree is None:
                tree = self._unpack(changed.layer, below)
                self.results.put_fact(fact, tree.name)
        return str(tree.folder)

    def _unpack(self, layer: Layer, below: Sequence[str]) -> Snapshot:
        with self.hold.make() as making:
            entries = read_tar(open_layer(self.store, layer.blob, layer.diff_id), f"layer {layer.blob.digest}")
            self.client.unpack(entries, making.folder / "tree", making.folder / "work", [Path(one) for one in below])
        assert making.tree is not None  # noqa: S101 - it was made, or an error was raised
        return making.tree

    def _reachable(self, blob: Descriptor) -> bool:
        return self.store.sound(blob) or self.reachable(blob)

    def carry(self, outcomes: Mapping[str, StepOutcome], slot: str, packing: LayerOp) -> CacheExport:
        """Make a cache to be carried elsewhere of all steps, their layers packed."""
        packed = {
            outcome.step.needs[0]: packed_of(outcome.result)
            for outcome in outcomes.values()
            if isinstance(outcome.step.action, LayerOp)
        }
        records, layers = [], []
        for name, outcome in outcomes.items():
            action = outcome.step.action
            if isinstance(action, LayerOp):
                records.append(carried(outcome, outcome.result, f"{slot} {name}"))
            elif isinstance(action, CopyOp | MkdirOp | RunOp):
                changed = changed_of(outcome.result)
                layer = changed.layer or (packed[name].layer if name in packed else None)
                if layer is None:
                    layer = packed_of(self._pack(_packing(outcome.step, packing), packing, outcomes)).layer
                layers.append(layer)
                records.append(carried(outcome, encode(ChangedFiles("", changed.created, layer)), f"{slot} {name}"))
        return CacheExport(1, tuple(records), self.measured, unique(layers))

    def _unpacked(self, name: str, image: Image) -> tuple[str, ...]:
        with self._lock:
            if name not in self._images:
                began = time.monotonic()
                self._images[name] = tuple(str(tree.folder) for tree in self.hold.image(image))
                if (took := time.monotonic() - began) > _SOON:
                    self.runs.said(name, f"unpacked in {took:.1f} s")
            return self._images[name]

    def _pack(self, step: Step, action: LayerOp, needs: Mapping[str, StepOutcome]) -> bytes:
        changed, *below = step.needs
        (folder,) = self.folders((changed,), needs)
        job = DiffTar(
            task="tar",
            ids=self.client.mapping.for_trees,
            folder=folder,
            below=list(self.folders(below, needs)),
            latest=action.latest,
        )
        encoding = Encoding(action.algorithm, action.level)
        with self.client.tar(job) as chunks, self.moving(f"compress {changed}") as moved:
            layer = pack_tar(packing(chunks, moved, folder), encoding, self.store, threads=self.threads)
        return encode(PackedLayer(layer, changed_of(needs[changed].result).created))

    def _finish(self, step: Step, action: StageImageOp, needs: Mapping[str, StepOutcome]) -> bytes:
        names = list(step.needs)
        base = image_of(needs[names.pop(0)].result) if action.base else None
        packs = [packed_of(needs[name].result) for name in names]
        before = base.config.history or () if base else ()
        history, created = history_of(before, action, [pack.created for pack in packs])
        config = ImageConfig(
            architecture=action.platform.architecture,
            os=action.platform.os,
            variant=action.platform.variant,
            os_version=base.config.os_version if base else "",
            os_features=base.config.os_features if base else (),
            created=action.created or created,
            author=action.author,
            config=decode(action.config.encode(), RuntimeConfig, "a planned config"),
            rootfs=RootFS(diff_ids=(*(base.config.diff_ids if base else ()), *(pack.layer.diff_id for pack in packs))),
            history=history,
        )
        stored = write_document(self.store, media.OCI_CONFIG, config.encoded())
        stack = (*map(as_oci, base.manifest.stack if base else ()), *(pack.layer.blob for pack in packs))
        manifest = Manifest.of(stored, stack, dict(action.annotations))
        written = write_document(self.store, media.OCI_MANIFEST, manifest.encoded())
        return encode(msgspec.structs.replace(written, platform=PlatformDocument.of(action.platform)))


def _times_below(step: Step, needs: Mapping[str, StepOutcome]) -> dict[str, str]:
    """Tell when what a layer is compared with was made: a step that ran again may have made something else."""
    below = enumerate(step.needs[1:])
    return {
        f"made {number}": str(changed_of(needs[name].result).created)
        for number, name in below
        if not isinstance(needs[name].step.action, BaseOp)
    }


def _packing(step: Step, action: LayerOp) -> Step:
    """Give the step that would make the layer of another."""
    if isinstance(step.action, CopyOp) and step.action.alone:
        return Step(f"layer of {step.name}", action, (step.name,))
    own, _ = _split(step, step.action) if isinstance(step.action, CopyOp) else (_own(step), ())
    return Step(f"layer of {step.name}", action, (step.name, *own))


def _own(step: Step) -> tuple[str, ...]:
    mounts = step.action.mounts if isinstance(step.action, RunOp) else ()
    return step.needs[: len(step.needs) - sum(mount.stack for mount in mounts)]


def _split(step: Step, action: CopyOp) -> tuple[tuple[str, ...], tuple[str, ...]]:
    counts = [int(taking.origin.name) for taking in action.takings if taking.origin.kind == "stack"]
    at = len(step.needs) - (counts[0] if counts else 0)
    return step.needs[:at], step.needs[at:]


def _seen(read: StepInputs) -> ObservedInputs:
    return ObservedInputs(key_of(read.fields), msgspec.msgpack.encode(read))
