"""Why a step missed, in words: which input is another than last time."""

from collections.abc import Iterator, Mapping

from wherry.plan.stage_steps import Gather
from wherry.plan.steps import Step

_MOST = 5


def reasons(
    step: Step,
    before: Mapping[str, str],
    after: Mapping[str, str],
    files: Mapping[str, str],
    now: Mapping[str, str],
) -> tuple[str, ...]:
    """Compare what a step read.

    Args:
        step: the step.
        before: what it read then, hash by name.
        after: what it would read now.
        files: the files among it, then.
        now: and now.
    """
    found = list(_files(files, now))
    changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    if not found and any(name.startswith("files") for name in changed):
        found.append("what it copies changed" if isinstance(step.action, Gather) else "what it mounts changed")
    below = [int(name.removeprefix("step ")) for name in changed if name.startswith("step ")]
    if below and below[0] < len(step.needs):
        found.append(f"{step.needs[below[0]]} changed")
    return tuple(found)


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    changed = sorted(path for path in before.keys() & after.keys() if before[path] != after[path])
    gone, new = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    told = [
        *(f"{path or '.'} changed" for path in changed),
        *(f"{path or '.'} is new" for path in new),
        *(f"{path or '.'} is gone" for path in gone),
    ]
    yield from told[:_MOST]
    if len(told) > _MOST:
        yield f"{len(told) - _MOST} more files changed"
