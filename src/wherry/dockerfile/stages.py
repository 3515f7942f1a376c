"""Which stage leads to which: by FROM, by COPY --from, by a mount's from.

Source: Dockerfile reference, "FROM", "COPY --from", "RUN --mount"; BuildKit 0.34's behaviour for names that are given
twice: FROM means the last one above, `--from` the last one of the file.
"""

from collections.abc import Iterator, Sequence

from wherry.dockerfile import instructions as of
from wherry.dockerfile.errors import DockerfileError


def named(stages: Sequence[of.Stage], name: str) -> int | None:
    """Find a stage by its name or index, as `--from` and `--target` mean it."""
    found = [number for number, stage in enumerate(stages) if stage.base.name and stage.base.name == name.lower()]
    if found:
        return found[-1]
    return int(name) if name.isascii() and name.isdigit() and int(name) < len(stages) else None


def below(stages: Sequence[of.Stage], number: int, image: str) -> int | None:
    """Find the stage above that a FROM means; None: it means an image."""
    found = [other for other in range(number) if stages[other].base.name and stages[other].base.name == image]
    return found[-1] if found else None


def taken_from(instruction: of.Instruction) -> tuple[str, ...]:
    """Name what an instruction takes files of, as it is written; a mount's number is no index."""
    match instruction:
        case of.Copy(from_=name) if name:
            return (name,)
        case of.Run(mounts=mounts):
            return tuple(mount.from_ for mount in mounts if mount.from_)
        case _:
            return ()


def needed(stages: Sequence[of.Stage], number: int, image: str) -> Iterator[tuple[int, of.Instruction]]:
    """Give the stages that one needs, and what for.

    Args:
        stages: of the file.
        number: whose needs.
        image: what its FROM means once variables are put in.
    """
    stage = stages[number]
    base = below(stages, number, image)
    if base is not None:
        yield base, stage.base
    for instruction in stage.instructions:
        for name in taken_from(instruction):
            other = named(stages, name)
            if other is not None and not (isinstance(instruction, of.Run) and name.isdigit()):
                yield other, instruction


def reached(stages: Sequence[of.Stage], images: Sequence[str], target: int) -> frozenset[int]:
    """Give the stages that a target needs, itself among them.

    Args:
        stages: of the file.
        images: what each FROM means once variables are put in.
        target: its index.

    Raises:
        DockerfileError: they need one another in a circle.

    Cost: each stage is looked at once, however deep.
    """
    done: set[int] = set()
    _reach(stages, images, target, done)
    return frozenset(done)


def check_circles(stages: Sequence[of.Stage], images: Sequence[str]) -> None:
    """Refuse stages that need one another in a circle, whether or not a target needs them.

    Raises:
        DockerfileError: they do.
    """
    done: set[int] = set()
    for number in range(len(stages)):
        if number not in done:
            _reach(stages, images, number, done)


def _reach(stages: Sequence[of.Stage], images: Sequence[str], target: int, done: set[int]) -> None:
    path = {target: needed(stages, target, images[target])}
    while path:
        number = next(reversed(path))
        other, instruction = next(path[number], (None, None))
        if other is None or instruction is None:
            done.add(number)
            path.popitem()
        elif other in path:
            raise DockerfileError(
                f"circular dependency detected on stage: {stages[other].base.name or other}",
                instruction.lines,
                hint="take the files of a stage that stands above",
            )
        elif other not in done:
            path[other] = needed(stages, other, images[other])
