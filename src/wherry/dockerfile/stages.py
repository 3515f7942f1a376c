"""Which stage depends on which: by FROM, by COPY --from, by a mount's from.

Source: Dockerfile reference, "FROM", "COPY --from", "RUN --mount"; BuildKit 0.34's behaviour for names that are given
twice: FROM means the last one above, `--from` the last one of the file.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

from wherry.dockerfile import instructions as of
from wherry.dockerfile.errors import DockerfileError

_INDEX = re.compile(r"[0-9]{1,9}")


def taken_from(instruction: of.Instruction) -> tuple[str, ...]:
    """Name what an instruction takes files of, as written."""
    match instruction:
        case of.Copy(from_=name) if name:
            return (name,)
        case of.Run(mounts=mounts):
            return tuple(mount.from_ for mount in mounts if mount.from_)
        case _:
            return ()


class Graph:
    """The stages of a file, by name and by need."""

    def __init__(self, stages: Sequence[of.Stage]) -> None:
        """Take the stages in their order."""
        self._stages = stages
        self._places: dict[str, list[int]] = defaultdict(list)
        for number, stage in enumerate(stages):
            if stage.base.name:
                self._places[stage.base.name].append(number)

    def named(self, name: str) -> int | None:
        """Find a stage by its name or index, as `--from` and `--target` mean it."""
        places = self._places.get(name.lower())
        if places:
            return places[-1]
        number = int(name) if _INDEX.fullmatch(name) else len(self._stages)
        return number if number < len(self._stages) else None

    def below(self, number: int, image: str) -> int | None:
        """Find the stage above that a FROM means; None: it means an image.

        Args:
            number: of the stage that begins with the FROM.
            image: what the FROM says, variables put in.
        """
        places = self._places.get(image, [])
        place = bisect_left(places, number)
        return places[place - 1] if place else None

    def needs(self, number: int, image: str) -> Iterator[tuple[int, of.Instruction]]:
        """Give the stages that one needs, and what for.

        Args:
            number: of the stage.
            image: what its FROM says, variables put in.
        """
        stage = self._stages[number]
        base = self.below(number, image)
        if base is not None:
            yield base, stage.base
        for instruction in stage.instructions:
            for name in taken_from(instruction):
                # A mount's number is an image's name, COPY's is an index.
                other = None if isinstance(instruction, of.Run) and name.isdigit() else self.named(name)
                if other is not None:
                    yield other, instruction

    def reached(self, targets: Sequence[int], images: Sequence[str]) -> frozenset[int]:
        """Give the stages that targets need, themselves among them.

        Args:
            targets: their indexes.
            images: what each FROM says, variables put in.

        Raises:
            DockerfileError: they need one another in a circle.

        Cost: each stage is checked once, however deep.
        """
        done: set[int] = set()
        for target in targets:
            if target not in done:
                self._reach(target, images, done)
        return frozenset(done)

    def _reach(self, target: int, images: Sequence[str], done: set[int]) -> None:
        path = {target: self.needs(target, images[target])}
        while path:
            number = next(reversed(path))
            other, instruction = next(path[number], (None, None))
            if other is None or instruction is None:
                done.add(number)
                path.popitem()
            elif other in path:
                raise DockerfileError(
                    f"circular dependency detected on stage: {self._stages[other].base.name or other}",
                    instruction.lines,
                    hint="copy from an earlier stage",
                )
            elif other not in done:
                path[other] = self.needs(other, images[other])
