"""What the steps of a Dockerfile do: gather files, run programs, make layers and images of what changed."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import msgspec

from wherry.build.carried import Cargo, carried, unique
from wherry.build.context import LocalContext, Taken
from wherry.build.engine import Outcome, Seen
from wherry.build.gather import Gatherer, Outside
from wherry.build.running import Mounted, Ran, Runs
from wherry.build.values import encode_image, image_of
from wherry.image.assemble import as_oci
from wherry.layer.compress import Encoding, pack_tar
from wherry.layer.decompress import open_layer
from wherry.layer.tar import read_tar
from wherry.oci import media
from wherry.oci.config import History, ImageConfig, Layer, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.document import decode, encode
from wherry.oci.image import Image
from wherry.oci.manifest import Manifest
from wherry.plan.stage_steps import Execute, Finish, Furnish, Gather, PackTree
from wherry.plan.steps import Assemble, Compile, Pack, Step, TakeBase, key_of
from wherry.sandbox.crew import Crew
from wherry.sandbox.spec import Change, Measure, Tar
from wherry.store.contract import SoundStore, write_document
from wherry.store.results import Record, Results
from wherry.store.trees import Hold, Making, Tree
from wherry.typed import from_msgpack

COMMENT = "buildkit.dockerfile.v0"
"""What BuildKit writes beside a line of history, and tools know an image of a Dockerfile by."""
_FEW = 4000
"""Files of a step whose hashes are kept by name, so that a miss can name them."""
_SOON = 0.2
"""Seconds that a base may take to unpack without anybody being told."""


class Changed(msgspec.Struct, frozen=True):
    """What came of a step that changes files."""

    tree: str
    """Of what it changed; empty, or gone, where only the layer is known."""
    created: float
    """Seconds since the epoch."""
    layer: Layer | None = None
    """The same as a layer, where it came with a cache from elsewhere."""


class Packed(msgspec.Struct, frozen=True):
    """A layer, and when what is in it was made."""

    layer: Layer
    created: float


class Read(msgspec.Struct, frozen=True):
    """What a step read: each thing's hash by name."""

    fields: dict[str, str]
    files: dict[str, str] = {}
    texts: dict[str, bytes] = {}


@dataclass
class StagePerformer:
    """Does the steps of a Dockerfile's plan; made anew for each build."""

    store: SoundStore
    results: Results
    hold: Hold  # type: ignore[type-arg] # what it unpacks is nobody's business here
    crew: Crew
    stage: Path
    """An empty folder that sandboxes mount on."""
    overlay: bool
    take: Callable[[TakeBase], Image]
    holds_layer: Callable[[Descriptor], bool]
    contexts: Callable[[str], LocalContext]
    outside: Outside
    runs: Runs
    account: Callable[[Sequence[str], str], tuple[int, int]]
    """Whose `user:group` is, as a rootfs knows them."""
    threads: int = 2
    clock: Callable[[], float] = time.time
    reachable: Callable[[Descriptor], bool] = field(default=lambda _: False)
    """Tells of a blob that is not here whether it can be had, and has it if so."""
    measured: dict[str, str] = field(default_factory=dict)
    """Facts about what was taken of stages, for caches that are carried elsewhere."""
    _images: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def look(self, step: Step, needs: Mapping[str, Outcome], known: Record | None) -> Seen | None:
        """See `Performer.look`."""
        del known
        match step.action:
            case TakeBase():
                return Seen("", b"")
            case Gather() as gather:
                return _seen(self._gathered(step, gather, needs))
            case Execute() as execute:
                return _seen(Read(self._below(step.needs, needs) | self.runs.reads(execute)))
            case Finish():
                return Seen(key_of({need: needs[need].result.hex() for need in step.needs}), b"")
            case _:
                return _seen(Read(self._below(step.needs, needs)))

    def holds(self, step: Step, result: bytes) -> bool:
        """See `Performer.holds`."""
        match step.action:
            case TakeBase():
                image = image_of(result)
                documents = image.descriptor, image.manifest.config
                return all(map(self.store.sound, documents)) and all(map(self.holds_layer, image.manifest.stack))
            case Gather() | Furnish() | Execute():
                changed = _changed(result)
                if changed.tree and self.hold.find(changed.tree) is not None:
                    return True
                return changed.layer is not None and self._reachable(changed.layer.blob)
            case PackTree():
                return self._reachable(_packed(result).layer.blob)
            case _:
                return self.store.sound_image(decode(result, Descriptor, "a remembered image"))

    def do(self, step: Step, needs: Mapping[str, Outcome], known: Record | None) -> tuple[bytes, Seen | None]:
        """See `Performer.do`."""
        seen = self.look(step, needs, known)
        match step.action:
            case TakeBase() as action:
                return encode_image(self.take(action)), seen
            case Gather() as action:
                with self.hold.make() as making:
                    self._gather(step, action, needs, making)
            case Furnish() as action:
                with self.hold.make() as making:
                    self._furnish(step, action, needs, making)
            case Execute() as action:
                with self.hold.make() as making:
                    self._execute(step, action, needs, making)
            case PackTree() as action:
                return self._pack(step, action, needs), seen
            case Finish() as action:
                return self._finish(step, action, needs), seen
            case Compile() | Pack() | Assemble():
                raise TypeError("a Dockerfile's plan has no such step")
        assert making.tree is not None  # noqa: S101 - it was made, or an error was raised
        return encode(Changed(making.tree.name, self.clock())), seen

    def explain(self, step: Step, known: Record, seen: Seen | None) -> tuple[str, ...]:
        """See `Performer.explain`."""
        from wherry.build.why import Version, reasons

        if seen is None or seen.key == known.content or not known.observed or not seen.observed:
            return ()
        before, after = (from_msgpack(blob, Read) for blob in (known.observed, seen.observed))
        return reasons(
            step, Version(before.fields, before.files, before.texts), Version(after.fields, after.files, after.texts)
        )

    def _below(self, names: Iterable[str], needs: Mapping[str, Outcome]) -> dict[str, str]:
        return {f"step {number}": needs[name].key for number, name in enumerate(names)}

    def _gathered(self, step: Step, action: Gather, needs: Mapping[str, Outcome]) -> Read:
        own, other = _split(step, action)
        fields = {} if action.alone else self._below(own, needs)
        files: dict[str, str] = {}
        texts: dict[str, bytes] = {}
        gatherer = self._gatherer(step, action, needs, own, other)
        for number, part in enumerate(gatherer.parts()):
            if isinstance(part, Taken):
                fields[f"files {number}"] = part.digest
                files |= part.files
                texts |= part.texts
            elif isinstance(part, str):
                fields[f"files {number}"] = part
            else:
                fields[f"files {number}"] = self._measure(part, other, needs)
        return Read(fields, files if len(files) <= _FEW else {}, texts)

    def _measure(self, job: Measure, other: Sequence[str], needs: Mapping[str, Outcome]) -> str:
        """Hash what is taken of a stage; remembered under what the stage is, so that it is done once."""
        spec = [{key: value for key, value in copy.items() if key != "origin"} for copy in job["copies"]]
        fact = f"measure {key_of({**self._below(other, needs), 'spec': repr(spec)})}"
        known = self.results.fact(fact)
        if known is None:
            known = self.crew.measure(job)
            self.results.put_fact(fact, known)
        self.measured[fact] = known
        return known

    def _gatherer(
        self, step: Step, action: Gather, needs: Mapping[str, Outcome], own: Sequence[str], other: Sequence[str]
    ) -> Gatherer:
        del step
        return Gatherer(
            action,
            folders=lambda: () if action.alone else self.folders(own, needs),
            others=lambda: self.folders(other, needs),
            contexts=self.contexts,
            outside=self.outside,
            account=self.account,
            ids=self.crew.mapping.for_trees,
            stage=str(self.stage),
        )

    def _gather(self, step: Step, action: Gather, needs: Mapping[str, Outcome], making: Making) -> None:
        own, other = _split(step, action)
        self._gatherer(step, action, needs, own, other).gather(self.crew, making.folder, overlay=self.overlay)

    def _furnish(self, step: Step, action: Furnish, needs: Mapping[str, Outcome], making: Making) -> None:
        layers = self.folders(step.needs, needs)
        uid, gid = self.account(layers, action.owner) if action.owner else (0, 0)
        job = Change(
            task="change",
            ids=self.crew.mapping.for_trees,
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
        self.crew.change(job)

    def _execute(self, step: Step, action: Execute, needs: Mapping[str, Outcome], making: Making) -> None:
        own = _own(step)
        others, at = [], len(own)
        for mount in action.mounts:
            if mount.stack:
                names = step.needs[at : at + mount.stack]
                others.append(Mounted(self.folders(names, needs), key_of(self._below(names, needs))))
                at += mount.stack
        self.runs.run(
            step.name,
            action,
            Ran(self.folders(own, needs), tuple(others), making.folder, self.stage, overlay=self.overlay),
        )

    def folders(self, names: Sequence[str], needs: Mapping[str, Outcome]) -> tuple[str, ...]:
        """Give the folders of a rootfs's layers, base first.

        Args:
            names: the steps that make it.
            needs: their outcomes.
        """
        found: list[str] = []
        for name in names:
            outcome = needs[name]
            if isinstance(outcome.step.action, TakeBase):
                found += self._unpacked(name, image_of(outcome.result))
            else:
                found.append(self._tree(_changed(outcome.result), found))
        return tuple(found)

    def _tree(self, changed: Changed, below: Sequence[str]) -> str:
        """Give the folder of what a step changed; one that came as a layer is unpacked."""
        tree = self.hold.find(changed.tree) if changed.tree else None
        if tree is not None:
            return str(tree.folder)
        assert changed.layer is not None  # noqa: S101 - one of the two was there when the step was looked at
        with self._lock:
            fact = f"tree {self.crew.identity} of {changed.layer.diff_id}"
            known = self.results.fact(fact)
            tree = self.hold.find(known) if known else None
            if tree is None:
                tree = self._unpack(changed.layer, below)
                self.results.put_fact(fact, tree.name)
        return str(tree.folder)

    def _unpack(self, layer: Layer, below: Sequence[str]) -> Tree:
        with self.hold.make() as making:
            entries = read_tar(open_layer(self.store, layer.blob, layer.diff_id), f"layer {layer.blob.digest}")
            self.crew.unpack(entries, making.folder / "tree", making.folder / "work", [Path(one) for one in below])
        assert making.tree is not None  # noqa: S101 - it was made, or an error was raised
        return making.tree

    def _reachable(self, blob: Descriptor) -> bool:
        return self.store.sound(blob) or self.reachable(blob)

    def carry(self, outcomes: Mapping[str, Outcome], slot: str, packing: PackTree) -> Cargo:
        """Make a cache to be carried elsewhere of all steps, their layers packed."""
        packed = {
            outcome.step.needs[0]: _packed(outcome.result)
            for outcome in outcomes.values()
            if isinstance(outcome.step.action, PackTree)
        }
        records, layers = [], []
        for name, outcome in outcomes.items():
            action = outcome.step.action
            if isinstance(action, PackTree):
                records.append(carried(outcome, outcome.result, f"{slot} {name}"))
            elif isinstance(action, Gather | Furnish | Execute):
                changed = _changed(outcome.result)
                layer = changed.layer or (packed[name].layer if name in packed else None)
                if layer is None:
                    layer = _packed(self._pack(_packing(outcome.step, packing), packing, outcomes)).layer
                layers.append(layer)
                records.append(carried(outcome, encode(Changed("", changed.created, layer)), f"{slot} {name}"))
        return Cargo(1, tuple(records), self.measured, unique(layers))

    def _unpacked(self, name: str, image: Image) -> tuple[str, ...]:
        with self._lock:
            if name not in self._images:
                began = time.monotonic()
                self._images[name] = tuple(str(tree.folder) for tree in self.hold.image(image))
                if (took := time.monotonic() - began) > _SOON:
                    self.runs.said(name, f"unpacked in {took:.1f} s")
            return self._images[name]

    def _pack(self, step: Step, action: PackTree, needs: Mapping[str, Outcome]) -> bytes:
        changed, *below = step.needs
        (folder,) = self.folders((changed,), needs)
        job = Tar(
            task="tar",
            ids=self.crew.mapping.for_trees,
            folder=folder,
            below=list(self.folders(below, needs)),
            latest=action.latest,
        )
        encoding = Encoding(action.algorithm, action.level)
        with self.crew.tar(job) as chunks:
            layer = pack_tar(chunks, encoding, self.store, threads=self.threads)
        return encode(Packed(layer, _changed(needs[changed].result).created))

    def _finish(self, step: Step, action: Finish, needs: Mapping[str, Outcome]) -> bytes:
        names = list(step.needs)
        base = image_of(needs[names.pop(0)].result) if action.base else None
        packs = [_packed(needs[name].result) for name in names]
        before = base.config.history or () if base else ()
        history, created = _history(before, action, [pack.created for pack in packs])
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


def _history(
    before: Sequence[History], action: Finish, created: Sequence[float]
) -> tuple[tuple[History, ...], str | None]:
    """Write history with times: of a layer its own, of what made none that of the layer before."""
    times = iter(created)
    lines = list(before)
    for entry in action.history:
        when = action.created or (_rfc3339(next(times)) if entry.layer else None)
        lines.append(
            History(created=when, created_by=_as_json(entry.words), comment=COMMENT, empty_layer=not entry.layer)
        )
    last: str | None = None
    missing = False
    for line in lines:
        if line.created is not None:
            last = line.created
            if missing:
                break
        else:
            missing = True
    missing = False
    for number, line in enumerate(lines):
        if line.created is not None:
            last = line.created if missing else last
        else:
            missing = True
            lines[number] = msgspec.structs.replace(line, created=last)
    return tuple(lines), lines[-1].created if lines else None


def _rfc3339(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _as_json(words: str) -> str:
    """Write bytes that are no UTF-8 as BuildKit does, since Go's encoding/json does: as U+FFFD."""
    return words.encode(errors="surrogateescape").decode(errors="replace")


def _packing(step: Step, action: PackTree) -> Step:
    """Give the step that would make the layer of another."""
    own, _ = _split(step, step.action) if isinstance(step.action, Gather) else (_own(step), ())
    return Step(f"layer of {step.name}", action, (step.name, *own))


def _own(step: Step) -> tuple[str, ...]:
    mounts = step.action.mounts if isinstance(step.action, Execute) else ()
    return step.needs[: len(step.needs) - sum(mount.stack for mount in mounts)]


def _split(step: Step, action: Gather) -> tuple[tuple[str, ...], tuple[str, ...]]:
    counts = [int(taking.origin.name) for taking in action.takings if taking.origin.kind == "stack"]
    at = len(step.needs) - (counts[0] if counts else 0)
    return step.needs[:at], step.needs[at:]


def _seen(read: Read) -> Seen:
    return Seen(key_of(read.fields), msgspec.msgpack.encode(read))


def _changed(result: bytes) -> Changed:
    return decode(result, Changed, "a remembered step")


def _packed(result: bytes) -> Packed:
    return decode(result, Packed, "a remembered layer")
