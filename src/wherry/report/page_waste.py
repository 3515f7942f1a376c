"""The page's tables of layers, files and waste: what `wherry analyze` knows, with the edit that takes each away."""

from collections.abc import Iterator, Sequence

from wherry.analysis.image.document import (
    AnalyzedLayer,
    AnalyzeDocument,
    AnalyzedPlatform,
    Duplicate,
    Edit,
    UnneededGroup,
    UnneededKind,
    WasteGroup,
)
from wherry.counted import counted
from wherry.report.page_tables import Cell, Markup, table, text
from wherry.report.terminal import size

_MOST = 25
"""Rows of a table; `wherry analyze --json` has all."""
_ADVICE = 4
_PATHS = 3


def waste_of(analyzed: AnalyzeDocument) -> str:
    """Give the sections of all platforms."""
    several = len(analyzed.platforms) > 1
    parts = ['<section id="waste"><h2>Layers, files and waste</h2>']
    for one in analyzed.platforms:
        if several:
            parts.append(f"<h3>{text(one.platform)}</h3>")
        parts += _platform(one)
    return "\n".join([*parts, "</section>"])


def waste_advice(analyzed: AnalyzeDocument) -> Iterator[Markup]:
    """Give the edits that take most bytes away; of several platforms, those of the first."""
    for one in analyzed.platforms[:1]:
        own = [group for group in one.waste.groups if not group.base and group.bytes]
        for group in own[:_ADVICE]:
            where = f"layer {group.layer}"
            yield Markup(
                f'-{size(group.bytes)} (<a href="#waste">{text(where)}</a>, {text(group.cause)}): '
                f"{text(group.edit.remedy)}"
            )


def _platform(one: AnalyzedPlatform) -> Iterator[str]:
    waste = one.waste
    yield (
        f"<p>{size(one.stored)} pulled, {size(one.unpacked)} unpacked, {size(one.visible)} in "
        f"{counted(one.files, 'file')} that a container sees. Wasted: {size(waste.bytes)} ({size(waste.pulled)} "
        f"pulled). Further copies of visible content: {size(waste.duplicate_bytes)}. Efficiency "
        f"{one.efficiency:.4f}; dive's {one.dive.efficiency:.4f}, with {size(one.dive.wasted_bytes)} wasted by its "
        f"formula.</p>"
    )
    head: tuple[str, ...] = ("Layer", "", "Instruction", "Pulled", "Unpacked", "Wasted", "Files")
    yield table("Layers", head, [_layer(row) for row in one.layers], bar=4)
    if waste.groups:
        head = ("Unpacked", "Pulled", "Where", "Files", "What to edit")
        yield table("No container sees", head, [_hidden(row) for row in waste.groups[:_MOST]], bar=0)
    if one.duplicates:
        head = ("Unpacked", "Pulled", "Copies", "Files")
        copies = [_copies(row) for row in one.duplicates[:_MOST]]
        yield table("Further copies of visible content", head, copies, bar=0)
    if one.unneeded:
        head = ("Unpacked", "Pulled", "Kind", "Where", "Files", "What to edit")
        kinds = [_unneeded(kind, group) for kind in one.unneeded for group in kind.layers][:_MOST]
        yield table("Rarely needed in a container", head, kinds, bar=0)


def _layer(row: AnalyzedLayer) -> tuple[Cell, ...]:
    base = {True: "base", False: "own", None: ""}[row.base]
    files = f"+{row.added} ~{row.changed} -{row.removed}"
    return (str(row.number), base, row.instruction, row.stored, row.unpacked, row.hidden, files)


def _hidden(row: WasteGroup) -> tuple[Cell, ...]:
    where = f"layer {row.layer}, {row.cause} by layer {row.hidden_by}"
    return (row.bytes, row.pulled, where, _listed(row.paths, row.files), _edit(row.edit))


def _copies(row: Duplicate) -> tuple[Cell, ...]:
    files = tuple(file.path for file in row.files)
    return (row.wasted, row.pulled, f"{row.copies} of {size(row.bytes)}", _listed(files, row.copies))


def _unneeded(kind: UnneededKind, row: UnneededGroup) -> tuple[Cell, ...]:
    where = f"layer {row.layer}{' (base)' * bool(row.base)}"
    named = f"{kind.kind}: {kind.meaning}"
    return (row.bytes, row.pulled, named, where, _listed(row.paths, row.files), _edit(row.edit))


def _listed(paths: Sequence[str], count: int) -> str:
    more = count - min(len(paths), _PATHS)
    return ", ".join(paths[:_PATHS]) + (f" and {more} more" if more else "")


def _edit(edit: Edit) -> Markup:
    if not edit.after:
        return text(edit.remedy)
    return Markup(f"{text(edit.remedy)}<br><code>{text(edit.after)}</code>")
