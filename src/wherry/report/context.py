"""A build context, for people."""

from collections.abc import Iterator

from wherry.app.context_files import ContextContent, IgnoreLine
from wherry.app.context_fix import IgnoreFix
from wherry.counted import counted
from wherry.report.patch import patch_lines
from wherry.report.terminal import printable, size, table

_SHOWN = 20


def context_lines(content: ContextContent) -> Iterator[str]:
    """Give the total, the largest entries, and lines for the ignore file."""
    yield (
        f"{size(content.bytes)} in {counted(content.files, 'file')}; instructions take {size(content.taken_bytes)} in "
        f"{content.taken_files}"
    )
    rows = [
        (size(one.bytes), counted(one.files, "file"), f"{size(one.taken_bytes)} taken", printable(one.name))
        for one in content.entries[:_SHOWN]
    ]
    yield from (f"  {line}" for line in table(rows, right=(0, 1, 2)))
    if content.suggested:
        over = f" (misses of {counted(content.commits, 'commit')})" if content.commits else ""
        yield f"lines for .dockerignore{over}:"
        yield from _ignore_lines(content.suggested)


def fix_lines(fixed: IgnoreFix) -> Iterator[str]:
    """Give the diff of an ignore file, and what is left to decide on."""
    yield from patch_lines(fixed.diff)
    if fixed.left:
        yield "not added; check first whether a step reads it:"
        yield from _ignore_lines(fixed.left)


def _ignore_lines(lines: tuple[IgnoreLine, ...]) -> Iterator[str]:
    rows = [
        (
            size(one.bytes),
            counted(one.files, "file"),
            *((counted(one.misses, "miss"),) if one.misses is not None else ()),
            "safe" if one.safe else "check",
            printable(one.pattern),
            one.reason,
        )
        for one in lines[:_SHOWN]
    ]
    yield from (f"  {line}" for line in table(rows, right=(0, 1, 2) if rows and len(rows[0]) > 5 else (0, 1)))  # noqa: PLR2004
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN} more: --json has all"
