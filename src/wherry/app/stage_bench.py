"""A project's image built in two ways, again and again: what each costs, how large it is, how soon it starts."""

import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

from wherry.app.bench_project import ChangedFile, copy_context, files_to_change
from wherry.app.build.options import CommonOptions, DockerfileBuild, GoBuild
from wherry.app.build.result import BuildResult
from wherry.app.build.sources import Source
from wherry.app.lint import around_of
from wherry.app.progress import Progress, Silent
from wherry.app.session import Session
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.fixes.merge import is_split, merged, split
from wherry.dockerfile.parser import parse
from wherry.errors import InvalidUsage, WherryError

COLD, LINE, DEPENDENCIES, UNCHANGED = "cold", "one line changed", "dependencies changed", "unchanged"
_PATIENCE = 20.0
_NAME = "wherry.bench/{0}:{1}"


class BenchFailed(WherryError):
    """One of the ways to build an image fails."""

    def __init__(self, name: str, error: WherryError) -> None:
        super().__init__(f"{name}: {error.message}", hint=error.hint)
        self.exit_code = error.exit_code


@dataclass(frozen=True, slots=True)
class Spread:
    """What several measurements gave."""

    values: tuple[float, ...]
    """In the order of the rounds."""

    @property
    def least(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.values)

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    def percentile(self, share: float) -> float:
        """Give the value that a share of all, from 0 to 1, is not above (nearest rank)."""
        ordered = sorted(self.values)
        return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]


@dataclass(frozen=True, slots=True)
class BenchedVariant:
    """One way to build the image."""

    name: str
    dockerfile: str
    """Its text; empty where there is none."""
    seconds: dict[str, Spread]
    """Of builds, by what was changed before."""
    pulled: Spread
    """Bytes of all layers as stored, over all builds."""
    unpacked: int
    """Bytes of its layers' archives in the last build; 0: not measured."""
    starts: Spread | None
    """Seconds; None: not measured."""
    listened: bool
    why_no_starts: str = ""

    @property
    def lookup(self) -> float:
        """Seconds that a build takes in which every step is looked up and none runs."""
        return self.seconds[UNCHANGED].median

    @property
    def saved(self) -> float:
        """Seconds that the cache saves such a build."""
        return self.seconds[COLD].median - self.lookup


@dataclass(frozen=True, slots=True)
class StageBench:
    """What two ways to build an image cost."""

    rounds: int
    changed: tuple[str, ...]
    """Files that were changed, by scenario: a line, dependencies."""
    variants: tuple[BenchedVariant, BenchedVariant]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """How it is measured."""

    rounds: int = 3
    starts: int = 20
    """Starts of each image; 0: none."""
    change: str = ""
    """The file that one line is added to; empty: a source that is found."""
    against: str = ""
    """Another Dockerfile to compare with; empty: the same one, merged or split."""
    go: bool = False
    """Whether the Go module, built by wherry, is compared with the Dockerfile."""


@dataclass(slots=True)
class _Variant:
    """A way to build, with a cache of its own."""

    name: str
    session: Session
    wanted: DockerfileBuild | GoBuild
    text: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    pulled: list[int] = field(default_factory=list)
    last: BuildResult | None = None


def bench_stages(
    session: Session, source: Source, wanted: DockerfileBuild, options: BenchOptions, progress: Progress | None = None
) -> StageBench:
    """Build a copy of a context in two ways, in interleaved rounds.

    Each way has a cache of its own; bases and blobs are shared, so a cold build pulls nothing that is there. Before the
    first round each is built once and not counted.

    Args:
        session: where.
        source: the Dockerfile and its context, a folder of this machine.
        wanted: how it is built.
        options: how it is measured.
        progress: where it is reported.

    Raises:
        InvalidUsage: the context is not a folder of this machine, or nothing in it can be changed.
        CannotReshape: the stages can't be merged or split.
        BenchFailed: one of them can't be built; the message says which.

    Cost: two builds more than ways times rounds times what is changed.
    """
    if not source.local:
        raise InvalidUsage(f"{source.name}: not a local directory", hint="give a directory of this machine")
    shown = progress or Silent()
    with ExitStack() as stack:
        folder = stack.enter_context(_scratch(session))
        with shown.step("copy the context"):
            context = copy_context(source, folder / "context")
        variants = tuple(stack.enter_context(_variants(session, source, wanted, options, folder)))
        changes = files_to_change(context, options.change)
        count = len(variants) * (1 + options.rounds * (2 + len(changes)))
        with shown.step("bench") as step:
            told = iter(range(1, count + 1))

            def tell(words: str) -> None:
                step.detail(f"build {next(told)} of {count}: {words}")

            for one in variants:
                tell(f"{one.name}, first")
                _built(one, no_cache=False)
            for number in range(options.rounds):
                _round(number, variants if number % 2 else variants[::-1], changes, tell)
            done = tuple(_finished(one, options, step.detail) for one in variants)
        return StageBench(options.rounds, tuple(one.path for one in changes), (done[0], done[1]))


def _round(
    number: int, variants: Sequence[_Variant], changes: Sequence[ChangedFile], tell: Callable[[str], None]
) -> None:
    for one in variants:
        tell(f"{one.name}, {COLD}")
        _forget_mounts(one.session)
        _measure(one, COLD, no_cache=True)
    for change in changes:
        change.apply(number)
        for one in variants:
            tell(f"{one.name}, {change.scenario}")
            _measure(one, change.scenario, no_cache=False)
    for one in variants:
        tell(f"{one.name}, {UNCHANGED}")
        _measure(one, UNCHANGED, no_cache=False)


def _measure(one: _Variant, scenario: str, *, no_cache: bool) -> None:
    began = time.perf_counter()
    result = _built(one, no_cache=no_cache)
    one.seconds.setdefault(scenario, []).append(time.perf_counter() - began)
    one.pulled.append(sum(built.pulled for image in result.images for built in image.platforms))


def _built(one: _Variant, *, no_cache: bool) -> BuildResult:
    from wherry.app.build.build import build

    if no_cache and isinstance(one.wanted, GoBuild):
        for name in ("go-build", "go-modules"):
            shutil.rmtree(one.session.cache_folder / name, ignore_errors=True)
    try:
        one.last = build(one.session, replace(one.wanted, no_cache=no_cache))
    except WherryError as error:
        raise BenchFailed(one.name, error) from error
    return one.last


def _finished(one: _Variant, options: BenchOptions, tell: Callable[[str], None]) -> BenchedVariant:
    starts, listened, why = _starts(one, options.starts, tell) if options.starts else (None, False, "")
    return BenchedVariant(
        name=one.name,
        dockerfile=one.text,
        seconds={scenario: Spread(tuple(values)) for scenario, values in one.seconds.items()},
        pulled=Spread(tuple(map(float, one.pulled))),
        unpacked=_unpacked(one),
        starts=starts,
        listened=listened,
        why_no_starts=why,
    )


def _starts(one: _Variant, count: int, tell: Callable[[str], None]) -> tuple[Spread | None, bool, str]:
    from wherry.app.image_starts import starter_of

    assert one.last is not None  # noqa: S101 - it was built
    try:
        with starter_of(one.session, one.last.images[0].names[0]) as start:
            start(_PATIENCE)
            found = []
            for number in range(1, count + 1):
                tell(f"start {number} of {count}: {one.name}")
                found.append(start(_PATIENCE))
    except WherryError as error:
        return None, False, error.message
    return Spread(tuple(each.seconds for each in found)), any(each.listened for each in found), ""


def _unpacked(one: _Variant) -> int:
    from wherry.layer.decompress import open_layer

    assert one.last is not None  # noqa: S101 - as above
    total = 0
    for built in (platform for image in one.last.images for platform in image.platforms):
        for blob, diff_id in zip(built.image.manifest.stack, built.image.config.diff_ids, strict=True):
            layer = open_layer(one.session.store, blob, diff_id)
            while chunk := layer.read(1 << 20):
                total += len(chunk)
    return total


@contextmanager
def _variants(
    session: Session, source: Source, wanted: DockerfileBuild, options: BenchOptions, folder: Path
) -> Iterator[list[_Variant]]:
    """Make the two ways to build, each with a cache below a folder; their names leave the store at the end."""
    texts = _texts(session, source, wanted, options)
    made: list[_Variant] = []
    tag = folder.name.rpartition("-")[2].lower().strip("_") or "x"
    try:
        for number, (name, text) in enumerate(texts):
            own = _own_session(session, folder / str(number))
            tags = (_NAME.format(number, tag),)
            common = CommonOptions(tags=tags, budgets=False, platforms=wanted.platforms)
            chosen: DockerfileBuild | GoBuild
            if text is None:
                own.cwd = folder / "context"
                chosen = GoBuild(tags=common.tags, budgets=False, platforms=wanted.platforms, go=True, push=False)
            else:
                file = folder / f"{number}.Dockerfile"
                file.write_bytes(text.encode("utf-8", "surrogateescape"))
                chosen = replace(wanted, context=str(folder / "context"), file=str(file), tags=tags, budgets=False)
            made.append(_Variant(name, own, chosen, text or ""))
        yield made
    finally:
        for one in made:
            with suppress(WherryError):
                for name in one.wanted.tags or ():
                    session.store.untag(name)
            _delete(one.session, [one.session.cache_folder])


def _texts(
    session: Session, source: Source, wanted: DockerfileBuild, options: BenchOptions
) -> list[tuple[str, str | None]]:
    """Name the two ways, each with its Dockerfile; None: the Go module without one."""
    if options.go:
        return [("Dockerfile", source.text), ("Go module", None)]
    if options.against:
        other = session.cwd / options.against
        try:
            text = other.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise InvalidUsage(
                f"--against {options.against}: {error.strerror}", hint="give another Dockerfile of the same context"
            ) from error
        return [(source.name, source.text), (options.against, text)]
    with ExitStack() as stack:
        around = around_of(session, source, wanted, stack)
    file = Advised(source.name, parse(source.text), around, Checks())
    if is_split(file):
        return [("separate stages", source.text), ("merged", merged(file, source.text))]
    return [("separate stages", split(file, source.text)), ("merged", source.text)]


def _own_session(session: Session, cache: Path) -> Session:
    own = copy(session)
    own.progress = Silent()
    own.cache_folder = cache
    environment = dict(session.environment)
    environment["GOCACHE"] = str(cache / "go-build")
    environment["GOMODCACHE"] = str(cache / "go-modules")
    environment["GOFLAGS"] = f"{environment.get('GOFLAGS', '')} -modcacherw".strip()
    own.environment = environment
    return own


def _forget_mounts(session: Session) -> None:
    """Empty the caches of RUN: a cold build finds none."""
    mounts = session.cache_folder / "mounts"
    if mounts.is_dir():
        _delete(session, [mounts])


def _delete(session: Session, folders: list[Path]) -> None:
    """Delete folders with files of other users, as unpacked layers have."""
    from wherry.app.sandboxes import mapping_of, why_refused
    from wherry.sandbox.snapshot_writer import SandboxSnapshotWriter

    there = [folder for folder in folders if folder.is_dir()]
    trees = [inner for folder in there for inner in (folder / "trees", folder / "mounts", folder) if inner.is_dir()]
    mapping = mapping_of(session)
    for folder in trees:
        trash = folder.with_name(f"{folder.name}.trash")
        trash.mkdir(exist_ok=True)
        with suppress(WherryError, OSError):
            SandboxSnapshotWriter(mapping, why_refused(mapping)).delete([folder], trash)
        shutil.rmtree(trash, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _scratch(session: Session) -> Iterator[Path]:
    session.keep_cache_private()
    session.cache_folder.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="bench-", dir=session.cache_folder))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
