"""Documentation pages, written in Markdown, as text for a terminal and as manual pages.

Reads the part of Markdown that docs/ uses: headings, paragraphs, fenced and indented code, lists, tables, links,
emphasis. Loads nothing but the standard library: the wheel's build hook (hatch_build.py) writes the manual pages.

Sources: CommonMark 0.31.2; GitHub Flavored Markdown, "Tables"; groff_man(7) for the macros.
"""

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class BlockKind(StrEnum):
    """What a part of a page is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    CODE = "code"
    ITEM = "item"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a page."""

    kind: BlockKind
    text: str = ""
    """Inline Markdown on one line; of code, its lines."""
    depth: int = 0
    """Of a heading, its level from 1; of an item or code, the columns it is indented by."""
    mark: str = ""
    """Of an item: `-`, or its number."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Of a table; the first has the headings."""


_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"(\s*)([-*]|\d+\.)\s+(.*)")
_FENCE = re.compile(r"(\s*)```")
_RULE = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]*)\)")
_PAGE = re.compile(r"(?:\.\./)?(?:(?:reference|how-to|explanation)/([a-z0-9-]+)|(tutorial))\.md|([a-z0-9-]+)\.md")
"""Targets of links that `wherry help` can show; others are files of the repository."""
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_EMPHASIS = re.compile(r"(?<![\w*])[*_](?!\s)(.+?)(?<!\s)[*_](?![\w*])")
_CODE = re.compile(r"(`+)(.+?)\1")


def blocks_of(page: str) -> list[Block]:
    """Read a page."""
    return list(_Reader(page.splitlines()).blocks())


class _Reader:
    """Reads the lines of a page once, from the first to the last."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._at = 0

    def blocks(self) -> Iterator[Block]:
        indent = 0
        """Of the item that was read last: what is indented below belongs to it."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            inside = len(line) - len(line.lstrip())
            if not line.strip():
                self._at += 1
            elif fence := _FENCE.match(line):
                yield self._fenced(len(fence[1]))
            elif heading := _HEADING.fullmatch(line):
                self._at, indent = self._at + 1, 0
                yield Block(BlockKind.HEADING, heading[2], len(heading[1]))
            elif line.lstrip().startswith("|"):
                yield self._table()
            elif item := _ITEM.fullmatch(line):
                indent = len(item[1]) + len(item[2]) + 1
                self._at += 1
                yield Block(BlockKind.ITEM, self._joined(item[3]), len(item[1]), item[2])
            elif inside >= indent + 4:
                yield self._indented(indent)
            else:
                indent = min(indent, inside)
                self._at += 1
                yield Block(BlockKind.PARAGRAPH, self._joined(line.strip()), indent)

    def _fenced(self, indent: int) -> Block:
        end = next(
            (at for at in range(self._at + 1, len(self._lines)) if _FENCE.match(self._lines[at])), len(self._lines)
        )
        lines = [line[indent:] if line[:indent].isspace() else line for line in self._lines[self._at + 1 : end]]
        self._at = end + 1
        return Block(BlockKind.CODE, "\n".join(lines), indent)

    def _indented(self, indent: int) -> Block:
        lines = []
        while self._at < len(self._lines) and (
            not self._lines[self._at].strip() or _deep(self._lines[self._at], indent)
        ):
            lines.append(self._lines[self._at][indent + 4 :])
            self._at += 1
        return Block(BlockKind.CODE, "\n".join(lines).rstrip("\n"), indent)

    def _table(self) -> Block:
        rows = []
        while self._at < len(self._lines) and self._lines[self._at].lstrip().startswith("|"):
            line = self._lines[self._at].strip()
            if not _RULE.fullmatch(line):
                cells = re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|"))
                rows.append(tuple(cell.strip().replace("\\|", "|") for cell in cells))
            self._at += 1
        return Block(BlockKind.TABLE, rows=tuple(rows))

    def _joined(self, first: str) -> str:
        words = [first]
        while self._at < len(self._lines) and _continues(self._lines[self._at]):
            words.append(self._lines[self._at].strip())
            self._at += 1
        return " ".join(words)


def _deep(line: str, indent: int) -> bool:
    return line[: indent + 4].isspace() and len(line) > indent + 4


def _continues(line: str) -> bool:
    start = line.lstrip()
    return bool(start) and not (start.startswith(("|", "```")) or _HEADING.fullmatch(line) or _ITEM.fullmatch(line))


def plain(text: str) -> str:
    """Write inline Markdown as text; of a link to a page, its name follows in parentheses."""
    return _inline(text, code=lambda word: f"`{word}`", bold=str, emphasis=str)


def _inline(
    text: str, *, code: Callable[[str], str], bold: Callable[[str], str], emphasis: Callable[[str], str]
) -> str:
    """Write inline Markdown; what is in backquotes is left alone but for `code`."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(code(found[2].strip() or found[2]))
        return f"\0{len(kept) - 1}\0"

    text = _CODE.sub(keep, text)
    text = _LINK.sub(_linked, text)
    text = _BOLD.sub(lambda found: bold(found[1]), text)
    text = _EMPHASIS.sub(lambda found: emphasis(found[1]), text)
    return re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], text)


def _linked(found: re.Match[str]) -> str:
    image, text, target = found[1], found[2], found[3]
    if image or target.startswith("#"):
        return text
    page, _, _ = target.partition("#")
    if target.startswith(("http://", "https://")):
        return f"{text} <{target}>"
    shown = _PAGE.fullmatch(page.replace("\\-", "-"))
    return f"{text} (wherry help {next(filter(None, shown.groups()))})" if shown else text


def terminal_page(page: str, width: int, *, bold: Callable[[str], str] = str) -> Iterator[str]:
    """Write a page for a terminal, line by line.

    Args:
        page: Markdown.
        width: columns; code is never wrapped.
        bold: how headings are set off.
    """
    before: Block | None = None
    for block in blocks_of(page):
        if before is not None and not (before.kind is block.kind is BlockKind.ITEM):
            yield ""
        before = block
        match block.kind:
            case BlockKind.HEADING:
                yield bold(plain(block.text))
            case BlockKind.CODE:
                yield from (" " * (block.depth + 4) + line if line else "" for line in block.text.split("\n"))
            case BlockKind.TABLE:
                yield from columns([[plain(cell) for cell in row] for row in block.rows], width, bold=bold)
            case BlockKind.ITEM:
                yield from _wrapped(plain(block.text), width, f"{' ' * block.depth}{block.mark} ")
            case _:
                yield from _wrapped(plain(block.text), width, " " * block.depth)


def _wrapped(text: str, width: int, first: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first]


_GAP = 2
_NARROW = 12
"""Columns that a column of a table keeps at least, if it has as many."""


def columns(rows: Sequence[Sequence[str]], width: int, *, bold: Callable[[str], str] = str) -> Iterator[str]:
    """Lay a table out with wrapped cells, as wide as the terminal at most; no word is broken.

    Args:
        rows: cells; the first row has the headings.
        width: columns of the terminal.
        bold: how the headings are set off.
    """
    count = max(map(len, rows), default=0)
    cells = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = _widths([max(len(row[at]) for row in cells) for at in range(count)], width)
    for number, row in enumerate(cells):
        wrapped = [_wrapped(cell, room, "") if cell else [""] for cell, room in zip(row, widths, strict=True)]
        for at in range(max(map(len, wrapped))):
            parts = [lines[at] if at < len(lines) else "" for lines in wrapped]
            line = (" " * _GAP).join(part.ljust(room) for part, room in zip(parts, widths, strict=True)).rstrip()
            yield bold(line) if number == 0 else line


def _widths(natural: list[int], width: int) -> list[int]:
    """Take from the widest columns until the row fits."""
    room = width - _GAP * (len(natural) - 1)
    widths = list(natural)
    while sum(widths) > room and max(widths, default=0) > _NARROW:
        widest = widths.index(max(widths))
        second = max((one for at, one in enumerate(widths) if at != widest), default=_NARROW)
        least = max(_NARROW, min(second, widths[widest] - 1))
        widths[widest] = max(least, widths[widest] - (sum(widths) - room))
    return widths


def manual_page(page: str, *, name: str, section: int, version: str) -> str:
    """Write a page as man(1) reads it.

    Args:
        page: Markdown; its first heading is the title, and the first paragraph says what it is.
        name: of the manual page, such as `wherry-build`.
        section: of the manual: 1 for commands, 5 for files.
        version: wherry's.
    """
    blocks = blocks_of(page)
    summary = next((plain(block.text) for block in blocks if block.kind is BlockKind.PARAGRAPH), "")
    lines = [
        f'.TH {name.upper()} {section} "" "wherry {version}" "wherry"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(summary.partition('. ')[0].rstrip('.'))}",
    ]
    titled = bool(blocks) and blocks[0].kind is BlockKind.HEADING
    if not titled or (len(blocks) > 1 and blocks[1].kind is not BlockKind.HEADING):
        lines.append(".SH DESCRIPTION")
    for block in blocks[1:] if titled else blocks:
        lines += _manual(block)
    return "\n".join(lines) + "\n"


def _manual(block: Block) -> Iterator[str]:
    match block.kind:
        case BlockKind.HEADING:
            top = 2
            yield f".{'SH' if block.depth <= top else 'SS'} {_inline_roff(block.text)}"
        case BlockKind.CODE:
            yield from (".PP", ".RS 4", ".nf", *map(_roff, block.text.split("\n")), ".fi", ".RE")
        case BlockKind.TABLE:
            yield from _manual_table(block.rows)
        case BlockKind.ITEM:
            yield from (f'.IP "{chr(92) + "(bu" if block.mark in "-*" else block.mark}" 4', _inline_roff(block.text))
        case _:
            yield from (".PP", _inline_roff(block.text))


def _manual_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Write a table as a list: the first cell names, the others say what their column is, if there are several."""
    headings, *body = rows
    few = 2
    for row in body:
        yield ".TP"
        yield _inline_roff(row[0]) or "\\ "
        rest = [
            f"{_inline_roff(heading)}: {_inline_roff(cell)}" if len(headings) > few and heading else _inline_roff(cell)
            for heading, cell in zip(headings[1:], row[1:], strict=False)
            if cell
        ]
        yield "\n.br\n".join(rest) or "\\ "


def _inline_roff(text: str) -> str:
    return _inline(
        _roff(text),
        code=lambda word: f"\\fB{word}\\fR",
        bold=lambda word: f"\\fB{word}\\fR",
        emphasis=lambda word: f"\\fI{word}\\fR",
    )


def _roff(text: str) -> str:
    """Escape what roff would read as its own: backslashes, dashes, and a dot or quote that starts a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("\N{APOSTROPHE}", "\\(aq")
    text = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in text)
    return f"\\&{text}" if text.startswith((".", "\\(aq")) else text
