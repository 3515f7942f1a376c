"""What calls leave in the history: their figures, taken from what is known anyway, in one line.

Recording opens no database and waits for nothing. It never fails a call: what it cannot write is not there later.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from wherry.app.history_place import history_folder
from wherry.app.session import Session
from wherry.errors import WherryError
from wherry.history.append import JOURNAL, append, line_of
from wherry.history.entry import (
    LARGEST,
    PACKAGES,
    REASONS,
    REQUIRED,
    STEPS,
    BudgetFigures,
    CallFigures,
    ImageFigures,
    LayerFigures,
    PackageFigures,
    ScanFigures,
    StepFigures,
    replayed,
    text,
)

if TYPE_CHECKING:
    from wherry.analysis.size import SizeDocument
    from wherry.app.build.build import FinishedBuild
    from wherry.app.build.result import BuildResult, BuiltImage, BuiltStep
    from wherry.app.scan_result import Scan
    from wherry.app.transfer import NamedImage
    from wherry.oci.descriptor import Descriptor

_FULL: Final = 1 << 20
"""Bytes of the journal from which on a build folds some lines into the database."""
_PATIENCE: Final = 0.002
"""Seconds after which no further step is compared with the last build's: one takes 2 ms for 3,000 files."""
_LATE: Final = "not looked up, to keep the build quick; --explain does"
_SOME: Final = 25
"""Lines that it folds at most."""
_IMAGES: Final = 64
_LAYERS: Final = 128


def record(session: Session, made: Callable[[], CallFigures]) -> tuple[str, str] | None:
    """Leave a line in the journal.

    Args:
        session: where.
        made: makes the entry, if one is wanted.

    Returns:
        The journal, and what a replay of the call adds to it (`history.entry.replayed`); None where none is kept.

    Cost: one write; where the journal is full, a few more lines are folded into the database.
    """
    try:
        folder = history_folder(session)
        if folder is None:
            return None
        journal = folder / JOURNAL
        entry = made()
        line = entry.encoded()
        if len(line) > LARGEST:
            return None
        try:
            size = append(str(journal), line)
        except FileNotFoundError:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            size = append(str(journal), line)
        if size > _FULL:
            _fold(session, folder)
        return str(journal), replayed(entry)
    except Exception:  # noqa: BLE001 - figures are never worth a failed build
        return None


def _fold(session: Session, folder: Path) -> None:
    from wherry.history.database import HistoryDatabase

    with suppress(WherryError), HistoryDatabase(folder, clock=session.clock, patience=0.0) as database:
        database.fold(_SOME)


def record_again(session: Session, rest: str, *, began: float) -> None:
    """Leave the line of a call that was answered from its memory.

    Args:
        session: where.
        rest: what `record` gave for it.
        began: seconds since the epoch.
    """
    if journal := journal_of(session, rest):
        with suppress(OSError):
            now = session.clock()
            append(journal, line_of(rest, now, max(now - began, 0.0)))


def journal_of(session: Session, rest: str) -> str:
    """Name the journal that a call's line goes to; empty where there is no line or no history."""
    folder = history_folder(session) if rest else None
    return str(folder / JOURNAL) if folder else ""


def new_id() -> str:
    """Give the random name of an entry."""
    return os.urandom(8).hex()


def build_entry(session: Session, done: "FinishedBuild", *, command: str = "build", began: float) -> CallFigures:
    """Take the figures of a build.

    Args:
        session: where.
        done: what it gave.
        command: the command that built.
        began: seconds since the epoch.
    """
    result = done.result
    entry = _entry(
        session,
        command,
        began,
        unchanged=result.unchanged,
        start=done.started,
        requires=_requires(done) if not result.unchanged else {},
    )
    return msgspec.structs.replace(entry, **_of_result(result), **_revision(done))


def cluster_entry(session: Session, result: "BuildResult", *, began: float) -> CallFigures:
    """Take the figures of a build in a cluster; what its pods needed is not this machine's, and so not in them."""
    return msgspec.structs.replace(_entry(session, "build", began), **_of_result(result))


def failed_entry(
    session: Session, command: str, error: Exception, *, began: float, result: "BuildResult | None" = None
) -> CallFigures:
    """Take what is known of a call that failed."""
    entry = _entry(session, command, began, ok=False, error=text(type(error).__name__))
    return msgspec.structs.replace(entry, **(_of_result(result) if result is not None else {}))


def _entry(session: Session, command: str, began: float, **figures: object) -> CallFigures:
    now = session.clock()
    entry = CallFigures(id=new_id(), at=now, command=command, seconds=max(now - began, 0.0))
    return msgspec.structs.replace(entry, **_usage(), **figures)


def _of_result(result: "BuildResult") -> dict[str, object]:
    missed = sum(not one.cached for one in result.steps)
    return {
        "images": tuple(_images(result.images)),
        "steps": tuple(
            StepFigures(
                name=text(one.name),
                cached=one.cached,
                seconds=max(one.seconds, 0.0),
                reasons=tuple(text(reason, 300) for reason in reasons),
            )
            for one, reasons in _with_reasons(result.steps[:STEPS])
        ),
        "hits": len(result.steps) - missed,
        "misses": missed,
        "go": _toolchain(result),
        "budgets": tuple(
            BudgetFigures(
                what=text(one.what), limit=one.limit, actual=one.actual, ok=one.ok, image=text(one.image),
                platform=text(one.platform, 128),
            )
            for one in result.budgets[:256]
        ),
        "findings": tuple(text(one) for one in result.notices[:32]),
    }  # fmt: skip


def _with_reasons(steps: "Sequence[BuiltStep]") -> "Iterator[tuple[BuiltStep, Sequence[str]]]":
    """Give steps with why they were not cached, as far as that is found out in time: a build must not wait for it."""
    due = time.perf_counter() + _PATIENCE
    for one in steps:
        late = not one.cached and time.perf_counter() > due
        yield one, (_LATE,) if late else one.reasons[:REASONS]


def _images(images: "Sequence[BuiltImage]") -> Iterator[ImageFigures]:
    for image in images[:_IMAGES]:
        for built in image.platforms[:_LAYERS]:
            own = {str(layer.blob.digest): layer.size for layer in built.own}
            yield ImageFigures(
                name=text(image.names[0]),
                digest=str(built.image.descriptor.digest),
                root=image.digest if len(image.platforms) > 1 else "",
                platform=text(str(built.platform), 128),
                pulled=built.pulled,
                layers=tuple(_layers(built.image.manifest.stack[:_LAYERS], own)),
                program=built.program.size if built.program else None,
                base=text(image.base),
            )


def _layers(stack: "Sequence[Descriptor]", own: Mapping[str, int]) -> Iterator[LayerFigures]:
    for layer in stack:
        digest = str(layer.digest)
        yield LayerFigures(digest=digest, pulled=layer.size, unpacked=own.get(digest), own=digest in own)


def _toolchain(result: "BuildResult") -> str:
    programs = [one.program for image in result.images for one in image.platforms if one.program]
    return text(programs[0].go, 128) if programs else ""


def _revision(done: "FinishedBuild") -> dict[str, object]:
    """Name the commit, where the build knows it anyway."""
    from wherry.source.vcs import Vcs

    found = done.built.trace
    if not isinstance(found, Vcs):
        return {}
    return {"revision": text(found.revision, 128), "modified": found.modified, "branch": text(found.branch)}


def _requires(done: "FinishedBuild") -> dict[str, str]:
    """Read what go.mod requires, so that a jump can name the dependency."""
    from wherry.app.build.go_work import GoRequests
    from wherry.golang.modfile import parse_go_mod

    if not isinstance(done.call.request, GoRequests):
        return {}
    folder = done.call.request.images[0].package.module
    try:
        found = parse_go_mod((folder / "go.mod").read_text(errors="replace"), "go.mod")
    except (OSError, WherryError):
        return {}
    return {text(one.path): text(one.version, 128) for one in found.require[:REQUIRED]}


def _usage() -> dict[str, object]:
    """Give processor time and peak memory of this process, and of the programs that it started and waited for."""
    try:
        import resource
    except ImportError:  # Windows
        return {}
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return {
        "cpu": own.ru_utime + own.ru_stime,
        "memory": own.ru_maxrss * unit,
        "compiler_cpu": others.ru_utime + others.ru_stime,
        "compiler_memory": others.ru_maxrss * unit,
    }


def record_transfer(
    session: Session, command: str, moved: "Iterable[NamedImage]", *, began: float, sent: int | None
) -> tuple[str, str] | None:
    """Record a push, a pull or a copy."""
    images = tuple(
        ImageFigures(name=text(one.name.partition("@")[0]), digest=one.digest) for one in list(moved)[:_IMAGES]
    )
    return record(session, lambda: _entry(session, command, began, images=images, sent=sent, unchanged=sent == 0))


def record_run(session: Session, image: str, code: int, *, began: float) -> None:
    """Record a container that ended."""
    record(session, lambda: _run_entry(session, image, code, began))


def _run_entry(session: Session, image: str, code: int, began: float) -> CallFigures:
    digest = ""
    with suppress(WherryError):
        digest = str(session.store.resolve(image).digest)
    images = (ImageFigures(name=text(image.partition("@")[0]), digest=digest),)
    return _entry(session, "run", began, ok=code == 0, error=f"exit {code}" if code else "", images=images)


def record_scan(session: Session, found: "Scan", *, began: float) -> tuple[str, str] | None:
    """Record what a scan found, and how old its database is."""
    return record(session, lambda: _scan_entry(session, found, began))


def _scan_entry(session: Session, found: "Scan", began: float) -> CallFigures:
    levels = [str(hole.level) for _, hole in found.holes()]
    named = [one.partition("@") for one in dict.fromkeys(one.image for one in found.subjects if one.image)]
    figures = ScanFigures(
        symbol=levels.count("symbol"),
        package=levels.count("package"),
        module=levels.count("module"),
        programs=len(found.subjects),
        unscanned=len(found.unscanned),
        others=found.others,
        age=max(found.database.age, 0.0) if found.database.age is not None else None,
    )
    images = tuple(ImageFigures(name=text(name), digest=text(digest)) for name, _, digest in named[:_IMAGES])
    return _entry(session, "scan", began, images=images, subject=text(found.name), scan=figures)


def record_sizes(session: Session, name: str, document: "SizeDocument") -> None:
    """Record how many bytes the packages of an image's programs take, once they were measured."""
    record(session, lambda: _sizes_entry(session, name, document))


def _sizes_entry(session: Session, name: str, document: "SizeDocument") -> CallFigures:
    from wherry.store.images import images_of

    images = images_of(session.store, session.store.resolve(name))
    by_platform = {binary.platform: binary for binary in document.binaries}
    figures = []
    for image in images:
        binary = by_platform.get(str(image.platform))
        if binary is not None:
            packages = sorted(binary.packages, key=lambda one: -one.bytes)[:PACKAGES]
            figures.append(
                ImageFigures(
                    name=text(name.partition("@")[0]),
                    digest=str(image.descriptor.digest),
                    platform=text(str(image.platform), 128),
                    packages=tuple(PackageFigures(path=text(one.path), bytes=one.bytes) for one in packages),
                )
            )
    return CallFigures(id=new_id(), at=session.clock(), command="size", images=tuple(figures[:_IMAGES]))
