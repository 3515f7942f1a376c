"""The cache model: which instructions a change of some files makes run again.

Source: Docker's documentation, "Build cache invalidation": a step runs again when files that it takes from the context
change, or when a step before it, or a stage that it takes files of, does.
"""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.stages import Advised, AdvisedStage
from wherry.dockerfile.ignore import Patterns, fits
from wherry.dockerfile.words import Style, expand

_REMEMBERED = 1 << 18
"""Paths of which the takers are remembered."""
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")


@dataclass(frozen=True, slots=True)
class _Taken:
    """What an instruction takes of the context."""

    sources: tuple[str, ...]
    exclude: Patterns

    def has(self, path: str) -> bool:
        return any(takes(source, path) for source in self.sources) and not self.exclude.fit(path)


class CacheModel:
    """A Dockerfile, asked which of its instructions a change runs again."""

    def __init__(self, file: Advised) -> None:
        """Take a file; stages that its target does not need have no part in it."""
        reached = file.graph.reached((file.final.number,), [one.image for one in file.stages])
        self._file = file
        self._stages = [one for one in file.stages if one.number in reached]
        self._by_line = [
            (one.lines.first, taken)
            for stage in self._stages
            for one in stage.stage.instructions
            if (taken := self._taken_by(stage, one)) is not None
        ]
        self._takers: dict[str, frozenset[int]] = {}
        self._rebuilt: dict[frozenset[int], frozenset[int]] = {}

    @property
    def instructions(self) -> tuple[tuple[AdvisedStage, of.Instruction], ...]:
        """Those that make or change files, in their order."""
        return tuple(
            (stage, one)
            for stage in self._stages
            for one in stage.stage.instructions
            if isinstance(one, of.Add | of.Copy | of.Run | of.Workdir)
        )

    def takes(self, path: str) -> bool:
        """Report whether any instruction takes a path of the context."""
        return any(taken.has(path) for _, taken in self._by_line)

    def takers(self, path: str) -> frozenset[int]:
        """Give the first lines of the instructions that take a path of the context; remembered for each path."""
        found = self._takers.get(path)
        if found is None:
            found = frozenset(line for line, taken in self._by_line if taken.has(path))
            if len(self._takers) < _REMEMBERED:
                self._takers[path] = found
        return found

    def rebuilt(self, changed: Iterable[str]) -> frozenset[int]:
        """Give the first lines of the instructions that run again.

        Args:
            changed: paths in the context that were added, changed or removed, and that no ignore pattern leaves out.

        Cost: a few microseconds a path; each set of instructions that take something is followed once.
        """
        starts: frozenset[int] = frozenset().union(*map(self.takers, changed))
        if starts not in self._rebuilt:
            self._rebuilt[starts] = frozenset(self._follow(starts))
        return self._rebuilt[starts]

    def _follow(self, starts: frozenset[int]) -> set[int]:
        lines: set[int] = set()
        stages: dict[int, bool] = {}
        for stage in self._stages:
            again = stage.below is not None and stages.get(stage.below, False)
            for one in stage.stage.instructions:
                again = again or self._starts(one, starts, stages)
                if again:
                    lines.add(one.lines.first)
            stages[stage.number] = again
        return lines

    def _starts(self, one: of.Instruction, starts: frozenset[int], stages: dict[int, bool]) -> bool:
        """Report whether an instruction is the first of its stage to run again."""
        if one.lines.first in starts:
            return True
        names: Iterable[str] = ()
        if isinstance(one, of.Copy) and one.from_:
            names = (one.from_,)
        elif isinstance(one, of.Run):
            names = (mount.from_ for mount in one.mounts if mount.from_ and not mount.from_.isdigit())
        return any(stages.get(number, False) for name in names if (number := self._file.graph.named(name)) is not None)

    def _taken_by(self, stage: AdvisedStage, one: of.Instruction) -> "_Taken | None":
        """Give what an instruction takes of the context; None: nothing."""
        paths: tuple[str, ...] = ()
        exclude: tuple[str, ...] = ()
        match one:
            case of.Copy(from_="") | of.Add():
                style = Style(escape=self._file.file.escape, skip_unset=True)
                words = (expand(source, {}, style).text for source in one.sources)
                paths = tuple(_everything_after_a_variable(word) for word in words if not word.startswith(_REMOTE))
                exclude = one.exclude
            case of.Run():
                step = next(step for step in stage.steps if step.run is one)
                mounts = (mount for mount in step.mounts if mount.type == "bind" and not mount.from_)
                paths = tuple(posixpath.normpath(f"/{mount.source}") for mount in mounts)
        return _Taken(paths, Patterns(exclude)) if paths else None


def _everything_after_a_variable(word: str) -> str:
    """Write a source with a variable as the folder that it is below, which it may take all of."""
    return posixpath.dirname(word[: word.index("$")]) or "." if "$" in word else word


def takes(source: str, path: str) -> bool:
    """Report whether a source of COPY, with wildcards or without, takes a path of the context."""
    source = posixpath.normpath(f"/{source}").strip("/")
    if not source:
        return True
    depth = source.count("/") + 1
    parts = path.split("/")
    return len(parts) >= depth and fits(source, "/".join(parts[:depth]))
