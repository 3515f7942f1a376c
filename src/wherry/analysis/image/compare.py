"""Two images' files: what a container of the second sees that one of the first does not."""

from collections.abc import Iterator
from dataclasses import dataclass

from wherry.analysis.diff import FileChange, FilesChange
from wherry.analysis.image import index as kinds
from wherry.analysis.image.union import Union
from wherry.analysis.image.waste import text


@dataclass(frozen=True, slots=True)
class _Seen:
    """A name that a container sees."""

    path: bytes
    kind: int
    size: int
    content: bytes
    """A file's digest, a link's target."""
    mode: tuple[int, int, int]
    """Mode, user, group."""


def files_change(before: Union, after: Union, *, most: int = 200) -> FilesChange:
    """Compare what containers of two images see.

    Args:
        before: the layers of the first.
        after: those of the second.
        most: how many files are named, the largest change first; sums count all.

    Cost: one pass over both trees, side by side; memory for the changes that are named.
    """
    rows: list[FileChange] = []
    sums = {cause: [0, 0] for cause in ("added", "removed", "changed", "mode")}
    for one, other in _pairs(_seen(before), _seen(after)):
        cause = _cause(one, other)
        if not cause:
            continue
        change = FileChange(
            path=text((other or one or _NOTHING).path),
            cause=cause,
            before=one.size if one else 0,
            after=other.size if other else 0,
        )
        sums[cause][0] += 1
        sums[cause][1] += change.change
        rows.append(change)
        if len(rows) > 4 * most:
            rows = _largest(rows, most)
    return FilesChange(
        added=sums["added"][0],
        removed=sums["removed"][0],
        changed=sums["changed"][0],
        mode=sums["mode"][0],
        change=sum(bytes_ for _, bytes_ in sums.values()),
        files=tuple(_largest(rows, most)),
    )


_NOTHING = _Seen(b"", kinds.FILE, 0, b"", (0, 0, 0))


def _largest(rows: list[FileChange], most: int) -> list[FileChange]:
    return sorted(rows, key=lambda row: (-abs(row.change), -row.after, row.path))[:most]


def _cause(one: _Seen | None, other: _Seen | None) -> str:
    if one is None or other is None:
        return "added" if other else "removed"
    if (one.kind, one.size, one.content) != (other.kind, other.size, other.content):
        return "changed"
    return "mode" if one.mode != other.mode else ""


def _pairs(before: Iterator[_Seen], after: Iterator[_Seen]) -> Iterator[tuple[_Seen | None, _Seen | None]]:
    """Go through two trees side by side; both come in the order of their folders' names."""
    one, other = next(before, None), next(after, None)
    while one or other:
        left = one.path.split(b"/") if one else None
        right = other.path.split(b"/") if other else None
        if right is None or (left is not None and left < right):
            yield one, None
            one = next(before, None)
        elif left is None or right < left:
            yield None, other
            other = next(after, None)
        else:
            yield one, other
            one, other = next(before, None), next(after, None)


def _seen(union: Union) -> Iterator[_Seen]:
    columns = [[layer.column(number) for number in (0, 3, 4, 5)] for layer in union.layers]
    linked: set[int] = set()
    for path, _, number in union.walk():
        layer, row = union.place(number)
        sizes, modes, uids, gids = columns[layer]
        kind = union.layers[layer].kinds[row]
        size = 0 if number in linked else sizes[row]
        if number in union.linked:
            linked.add(number)
        content = union.link_target(number) if kind == kinds.SYMLINK else union.layers[layer].digest_of(row)
        yield _Seen(path, kind, size, content, (modes[row], uids[row], gids[row]))


def content_at(union: Union, path: str) -> bytes:
    """Give the SHA-256 of the file that a container sees at an absolute path; empty where there is none."""
    found = union.find(path.encode(errors="surrogateescape").lstrip(b"/"))
    if found is None or found[1] < 0:
        return b""
    layer, row = union.place(found[1])
    return union.layers[layer].digest_of(row)
