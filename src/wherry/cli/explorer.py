"""The terminal explorer of `wherry explore`: layers on the left, the tree of the chosen one on the right.

Imported late: Textual takes a quarter of a second. Keys are those of dive 0.13 (cmd/root.go, `keybinding.*`), where a
terminal can send them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, OptionList, Static, Tree
from textual.widgets.option_list import Option
from textual.widgets.tree import TreeNode

from wherry.analysis.image.explore import Sign, TreeEntry
from wherry.analysis.image.index import FILE
from wherry.app.explore import ExploredImage
from wherry.cli.explorer_content import KEYS, ContentScreen, packages, readable, shown_name
from wherry.errors import WherryError
from wherry.report.terminal import printable, size

_COLOURS = {Sign.SAME: "", Sign.ADDED: "green", Sign.CHANGED: "yellow", Sign.REMOVED: "red"}
_MOST_FOUND = 2000
"""Files that a filter lists."""
_UNFOLDED = 60
"""Rows up to which folders are open from the start."""


class FilesPane(Tree[TreeEntry]):
    """The files of a layer; folders are filled when they are opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "cursor_up", show=False),
        Binding("j", "cursor_down", show=False),
        Binding("u,pageup", "page_up", show=False),
        Binding("d,pagedown", "page_down", show=False),
        Binding("left,h", "leave", show=False),
        Binding("right,l", "enter", show=False),
        Binding("space", "toggle_node", show=False),
        Binding("ctrl+at", "fold_all", show=False),
    ]

    def action_leave(self) -> None:
        """Fold the folder, or go to the one above."""
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded and node.allow_expand:
            node.collapse()
        elif node.parent is not None:
            self.move_cursor(node.parent)

    def action_enter(self) -> None:
        """Unfold the folder."""
        if self.cursor_node is not None and self.cursor_node.allow_expand:
            self.cursor_node.expand()

    def action_fold_all(self) -> None:
        """Fold everything below the root."""
        for node in self.root.children:
            node.collapse_all()


class ExplorerApp(App[None]):
    """Layers, details, and the tree of the chosen layer."""

    TITLE = "wherry explore"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #side { width: 25%; min-width: 32; max-width: 60; }
    #layers { height: 1fr; border: round $primary; padding: 0; text-wrap: nowrap; text-overflow: ellipsis; }
    #details { height: 11; border: round $primary; overflow-y: auto; }
    #files { border: round $primary; width: 1fr; }
    #layers:focus, #files:focus { border: round $accent; }
    #filter { height: 1; }
    #content { border: round $accent; height: 1fr; }
    #title { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "Quit"),
        Binding("tab", "switch", "Side", priority=True),
        Binding("ctrl+f", "filter", "Filter", priority=True),
        Binding("slash,ctrl+underscore", "filter", show=False),
        Binding("escape", "unfilter", show=False),
        Binding("ctrl+l", "changes", "Layer", show=False),
        Binding("ctrl+a", "all", "All"),
        Binding("ctrl+o,s", "sort", "Sort"),
        Binding("w", "wasted", "Wasted"),
        Binding("ctrl+b,b", "attributes", show=False),
        Binding("a", "hide('ADDED')", show=False),
        Binding("r,ctrl+r", "hide('REMOVED')", show=False),
        Binding("m", "hide('CHANGED')", show=False),
        Binding("n,ctrl+u", "hide('SAME')", show=False),
        Binding("v", "view", "View"),
        Binding("ctrl+e,e", "extract", show=False),
        Binding("question_mark", "keys", "Keys"),
    ]

    def __init__(self, explored: ExploredImage, folder: Path) -> None:
        """Take the image.

        Args:
            explored: what is gone through.
            folder: where files are extracted to.
        """
        super().__init__()
        self._explored = explored
        self._folder = folder
        self._layer = 0
        self._all = False
        self._order = "name"
        self._attributes = False
        self._hidden: set[Sign] = set()
        self._filter = ""
        self._root = TreeEntry(b"", 0, Sign.SAME)

    def compose(self) -> ComposeResult:
        """Lay out both sides, the filter, and the line of keys."""
        with Horizontal():
            with Vertical(id="side"):
                yield OptionList(*self._options(), id="layers")
                yield Static(id="details")
            tree: FilesPane = FilesPane("/", id="files")
            tree.show_root = False
            tree.guide_depth = 2
            yield tree
        yield Input(placeholder="filter (Ctrl+F or /): a part of a path", id="filter", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the last layer first: what was added on top."""
        layers = self.query_one("#layers", OptionList)
        layers.border_title = "layers"
        self.query_one("#details", Static).border_title = "details"
        layers.highlighted = len(self._explored.analyzed.layers) - 1
        layers.focus()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the layer that the cursor is on."""
        self._layer = event.option_index
        self._show_layer()

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[TreeEntry]) -> None:
        """Fill a folder that is opened."""
        if not event.node.children and event.node.data is not None:
            self._fill(event.node, event.node.data)

    def on_tree_node_selected(self, event: Tree.NodeSelected[TreeEntry]) -> None:
        """Enter opens a file; folders fold by themselves."""
        if event.node.data is not None and not event.node.data.is_folder:
            self.action_view()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self._filter = event.value
        self._show_tree()

    def on_input_submitted(self) -> None:
        """Go back to the tree; the filter stays."""
        self.query_one("#files", FilesPane).focus()

    def action_switch(self) -> None:
        """Go to the other side."""
        files = self.query_one("#files", FilesPane)
        (self.query_one("#layers", OptionList) if files.has_focus else files).focus()

    def action_filter(self) -> None:
        """Ask for a part of a path."""
        field = self.query_one("#filter", Input)
        self.screen.set_focus(field)  # at once: the next key is already its

    def action_unfilter(self) -> None:
        """Show all files again."""
        field = self.query_one("#filter", Input)
        field.value = ""
        self.query_one("#files", FilesPane).focus()

    def action_changes(self) -> None:
        """Show what the layer changes."""
        self._all = False
        self._show_layer()

    def action_all(self) -> None:
        """Show all files after the layer, or only its changes again."""
        self._all = not self._all
        self._show_layer()

    def action_sort(self) -> None:
        """Sort by size, or by name again."""
        self._order = "name" if self._order == "size" else "size"
        self._show_tree()

    def action_wasted(self) -> None:
        """Put what is wasted first, or sort by name again."""
        self._order = "name" if self._order == "wasted" else "wasted"
        self._show_tree()

    def action_attributes(self) -> None:
        """Show mode and owner, or hide them."""
        self._attributes = not self._attributes
        self._show_tree()

    def action_hide(self, name: str) -> None:
        """Hide or show files of one sign."""
        self._hidden ^= {Sign[name]}
        self._show_tree()

    def action_keys(self) -> None:
        """List all keys."""
        self.push_screen(ContentScreen("keys", KEYS))

    def action_view(self) -> None:
        """Show a file, or the packages of a Go program."""
        entry = self._chosen()
        if entry is None:
            return
        try:
            content = self._explored.start(entry)
            program = content.startswith((b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe"))
            text = "\n".join(packages(self._explored, entry)) if program else readable(content)
        except WherryError as error:
            self.notify(printable(error.message), severity="error")
            return
        title = f"{shown_name(entry.name)}  {size(entry.size)}"
        self.push_screen(ContentScreen(title, text))

    def action_extract(self) -> None:
        """Write the file into the folder that wherry was started in."""
        entry = self._chosen()
        if entry is None:
            return
        target = self._folder / entry.name.rpartition(b"/")[2].decode(errors="replace")
        try:
            self._explored.extract(entry, target)
        except WherryError as error:
            self.notify(printable(error.message), severity="error")
        else:
            self.notify(f"wrote {printable(target.name)}")

    def _chosen(self) -> TreeEntry | None:
        node = self.query_one("#files", FilesPane).cursor_node
        if node is None or node.data is None or node.data.kind != FILE:
            self.notify("choose a file", severity="warning")
            return None
        return node.data

    def _options(self) -> Iterator[Option]:
        for layer in self._explored.analyzed.layers:
            wasted = "!" if layer.hidden else " "
            instruction = printable(" ".join(layer.instruction.split()))
            yield Option(Text(f"{layer.number:>2}{wasted}{size(layer.unpacked):>8} {instruction}", no_wrap=True))

    def _show_layer(self) -> None:
        explorer = self._explored.explorer
        self._root = explorer.after(self._layer) if self._all else explorer.changes(self._layer)
        self.query_one("#details", Static).update(Text("\n".join(self._details())))
        self._show_tree()

    def _details(self) -> Iterator[str]:
        image, layer = self._explored.analyzed, self._explored.analyzed.layers[self._layer]
        base = {True: "base", False: "own", None: "base unknown"}[layer.base]
        yield printable(" ".join(layer.instruction.split())[:200]) or "(no history)"
        yield f"{size(layer.stored)} pulled, {base}, {layer.digest[7:19]}"
        yield f"+{layer.added} ~{layer.changed} -{layer.removed}  wasted {size(layer.hidden)}"
        yield f"image: {size(image.stored)} pulled"
        yield f"  {size(image.unpacked)} unpacked"
        yield f"  wasted {size(image.waste.bytes)}"
        yield f"  duplicates {size(image.waste.duplicate_bytes)}"
        yield f"  efficiency {image.efficiency:.4f}"
        yield f"  dive's {image.dive.efficiency:.4f}"

    def _show_tree(self) -> None:
        tree = self.query_one("#files", FilesPane)
        tree.border_title = (
            f"{'all files after' if self._all else 'changes of'} layer {self._layer + 1}, by {self._order}"
        )
        tree.clear()
        tree.root.data = self._root
        if self._filter:
            for path, entry in self._matching():
                tree.root.add_leaf(self._label(entry, path), entry)
        else:
            self._fill(tree.root, self._root)
        tree.root.expand()
        if not self._filter:
            self._unfold(tree.root, _UNFOLDED)

    def _unfold(self, node: TreeNode[TreeEntry], left: int) -> int:
        """Open folders as long as what is shown stays short; give how many more rows may be shown."""
        left -= len(node.children)
        for child in node.children:
            if child.allow_expand and child.data is not None and len(child.data.below()) < left:
                self._fill(child, child.data)
                child.expand()
                left = self._unfold(child, left)
        return left

    def _matching(self) -> Iterator[tuple[bytes, TreeEntry]]:
        wanted = self._filter.encode(errors="surrogateescape").lower()
        waiting: list[tuple[bytes, TreeEntry]] = [(b"", self._root)]
        found: list[tuple[bytes, TreeEntry]] = []
        while waiting:
            path, entry = waiting.pop()
            for one in entry.below():
                whole = path + b"/" + one.name
                if one.is_folder:
                    waiting.append((whole, one))
                elif wanted in whole.lower() and one.sign not in self._hidden:
                    found.append((whole, one))
        found.sort(key=lambda pair: (self._rank(pair[1]), pair[0]))
        yield from found[:_MOST_FOUND]

    def _fill(self, node: TreeNode[TreeEntry], folder: TreeEntry) -> None:
        for one in sorted(folder.below(), key=lambda one: (self._rank(one), one.name)):
            if one.sign in self._hidden and not one.is_folder:
                continue
            label = self._label(one, one.name)
            if one.is_folder and one.children:
                node.add(label, one)
            else:
                node.add_leaf(label, one)

    def _rank(self, entry: TreeEntry) -> int:
        match self._order:
            case "size":
                return -entry.size
            case "wasted":
                return -entry.wasted
            case _:
                return 0

    def _label(self, entry: TreeEntry, name: bytes) -> Text:
        wasted = "!" if entry.wasted else " "
        details = f"{self._explored.explorer.details(entry):>18} " if self._attributes else ""
        text = f"{entry.sign.value}{wasted}{details}{size(entry.size):>8} {shown_name(name)}{'/' * entry.is_folder}"
        if target := self._explored.explorer.target(entry):
            text += f" -> {shown_name(target)}"
        return Text(text, style=_COLOURS[entry.sign] or ("magenta" if entry.wasted else ""), no_wrap=True)
