"""Why a step missed, in words: which input is another than last time."""

import difflib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wherry.plan.graph import Step
from wherry.plan.ops import CopyOp

_MOST = 5
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Version:
    """What a step read at one time."""

    fields: Mapping[str, str]
    """Hashes, by what they are of."""
    files: Mapping[str, str]
    """What each file was."""
    texts: Mapping[str, bytes]
    """Whole files that list dependencies, compressed."""


def reasons(step: Step, before: Version, after: Version) -> tuple[str, ...]:
    """Compare what a step read then with what it reads now; empty where nothing differs."""
    found = list(_files(before, after))
    names = before.fields.keys() | after.fields.keys()
    changed = [name for name in sorted(names) if before.fields.get(name) != after.fields.get(name)]
    if not found and any(name.startswith("files") for name in changed):
        found.append("what it copies changed" if isinstance(step.action, CopyOp) else "what it mounts changed")
    below = sorted(int(name.removeprefix("step ")) for name in changed if name.startswith("step "))
    if below and below[0] < len(step.needs):
        found.append(f"{step.needs[below[0]]} changed")
    return tuple(found)


def _files(before: Version, after: Version) -> Iterator[str]:
    old, new = before.files, after.files
    told = [
        f"{path or '.'} changed{_line(before, after, path)}"
        for path in sorted(old.keys() & new.keys())
        if old[path] != new[path]
    ]
    told += [f"{path or '.'} is new" for path in sorted(new.keys() - old.keys())]
    told += [f"{path or '.'} was removed" for path in sorted(old.keys() - new.keys())]
    yield from told[:_MOST]
    if len(told) > _MOST:
        yield f"{len(told) - _MOST} more files changed"


def _line(before: Version, after: Version, path: str) -> str:
    """Name the first line of a list that is another now."""
    if path not in before.texts or path not in after.texts:
        return ""
    old, new = (
        zlib.decompress(version.texts[path]).decode(errors="replace").splitlines() for version in (before, after)
    )
    for kind, first, last, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        was = old[first].strip() if last > first else ""
        now = new[start].strip() if end > start else ""
        return f" (line {(start if end > start else first) + 1}: {_change(was, now)})"
    return ""


def _change(was: str, now: str) -> str:
    if not was or not now:
        return f"{_cut(now)} is new" if now else f"{_cut(was)} was removed"
    old, new = was.split(), now.split()
    same = next((at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), 0)
    if 0 < same < min(len(old), len(new)):
        return f"{old[same - 1]} {_cut(old[same])} → {_cut(new[same])}"
    return f"{_cut(was)} → {_cut(now)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
