"""What the steps of an image do: compile, pack, take a base, assemble."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from wherry.build.program_builder import ProgramBuilder
from wherry.build.recipe import RECIPE, recipe_text
from wherry.build.solver import ObservedInputs, StepOutcome
from wherry.build.values import (
    Compiled,
    Observed,
    compiled_of,
    descriptor_of,
    differing,
    encode_image,
    image_of,
    layer_of,
)
from wherry.counted import Moving, unheard
from wherry.errors import NotFound
from wherry.layer.known_blocks import KnownBlocks
from wherry.oci.config import History, RuntimeConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import encode
from wherry.oci.image import Image
from wherry.plan.graph import BaseOp, CompileOp, FilesLayerOp, ProgramImageOp, Step, key_of
from wherry.source.inputs import Input, InputKind, key_of_inputs
from wherry.store.contract import SoundStore
from wherry.store.results import StepRecord
from wherry.typed import from_msgpack

_FOREIGN = "the plan of a Go module has no such step"


@dataclass
class ImagePerformer:
    """Does the steps of a plan; made for each build, closed at its end."""

    store: SoundStore
    programs: ProgramBuilder
    base: Callable[[BaseOp], Image]
    folders: Callable[[str, Image, tuple[str, ...]], frozenset[str]]
    """Tells which of some folders a base has, by its name and its image."""
    holds_layer: Callable[[Descriptor], bool]
    """reports whether a base's layer is where the build wants it."""
    refuse: Callable[[Compiled, Callable[[], Path], Image], None]
    """Raises where a program cannot start on a base."""
    check_user: Callable[[str, Image, Mapping[str, str]], None] = field(default=lambda _user, _base, _files: None)
    """Raises where an image names a user by a word that neither its base nor its own files (by path) know."""
    threads: int = 2
    moving: Moving = unheard
    """Hears of bytes that are packed."""

    @property
    def looked_at(self) -> int:
        """How many paths were checked."""
        return self.programs.looker.count

    def close(self) -> None:
        """Delete the programs."""
        self.programs.close()

    def look(self, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None) -> ObservedInputs | None:
        """See `Performer.look`."""
        match step.action:
            case CompileOp():
                return self.programs.look(known)
            case FilesLayerOp() as pack:
                return self._look_at_files(pack, step, needs, known)
            case BaseOp():
                return ObservedInputs("", b"")
            case ProgramImageOp():
                return ObservedInputs(key_of({need: needs[need].result.hex() for need in step.needs}), b"")
            case _:
                raise TypeError(_FOREIGN)

    def holds(self, step: Step, result: bytes) -> bool:
        """See `Performer.holds`."""
        match step.action:
            case CompileOp():
                return True
            case FilesLayerOp():
                return self.store.sound(layer_of(result).blob)
            case BaseOp():
                image = image_of(result)
                documents = image.descriptor, image.manifest.config
                return all(map(self.store.sound, documents)) and all(map(self.holds_layer, image.manifest.stack))
            case ProgramImageOp():
                return self.store.sound_image(descriptor_of(result))
            case _:
                raise TypeError(_FOREIGN)

    def do(
        self, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None
    ) -> tuple[bytes, ObservedInputs | None]:
        """See `Performer.do`."""
        match step.action:
            case CompileOp() as action:
                return self.programs.compile(step, action, known)
            case FilesLayerOp() as action:
                return self._pack(step, action, needs, known)
            case BaseOp() as action:
                return encode_image(self.base(action)), ObservedInputs("", b"")
            case ProgramImageOp() as action:
                seen = self.look(step, needs, known)
                return self._assemble(step, action, needs), seen
            case _:
                raise TypeError(_FOREIGN)

    def explain(self, step: Step, known: StepRecord, seen: ObservedInputs | None) -> tuple[str, ...]:
        """See `Performer.explain`."""
        if not isinstance(step.action, CompileOp | FilesLayerOp):
            return ("its inputs changed",) if seen and seen.key != known.content else ()
        if seen is None:
            return ("it uses cgo or a flag whose inputs are unknown, so `go build` always runs",)
        return differing(known.observed, seen.observed) or (
            ("the program changed",) if seen.key != known.content else ()
        )

    def _look_at_files(
        self, pack: FilesLayerOp, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None
    ) -> ObservedInputs:
        recorded = from_msgpack(known.observed, Observed) if known else Observed()
        before = recorded.inputs
        wanted = [file.source for file in pack.files if file.source]
        if [entry.path for entry in before] != wanted:
            before = tuple(Input(path, InputKind.FILE, b"") for path in wanted)
        for file in wanted:
            if not Path(file).is_file():
                raise NotFound(f"--add {file}: no such file", hint="write it as FILE:PATH[:mode[:owner]]")
        found = self.programs.looker.observe(before)
        modes = [f"{Path(file).stat().st_mode:o}" for file in wanted]
        programs = [compiled_of(outcome.result).digest for outcome in _of(CompileOp, step, needs)]
        there = sorted(self._there(pack, step, needs))
        return ObservedInputs(
            key_of_inputs(found.current, *modes, *programs, *there),
            msgspec.msgpack.encode(Observed(found.current, blocks=recorded.blocks)),
            worth_keeping=found.restamped and bool(wanted),
        )

    def _pack(
        self, step: Step, action: FilesLayerOp, needs: Mapping[str, StepOutcome], known: StepRecord | None
    ) -> tuple[bytes, ObservedInputs | None]:
        from wherry.build.files import entries_of
        from wherry.layer.compress import Encoding, pack

        seen = self._look_at_files(action, step, needs, known)
        programs = [self.programs.program(outcome) for outcome in _of(CompileOp, step, needs)]
        there = self._there(action, step, needs)
        entries = tuple(entries_of(action.files, action.mtime, programs[0] if programs else None, there))
        blocks = self._known_blocks(known)
        encoding = Encoding(action.algorithm, action.level)
        total = sum(entry.size for entry in entries)
        with self.moving(f"compress {step.name}") as moved:
            layer = pack(
                entries,
                encoding,
                self.store,
                threads=self.threads,
                known=blocks,
                packed=lambda done: moved(done, total),
            )
        observed = msgspec.structs.replace(from_msgpack(seen.observed, Observed), blocks=blocks.record)
        return encode(layer), replace(seen, observed=msgspec.msgpack.encode(observed))

    def _known_blocks(self, known: StepRecord | None) -> KnownBlocks:
        """Give the blocks of the layer that the step packed last."""
        recorded = from_msgpack(known.observed, Observed).blocks if known else b""
        blob = layer_of(known.result).blob if known and recorded else None
        return KnownBlocks(self.store, recorded, blob if blob and self.store.sound(blob) else None)

    def _there(self, pack: FilesLayerOp, step: Step, needs: Mapping[str, StepOutcome]) -> frozenset[str]:
        (base,) = _of(BaseOp, step, needs)
        assert isinstance(base.step.action, BaseOp)  # noqa: S101 - it was chosen by its kind
        return self.folders(base.step.action.base, image_of(base.result), _parents_of(pack))

    def _assemble(self, step: Step, action: ProgramImageOp, needs: Mapping[str, StepOutcome]) -> bytes:
        from wherry.image.assemble import assemble

        base, program, layers, recipe = None, None, [], dict(action.recipe)
        files: dict[str, str] = {}
        for need in step.needs:
            outcome = needs[need]
            match outcome.step.action:
                case BaseOp():
                    base = image_of(outcome.result)
                case FilesLayerOp() as packed:
                    history = History(created=action.created, created_by=packed.created_by)
                    layers.append((layer_of(outcome.result), history))
                    files |= {file.path: file.source for file in packed.files}
                case CompileOp():
                    program = outcome
                    recipe |= compiled_of(outcome.result).recipe
                case _:
                    raise TypeError(_FOREIGN)
        assert base is not None  # noqa: S101 - each plan has a base, if only scratch
        self.check_user(action.changes.user, base, files)
        if program is not None:
            self.refuse(compiled_of(program.result), partial(self.programs.program, program), base)
        recipe["base.digest"] = str(base.descriptor.digest)
        return encode(
            assemble(
                base,
                layers,
                _completed(action.changes, base, recipe),
                platform=action.platform,
                created=action.created,
                annotations={**action.annotations, RECIPE: recipe_text(recipe)},
                sink=self.store,
            )
        )


def _parents_of(pack: FilesLayerOp) -> tuple[str, ...]:
    found = {str(parent) for file in pack.files for parent in PurePosixPath(file.path).parents}
    return tuple(sorted(found - {"/"}))


def _of(kind: type, step: Step, needs: Mapping[str, StepOutcome]) -> list[StepOutcome]:
    return [needs[need] for need in step.needs if isinstance(needs[need].step.action, kind)]


NONROOT = "65532:65532"
"""The user where neither the request nor the base names another than root."""


def _completed(changes: RuntimeConfig, base: Image, recipe: Mapping[str, str]) -> RuntimeConfig:
    root_or_none = base.config.runtime.user.partition(":")[0] in {"", "0", "root"}
    return msgspec.structs.replace(
        changes,
        user=changes.user or (NONROOT if root_or_none else ""),
        labels={**(changes.labels or {}), RECIPE: recipe_text(recipe)},
    )
