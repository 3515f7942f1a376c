"""What `wherry explore` shows over the tree: a file, the packages of a program, the keys."""

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from wherry.analysis.image.explore import TreeEntry
from wherry.app.explore import ExploredImage
from wherry.report.terminal import printable, size

_ROW = 16
KEYS = """\
Tab            other side             q, Ctrl+C      quit
up/k down/j    move                   PgUp/u PgDn/d  a page
left/h right/l leave or enter folder  Space          fold or unfold
Ctrl+F or /    filter by name         Esc            end the filter
Ctrl+L         changes of the layer   Ctrl+A         all files after it
Ctrl+O or s    sort by name or size   w              wasted first
a r m n        hide or show added, removed, changed, unchanged files
Ctrl+B or b    mode and owner         Ctrl+E or e    extract the file here
Enter or v     view the file; a Go program opens into its packages

+ added   ~ changed   - removed   ! bytes that no container of the image sees
"""


class ContentScreen(ModalScreen[None]):
    """Text over the explorer: a file, a program's packages, the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,v,enter,question_mark", "app.pop_screen", "Close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._shown_title, self._text = title, text

    def compose(self) -> ComposeResult:
        """Lay out a title and text to scroll."""
        with Vertical(id="content"):
            yield Static(Text(self._shown_title, style="bold"), id="title")
            with VerticalScroll():
                yield Static(Text(self._text))
        yield Footer(show_command_palette=False)


def packages(explored: ExploredImage, entry: TreeEntry) -> Iterator[str]:
    """List what a program's bytes are of."""
    binary = explored.packages(entry)
    yield f"{binary.go or binary.format}  {binary.module or ''}  {size(binary.size)}"
    for note in binary.notes:
        yield f"note: {note}"
    yield ""
    rows = [(one.bytes, one.path) for one in binary.packages] or [(one.bytes, one.name) for one in binary.sections]
    for count, name in sorted(rows, reverse=True):
        yield f"{size(count):>8} {100 * count / max(binary.size, 1):5.1f} %  {printable(name or '(none)')}"


def readable(content: bytes) -> str:
    """Write text unchanged, and all else as a hex dump."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        text = content[: error.start].decode() if error.start + 4 > len(content) else ""
    if (text or not content) and "\0" not in text:
        return "\n".join(printable(line.expandtabs()) for line in text.splitlines())
    rows = (content[start : start + _ROW] for start in range(0, min(len(content), 1 << 14), _ROW))
    return "\n".join(
        f"{number * _ROW:08x}  {row.hex(' '):<47}  {''.join(chr(byte) if 32 <= byte < 127 else '.' for byte in row)}"  # noqa: PLR2004 - ASCII
        for number, row in enumerate(rows)
    )


def shown_name(name: bytes) -> str:
    """Write a name as text that a terminal shows and does not obey."""
    return printable(name.decode(errors="surrogateescape"))
