"""Draw docs/rooms.svg, the rooms of the code and the imports between them; `make docs` calls it.

The rows are the storeys of the import-linter contract in pyproject.toml, the arrows what the code imports today.
Arrows to the two lowest storeys are left out: every room speaks those words.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "wherry"
TARGET = ROOT / "docs" / "rooms.svg"
_WIDTH, _ROW, _BOX_HEIGHT, _MARGIN, _GAP, _LETTER = 1080, 92, 34, 24, 18, 7.6
_STYLE = """
  .paper { fill: #ffffff } .box { fill: #eef3fa; stroke: #44617f } .storey { fill: #8a94a0; font-size: 11px }
  text { font: 13px system-ui, sans-serif; fill: #1c2733; text-anchor: middle }
  path { fill: none; stroke: #44617f; stroke-opacity: .28 } #head path { fill: #44617f; stroke: none }
  g:hover path { stroke: #c4461f; stroke-opacity: .9; stroke-width: 1.6 } g:hover .box { fill: #ffe6dc }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #14191f } .box { fill: #202b37; stroke: #7f9dbd } text { fill: #e3eaf1 }
    path { stroke: #7f9dbd } g:hover .box { fill: #4a2a1f }
  }
"""


def storeys() -> list[list[str]]:
    """Give the rooms, highest storey first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "storeys")
    return [[room.strip("() ") for room in layer.replace(":", "|").split("|")] for layer in layers]


def arrows() -> dict[str, set[str]]:
    """Give for each room those that it imports, lazy imports too; imports for types alone don't count."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        named = {name.split(".")[1] for name in _imported(ast.parse(path.read_bytes())) if name.count(".")}
        found.setdefault(room, set()).update(named - {room})
    return found


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "wherry":
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def picture() -> str:
    """Give the whole drawing."""
    rows = storeys()
    places = dict(_places(rows))
    height = _MARGIN * 2 + _ROW * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        "<title>The rooms of wherry, and which imports which</title>",
        f"<style>{_STYLE}</style>",
        (
            '<defs><marker id="head" viewBox="0 0 6 6" refX="6" refY="3" orient="auto">'
            '<path d="M0 0L6 3L0 6z"/></marker></defs>'
        ),
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
    ]
    imported = arrows()
    words = {room for row in rows[-2:] for room in row}
    for room, (x, y, width) in places.items():
        lines.append("<g>")
        lines += [
            _arrow(places[room], places[other]) for other in sorted(imported.get(room, set()) & places.keys() - words)
        ]
        lines.append(
            f'<rect class="box" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_BOX_HEIGHT}" rx="5"/>'
            f'<text x="{x + width / 2:.0f}" y="{y + 22:.0f}">{escape(room)}</text></g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _places(rows: list[list[str]]) -> Iterator[tuple[str, tuple[float, float, float]]]:
    for number, row in enumerate(rows):
        widths = [len(room) * _LETTER + 26 for room in row]
        gap = _GAP + (_WIDTH - 2 * _MARGIN - sum(widths) - _GAP * (len(row) - 1)) / (len(row) + 1)
        x = _MARGIN + max(gap - _GAP, 0)
        for room, width in zip(row, widths, strict=True):
            yield room, (x, _MARGIN + number * _ROW, width)
            x += width + gap


def _arrow(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    (x, y, width), (to_x, to_y, to_width) = start, end
    from_x, target_x = x + width / 2, to_x + to_width / 2
    if y == to_y:  # along the storey: over the boxes
        line = f"M{from_x:.0f} {y:.0f}C{from_x:.0f} {y - 26:.0f} {target_x:.0f} {y - 26:.0f} {target_x:.0f} {y:.0f}"
    else:
        from_y = y + _BOX_HEIGHT
        bend = (to_y - from_y) / 2
        line = (
            f"M{from_x:.0f} {from_y:.0f}C{from_x:.0f} {from_y + bend:.0f} "
            f"{target_x:.0f} {to_y - bend:.0f} {target_x:.0f} {to_y:.0f}"
        )
    return f'<path d="{line}" marker-end="url(#head)"/>'


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        TARGET.write_text(picture())
    else:
        print(picture(), end="")
