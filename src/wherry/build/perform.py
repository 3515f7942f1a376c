"""What the steps of an image do: compile, pack, take a base, assemble."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from threading import Lock

import msgspec

from wherry.build import cgo
from wherry.build import compile as go
from wherry.build.compile_progress import CompileProgress
from wherry.build.listing import FileList, unchanged_listing
from wherry.build.recipe import RECIPE, recipe_of, recipe_text, refuse_secrets, values_of
from wherry.build.solver import ObservedInputs, StepOutcome
from wherry.build.values import (
    Compiled,
    Facts,
    Observed,
    compiled_of,
    descriptor_of,
    differences,
    encode_image,
    image_of,
    layer_of,
)
from wherry.digest import Digest
from wherry.errors import NotFound
from wherry.finding import Finding
from wherry.host.process import Runner
from wherry.host.toolchain import Toolchain, find_toolchain, restored
from wherry.oci.config import History, RuntimeConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import encode
from wherry.oci.image import Image
from wherry.plan.graph import BaseOp, CompileOp, FilesLayerOp, ProgramImageOp, Step, key_of
from wherry.source.cgo import WithoutCgo
from wherry.source.dependency import package_of
from wherry.source.git_status import git_environment
from wherry.source.go_messages import places_in, seen_from
from wherry.source.heads import heads_of
from wherry.source.inputs import Input, InputKind, InputReader, key_of_inputs, record
from wherry.source.module import MainPackage, NoMainPackage, PackageBroken, PackageListing, find_main, list_inputs
from wherry.source.published import complete, read_published
from wherry.source.refs import ref_inputs
from wherry.source.vcs import Vcs, VcsAbsent
from wherry.store.contract import SoundStore
from wherry.store.results import StepRecord
from wherry.typed import from_msgpack

_FOREIGN = "the plan of a Go module has no such step"


@dataclass
class ImagePerformer:
    """Does the steps of a plan; made for each build, closed at its end."""

    store: SoundStore
    runner: Runner
    environment: Mapping[str, str]
    """The user's, whole."""
    scratch: Path
    """A folder for programs between link and layer."""
    vcs: Callable[[], Vcs | VcsAbsent]
    judge: Callable[[Path], Facts]
    judge_values: Callable[[Sequence[tuple[str, str]], Collection[str]], Iterable[Finding]]
    """Judges variables and values of -X; the second are variables with values that are public anyway."""
    base: Callable[[BaseOp], Image]
    folders: Callable[[str, Image, tuple[str, ...]], frozenset[str]]
    """Tells which of some folders a base has, by its name and its image."""
    holds_layer: Callable[[Descriptor], bool]
    """reports whether a base's layer is where the build wants it."""
    refuse: Callable[[Compiled, Callable[[], Path], Image], None]
    """Raises where a program cannot start on a base."""
    check_user: Callable[[str, Image, Mapping[str, str]], None] = field(default=lambda _user, _base, _files: None)
    """Raises where an image names a user by a word that neither its base nor its own files (by path) know."""
    warm: Callable[[], None] = field(default=lambda: None)
    """Loads what is needed once a program is compiled; called while the compiler works."""
    threads: int = 2
    programs: dict[str, Path] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    """Of the programs, by the names of their steps too."""
    looker: InputReader = field(default_factory=InputReader)
    said: Callable[[str, str], None] = field(default=lambda _step, _text: None)
    """Called with messages of a running step."""
    detail: Callable[[str, str], None] = field(default=lambda _step, _text: None)
    """Receives what a step does at the moment; each text takes the place of the one before."""
    cwd: Path | None = None
    """Where the user is; None: paths stay as compilers print them."""
    _toolchains: dict[str, Toolchain] = field(default_factory=dict)
    _one_go: dict[str, Lock] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _folder: Path | None = None

    @property
    def looked_at(self) -> int:
        """How many paths were checked."""
        return self.looker.count

    def close(self) -> None:
        """Delete the programs."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def link_debug_binary(self, step: Step, compiled: Compiled) -> Path:
        """Link the program of a compile step once more, with symbols and DWARF and under the same GNU build ID.

        The same packages come from Go's build cache, so code and addresses are the same; what profilers and
        symbol stores look for matches the stripped program.
        """
        action = step.action
        assert isinstance(action, CompileOp)  # noqa: S101 - only compile steps give programs
        package = _package(action)
        toolchain = self._toolchain(action, package)
        flags = go.merged(action.flags, go.words_of(toolchain.settings.get("GOFLAGS", "")))
        stamp = compiled.recipe["go.buildvcs"]
        debug = (*go.with_symbols(flags, compiled.build_id), f"-buildvcs={stamp}")
        name = f"{step.name} with symbols"
        progress = CompileProgress(package.import_path, partial(self.detail, step.name), lambda: None)
        return self._link(name, action, toolchain, package, progress, debug)[0]

    def look(self, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None) -> ObservedInputs | None:
        """See `Performer.look`."""
        match step.action:
            case CompileOp():
                return self._look_at_sources(known)
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
                return self._compile(step, action, known)
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
        before, after = (from_msgpack(blob, Observed) for blob in (known.observed, seen.observed))
        return differences(before, after) or (("the program changed",) if seen.key != known.content else ())

    def _look_at_sources(self, known: StepRecord | None) -> ObservedInputs | None:
        if known is None:
            return None
        observed = from_msgpack(known.observed, Observed)
        found = self.looker.observe(observed.inputs)
        stamped = self._stamp() if observed.stamped else ""
        if not found.changed and stamped == observed.stamped and not found.restamped:
            return ObservedInputs(known.content, known.observed)
        changed = {entry.path for entry in found.changed}
        now = msgspec.structs.replace(
            observed,
            inputs=found.current,
            stamped=stamped,
            heads={path: head for path, head in observed.heads.items() if path not in changed},
            toolchain={} if changed else observed.toolchain,
        )
        key = key_of_inputs(found.current, stamped) if found.changed or stamped != observed.stamped else known.content
        return ObservedInputs(key, msgspec.msgpack.encode(now), worth_keeping=found.restamped)

    def _look_at_files(
        self, pack: FilesLayerOp, step: Step, needs: Mapping[str, StepOutcome], known: StepRecord | None
    ) -> ObservedInputs:
        before = from_msgpack(known.observed, Observed).inputs if known else ()
        wanted = [file.source for file in pack.files if file.source]
        if [entry.path for entry in before] != wanted:
            before = tuple(Input(path, InputKind.FILE, b"") for path in wanted)
        for file in wanted:
            if not Path(file).is_file():
                raise NotFound(f"--add {file}: no such file", hint="write it as FILE:PATH[:mode[:owner]]")
        found = self.looker.observe(before)
        modes = [f"{Path(file).stat().st_mode:o}" for file in wanted]
        programs = [compiled_of(outcome.result).digest for outcome in _of(CompileOp, step, needs)]
        there = sorted(self._there(pack, step, needs))
        return ObservedInputs(
            key_of_inputs(found.current, *modes, *programs, *there),
            msgspec.msgpack.encode(Observed(found.current)),
            worth_keeping=found.restamped and bool(wanted),
        )

    def _compile(self, step: Step, action: CompileOp, known: StepRecord | None) -> tuple[bytes, ObservedInputs | None]:
        started = time.time_ns()
        package = _package(action)
        before = from_msgpack(known.observed, Observed) if known else Observed()
        listed = unchanged_listing(step, known, before)
        toolchain = self._toolchain(action, package, before.toolchain if listed else {})
        goflags = go.words_of(toolchain.settings.get("GOFLAGS", ""))
        flags = go.merged(action.flags, goflags)
        values, public = values_of(action, goflags)
        for warning in refuse_secrets(self.judge_values(values, public), allowed=action.secrets_allowed):
            self.said(step.name, f"warning: {warning}")
        wants_stamp = action.stamp and "-buildvcs=false" not in goflags and _seen_by_go(self.vcs())
        stamp = wants_stamp and bool(before.stamped)
        asked = (self.runner, toolchain, package, go.listing_flags(flags), action.environment)
        progress = CompileProgress(package.import_path, partial(self.detail, step.name), lambda: files.imports)
        files = FileList(listed, lambda: self._listing(package, partial(list_inputs, *asked, on_line=progress.line)))
        if package.release:
            complete(*asked, on_line=progress.line)
        link = partial(self._link, step.name, action, toolchain, package, progress)
        with files.asked(self.warm):
            if known is None:
                started = files.first()
            with self._saying_cgo(action, package, files):
                program, began = link((*flags, f"-buildvcs={str(stamp).lower()}"))
        started = min(started, began or started)
        facts = self.judge(program)
        if wants_stamp and facts.reads_stamp != stamp:
            stamp = facts.reads_stamp
            program, _ = link((*flags, f"-buildvcs={str(stamp).lower()}"))
        listing = files.get(again=stamp != bool(before.stamped))  # the files of git's tags came or went
        if listing.package != "main":
            raise NoMainPackage(f"{package.folder}: package {listing.package} on {action.platform}, not main")
        for warning in cgo.warnings_of(listing.without_cgo, partial(self._shown, package)):
            self.said(step.name, warning)
        self.programs[step.name], self.digests[step.name] = program, str(_digest(program))
        compiled = Compiled(
            digest=self.digests[step.name],
            size=program.stat().st_size,
            go=toolchain.version,
            origin=toolchain.origin,
            reads_stamp=facts.reads_stamp,
            recipe=recipe_of(package, action, toolchain, flags, goflags, stamped=stamp),
            interpreter=facts.interpreter,
            libraries=facts.libraries,
            build_id=facts.build_id,
            packages=listing.packages,
        )
        every = (*goflags, *flags)
        if listing.uses_cgo or go.unknown_flags(every):
            return msgspec.msgpack.encode(compiled), None
        paths = [*listing.paths, *go.flag_inputs(every, package.folder), *(ref_inputs(self.vcs()) if stamp else ())]
        if package.dependency:
            paths += go.flag_inputs((), package.sources)
        inputs = record(paths, before.inputs, started=started, ended=time.time_ns(), threads=self.threads)
        if listing is not listed:
            outside = toolchain.settings["GOROOT"], toolchain.settings.get("GOMODCACHE", "")
            # Bodies tell what a program lacks without cgo, so that Go is asked each time where it lacks anything.
            heads = heads_of(inputs, outside) if listing.without_cgo == WithoutCgo() else {}
            before = Observed(heads=heads, toolchain=toolchain.kept())
        stamped = self._stamp() if stamp else ""
        observed = msgspec.structs.replace(before, inputs=inputs, stamped=stamped)
        return msgspec.msgpack.encode(compiled), ObservedInputs(
            key_of_inputs(inputs, stamped), msgspec.msgpack.encode(observed)
        )

    def _link(
        self,
        name: str,
        action: CompileOp,
        toolchain: Toolchain,
        package: MainPackage,
        progress: CompileProgress,
        flags: tuple[str, ...],
    ) -> tuple[Path, int]:
        """Compile and link; give the program, and when that began if it was before it was asked for here, else 0."""
        program = self._place(name) / package.name
        extra = dict(action.environment)
        vcs = self.vcs() if "-buildvcs=true" in flags else None
        if isinstance(vcs, Vcs):
            extra = {**git_environment(self.environment, vcs.root), **extra}
        # Two compilers of one platform at a time would compile the packages that both need twice.
        with self._turn(str(action.platform)):
            words = ("build", "-v", *flags, "-o", str(program), package.argument)
            command = toolchain.command(package.folder, *words, extra=extra)
            done = self.runner.run(replace(command, on_line=progress.line))
        printed = progress.others(done.words)
        if done.returncode:
            remedy = "choose another version" if package.release else "fix it and build again"
            shown = self._seen(printed, package)
            failed = go.CompileFailed(
                f"{package.import_path} does not compile for {action.platform}:\n{_indented(shown)}",
                hint=f"output of {toolchain.version}; {remedy}",
            )
            failed.places = tuple(places_in(shown))
            raise failed
        if printed:
            self.said(name, self._seen(printed, package))
        return program, done.began

    @contextmanager
    def _saying_cgo(self, action: CompileOp, package: MainPackage, files: FileList) -> Iterator[None]:
        """Say what cgo has to do with a failure, if it has."""
        try:
            yield
        except go.CompileFailed as failed:
            cgo.explain(failed, files.get(again=True).without_cgo, partial(self._shown, package))
            environment = {**self.environment, **action.environment}
            said = cgo.lacks_compiler(failed, package.import_path, action.platform, environment, self.runner)
            if said is None:
                raise
            raise said from failed

    def _shown(self, package: MainPackage, file: str) -> str:
        return os.path.relpath(file, self.cwd or package.module)

    def _seen(self, words: str, package: MainPackage) -> str:
        """Write the paths in what Go said as it would have written them where the user is."""
        return words if self.cwd is None or package.release else seen_from(words, package.folder, self.cwd)

    def _listing(self, package: MainPackage, ask: Callable[[], PackageListing]) -> PackageListing:
        try:
            return ask()
        except PackageBroken as error:
            error.message = self._seen(error.message, package)
            error.places = tuple(places_in(error.message))
            raise

    def _pack(
        self, step: Step, action: FilesLayerOp, needs: Mapping[str, StepOutcome], known: StepRecord | None
    ) -> tuple[bytes, ObservedInputs | None]:
        from wherry.build.files import entries_of
        from wherry.layer.compress import Encoding, pack

        seen = self._look_at_files(action, step, needs, known)
        programs = [self._program(outcome) for outcome in _of(CompileOp, step, needs)]
        there = self._there(action, step, needs)
        entries = entries_of(action.files, action.mtime, programs[0] if programs else None, there)
        layer = pack(entries, Encoding(action.algorithm, action.level), self.store, threads=self.threads)
        return encode(layer), seen

    def _there(self, pack: FilesLayerOp, step: Step, needs: Mapping[str, StepOutcome]) -> frozenset[str]:
        (base,) = _of(BaseOp, step, needs)
        assert isinstance(base.step.action, BaseOp)  # noqa: S101 - it was chosen by its kind
        return self.folders(base.step.action.base, image_of(base.result), _parents_of(pack))

    def _program(self, compiled: StepOutcome) -> Path:
        path = self.programs.get(compiled.step.name)
        if path is None:
            action = compiled.step.action
            assert isinstance(action, CompileOp)  # noqa: S101 - only compile steps give programs
            self._compile(compiled.step, action, None)
            path = self.programs[compiled.step.name]
        if self.digests[compiled.step.name] != compiled_of(compiled.result).digest:
            raise go.CompileFailed(
                f"{path.name}: linking it twice gave different bytes",
                hint="the source changed during the build; build again",
            )
        return path

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
            self.refuse(compiled_of(program.result), partial(self._program, program), base)
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

    def _stamp(self) -> str:
        vcs = self.vcs()
        return f"{vcs.revision} {vcs.modified}" if isinstance(vcs, Vcs) else "none"

    def _toolchain(self, action: CompileOp, package: MainPackage, kept: Mapping[str, str] | None = None) -> Toolchain:
        _, _, version = action.go.partition("@")
        environment = {**self.environment, **action.environment}
        with self._lock:
            key = key_of(
                {**action.environment, "module": str(package.module), "GOOS": "", "GOARCH": "", "go": action.go}
            )
            if key not in self._toolchains:
                self._toolchains[key] = restored(
                    kept or {}, environment, package.module, version=version
                ) or find_toolchain(self.runner, environment, package.module, version=version)
            return self._toolchains[key]

    def _place(self, name: str) -> Path:
        with self._lock:
            if self._folder is None:
                self.scratch.mkdir(parents=True, exist_ok=True)
                self._folder = Path(mkdtemp(prefix="link-", dir=self.scratch))
        place = self._folder / hashlib.sha256(name.encode()).hexdigest()[:16]
        place.mkdir(exist_ok=True)
        return place

    def _turn(self, platform: str) -> Lock:
        with self._lock:
            return self._one_go.setdefault(platform, Lock())


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


def _package(action: CompileOp) -> MainPackage:
    folder = Path(action.package)
    if action.dependency:
        return package_of(folder, action.dependency)
    return read_published(folder) if action.published else find_main(folder)


def _seen_by_go(vcs: Vcs | VcsAbsent) -> bool:
    # cmd/go knows no `.git` that is a file: in a worktree or submodule it would stamp an outer checkout.
    return isinstance(vcs, Vcs) and not vcs.linked


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return Digest.from_hash(hashlib.file_digest(file, "sha256"))


def _indented(words: str) -> str:
    return "\n".join(f"  {line}" for line in words.splitlines())
