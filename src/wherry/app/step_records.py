"""What builds of this machine recorded: how long steps took, and which files of the context they read."""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import msgspec

from wherry.app.build.sources import Source
from wherry.app.session import Session
from wherry.source.inputs import GO_SUFFIXES, Input, InputKind
from wherry.store.results import RESULTS, Results, StepRecord

_LABEL = re.compile(r"\[(?:\S+/\S+ )?(?P<stage>.*?) ?\d+/\d+(?P<mount> mount)?\] (?P<text>.*?)(?: #\d+)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RecordedTimes:
    """Seconds that steps took when they ran last."""

    seconds: dict[tuple[str, str], float]
    """By stage (empty where a file has one) and instruction, the first word in capitals."""

    def of(self, stage: str, number: int, text: str) -> float | None:
        """Give the seconds of an instruction, its layer's among them; None where it was never seen to run."""
        first, _, rest = text.partition(" ")
        name = f"{first.upper()} {rest.strip()}"
        for label in (stage, f"stage-{number}", ""):
            if (label, name) in self.seconds:
                return self.seconds[label, name]
        return None


@dataclass(frozen=True, slots=True)
class RecordedReads:
    """Files of a context that the last builds read."""

    copied: frozenset[str]
    """What COPY, ADD and bind mounts of a Dockerfile took."""
    steps: int
    """How many of them there were."""
    compiled: frozenset[str]
    """What the Go compiler read, where `wherry build` compiled the module."""
    trees: tuple[str, ...]
    """Folders of which all was read (go:embed)."""
    folders: frozenset[str]
    """Folders of which each Go file counts."""

    @property
    def knows_compiled(self) -> bool:
        """Whether a compilation of the context is recorded."""
        return bool(self.compiled)

    def compiles(self, path: str) -> bool:
        """Report whether the compiler read a file, or would read it if it is new."""
        if path in self.compiled or any(path.startswith(f"{tree}/") for tree in self.trees):
            return True
        folder, _, name = path.rpartition("/")
        return folder in self.folders and name.endswith(GO_SUFFIXES) and not name.endswith("_test.go")


def recorded_times(session: Session, source: Source) -> RecordedTimes:
    """Give what steps of a Dockerfile took; of one that several platforms have, the longest."""
    from wherry.app.build.step_notes import noted_steps

    found: dict[tuple[str, str], float] = {}
    if not (session.cache_folder / RESULTS).exists():
        return RecordedTimes(found)
    with closing(Results(session.cache_folder)) as results:
        for name, note in noted_steps(results, source.cache_scope).items():
            label = _LABEL.fullmatch(name.removeprefix("layer of "))
            if label is None or label["mount"] or not note.missed:
                continue
            key = label["stage"], label["text"]
            if name.startswith("layer of "):
                found[key] = found.get(key, 0.0) + note.seconds
            else:
                found[key] = max(found.get(key, 0.0), note.seconds)
    return RecordedTimes(found)


def recorded_reads(session: Session, source: Source) -> RecordedReads | None:
    """Give what builds read of a context; None where no build of it is recorded, or too much was read to be kept."""
    if not source.local or not (session.cache_folder / RESULTS).exists():
        return None
    copied: set[str] = set()
    steps = 0
    folder = os.path.realpath(source.folder)
    with closing(Results(session.cache_folder)) as results:
        records = results.scope(f"{source.cache_scope} [")
        compiled = list(_compiled(results.scope(f"{folder} ")))
    for record in records:
        files = _files(record)
        if files:
            copied |= files
            steps += 1
    if not steps and not compiled:
        return None
    inside = [(one.kind, os.path.relpath(one.path, folder)) for one in compiled if one.path.startswith(f"{folder}/")]
    inside += [(one.kind, "") for one in compiled if one.path == folder]
    return RecordedReads(
        copied=frozenset(copied),
        steps=steps,
        compiled=frozenset(path for kind, path in inside if kind is InputKind.FILE),
        trees=tuple(path for kind, path in inside if kind is InputKind.TREE),
        folders=frozenset(path for kind, path in inside if kind is InputKind.FOLDER),
    )


def _files(record: StepRecord) -> set[str]:
    from wherry.build.stage_results import StepInputs

    try:
        return set(msgspec.msgpack.decode(record.observed, type=StepInputs).files)
    except msgspec.DecodeError:
        return set()


def _compiled(records: list[StepRecord]) -> Iterator[Input]:
    from wherry.build.values import Observed

    for record in records:
        try:
            yield from msgspec.msgpack.decode(record.observed, type=Observed).inputs
        except (msgspec.DecodeError, ValueError):
            continue
