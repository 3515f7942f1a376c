"""Programs of Go modules: compiled once a build, with what that read and said.

`perform.py` calls it for the steps of a plan; it knows no layers and no images.
"""

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock

import msgspec

from wherry.build import cgo
from wherry.build import compile as go
from wherry.build.compile_progress import CompileProgress
from wherry.build.link_folders import LinkFolder
from wherry.build.linking import MuslCompiler, make_static
from wherry.build.listing import FileList, unchanged_listing
from wherry.build.recipe import recipe_of, refuse_secrets, values_of
from wherry.build.solver import ObservedInputs, StepOutcome
from wherry.build.values import Compiled, Facts, Observed, compiled_of
from wherry.digest import Digest
from wherry.finding import Finding
from wherry.host.process import Runner
from wherry.host.toolchain import Toolchain, find_toolchain, restored
from wherry.plan.graph import CompileOp, Step, key_of
from wherry.source.cgo import WithoutCgo
from wherry.source.dependency import package_of
from wherry.source.git_status import git_environment
from wherry.source.go_messages import places_in, seen_from
from wherry.source.heads import heads_of
from wherry.source.inputs import InputReader, key_of_inputs, record
from wherry.source.module import MainPackage, NoMainPackage, PackageBroken, PackageListing, find_main, list_inputs
from wherry.source.published import complete, read_published
from wherry.source.refs import ref_inputs
from wherry.source.vcs import Vcs, VcsAbsent
from wherry.store.results import StepRecord
from wherry.typed import from_msgpack


@dataclass
class ProgramBuilder:
    """Does compile steps; made for each build, closed at its end."""

    runner: Runner
    environment: Mapping[str, str]
    """The user's, whole."""
    scratch: Path
    """A folder for programs between link and layer."""
    vcs: Callable[[], Vcs | VcsAbsent]
    judge: Callable[[Path], Facts]
    judge_values: Callable[[Sequence[tuple[str, str]], Collection[str]], Iterable[Finding]]
    """Judges variables and values of -X; the second are variables with values that are public anyway."""
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
    _folder: LinkFolder | None = None
    _musl: MuslCompiler = field(init=False)

    def __post_init__(self) -> None:
        """Know who compiles C for musl, where that is asked for."""
        self._musl = MuslCompiler(self.runner, self.environment, self.scratch.parent / "zig")

    def close(self) -> None:
        """Delete the programs."""
        if self._folder:
            self._folder.delete()

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

    def look(self, known: StepRecord | None) -> ObservedInputs | None:
        """Look at what a program was made of last time; None where nothing is known."""
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

    def compile(self, step: Step, action: CompileOp, known: StepRecord | None) -> tuple[bytes, ObservedInputs | None]:
        """Compile and link, and take down what was read.

        Raises:
            CompileFailed, NoMainPackage, PackageBroken: with what Go said.
        """
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
        forced = wants_stamp and "-buildvcs=true" in goflags
        stamp = forced or (wants_stamp and bool(before.stamped))
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
        if wants_stamp and not forced and facts.reads_stamp != stamp:
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
            recipe={
                **recipe_of(package, action, toolchain, flags, goflags, stamped=stamp),
                **({"go.zig": self._musl.version} if action.cgo else {}),
            },
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
        flags = (*go.no_inline_flags(action.no_inline), *flags)
        if action.cgo:
            flags = self._musl.flags(flags)
            extra |= self._musl.environment(action.platform)
        vcs = self.vcs() if "-buildvcs=true" in flags else None
        if isinstance(vcs, Vcs):
            extra = {**git_environment(self.environment, vcs.root), **extra}
        # Two compilers of one platform at a time would compile the packages that both need twice.
        with self._turn(str(action.platform)):
            words = ("build", "-v", *flags, "-o", str(program), package.argument)
            command = toolchain.command(package.folder, *words, extra=extra)
            done = self.runner.run(replace(command, on_line=progress.line))
        printed = progress.others(done.words)
        if action.static_pie and not done.returncode:
            make_static(program)
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
            said = (
                None
                if action.cgo
                else cgo.lacks_compiler(failed, package.import_path, action.platform, environment, self.runner)
            )
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

    def program(self, compiled: StepOutcome) -> Path:
        """Give the file of a program, linked again where only its record is there."""
        path = self.programs.get(compiled.step.name)
        if path is None:
            action = compiled.step.action
            assert isinstance(action, CompileOp)  # noqa: S101 - only compile steps give programs
            self.compile(compiled.step, action, None)
            path = self.programs[compiled.step.name]
        if self.digests[compiled.step.name] != compiled_of(compiled.result).digest:
            raise go.CompileFailed(
                f"{path.name}: linking it twice gave different bytes",
                hint="the source changed during the build; build again",
            )
        return path

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
                self._folder = LinkFolder.make(self.scratch)
        place = self._folder.path / hashlib.sha256(name.encode()).hexdigest()[:16]
        place.mkdir(exist_ok=True)
        return place

    def _turn(self, platform: str) -> Lock:
        with self._lock:
            return self._one_go.setdefault(platform, Lock())


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
