"""What an image ships in vain, for a person at a prompt: layers, waste with its causes and remedies, dive's figures."""

from collections.abc import Iterator, Sequence

from wherry.analysis.image.document import AnalyzedLayer, AnalyzeDocument, AnalyzedPlatform, Edit
from wherry.report.terminal import printable, size, table

_WIDTH = 60
"""Characters of an instruction; a RUN can have thousands."""
_PATHS = 3


def lines_of(document: AnalyzeDocument, *, most: int) -> Iterator[str]:
    """Write all platforms; of groups, duplicates and files at most so many."""
    for place, platform in enumerate(document.platforms):
        if place:
            yield ""
        yield from (printable(line) for line in _platform(platform, most))
    yield from (printable(line) for line in _checks(document))


def _platform(one: AnalyzedPlatform, most: int) -> Iterator[str]:
    waste = one.waste
    yield (
        f"{one.platform}  {size(one.stored)} pulled  {size(one.unpacked)} unpacked  "
        f"{size(waste.bytes)} wasted  {size(waste.duplicate_bytes)} duplicated  efficiency {one.efficiency:.4f}"
    )
    yield ""
    yield from (f"  {line}" for line in table([_HEAD, *map(_layer, one.layers)], right=(0, 2, 3, 4, 5, 6, 7)))
    yield from _waste(one, most)
    yield from _duplicates(one, most)
    yield from _unneeded(one, most)
    yield from _builder(one, most)
    yield ""
    percent = (
        "" if one.dive.user_wasted_percent is None else f", {100 * one.dive.user_wasted_percent:.2f} % of user bytes"
    )
    yield f"  dive: efficiency {one.dive.efficiency:.4f}, {size(one.dive.wasted_bytes)} wasted{percent}"
    yield from (f"    {line}" for line in one.dive_differs)


_HEAD = ("layer", "base", "pulled", "unpacked", "wasted", "added", "changed", "removed", "instruction")


def _layer(layer: AnalyzedLayer) -> tuple[str, ...]:
    base = {True: "base", False: "own", None: "?"}[layer.base]
    removed = f"{layer.removed}{'*' * bool(layer.opaque)}"
    counts = (str(layer.added), str(layer.changed), removed)
    wasted = size(layer.hidden) if layer.hidden else ""
    return (
        str(layer.number), base, size(layer.stored), size(layer.unpacked), wasted, *counts, _cut(layer.instruction)
    )  # fmt: skip


def _waste(one: AnalyzedPlatform, most: int) -> Iterator[str]:
    if not one.waste.groups:
        return
    yield ""
    yield f"  no container sees {size(one.waste.bytes)} unpacked, {size(one.waste.pulled)} pulled:"
    for group in one.waste.groups[:most]:
        hider = "in the same layer" if group.layer == group.hidden_by else f"by layer {group.hidden_by}"
        yield (
            f"    {size(group.bytes)} ({size(group.pulled)} pulled)  layer {group.layer}, {group.cause} {hider}  "
            f"{_listed(group.paths, group.files)}"
        )
        yield from _edit(group.edit)
    yield from _more(len(one.waste.groups), most)


def _duplicates(one: AnalyzedPlatform, most: int) -> Iterator[str]:
    if not one.duplicates:
        return
    waste = one.waste
    yield ""
    yield f"  further copies of visible content: {size(waste.duplicate_bytes)}, {size(waste.duplicate_pulled)} pulled:"
    for row in one.duplicates[:most]:
        places = ", ".join(f"{file.path} (layer {file.layer})" for file in row.files[:_PATHS])
        yield f"    {size(row.wasted)}  {row.copies} copies of {size(row.bytes)}: {places}"
    yield from _more(len(one.duplicates) + one.more_duplicates, most)


def _unneeded(one: AnalyzedPlatform, most: int) -> Iterator[str]:
    if not one.unneeded:
        return
    yield ""
    yield "  rarely needed in a container:"
    for kind in one.unneeded[:most]:
        yield f"    {size(kind.bytes)} ({size(kind.pulled)} pulled)  {kind.kind}: {kind.meaning}"
        for group in kind.layers[:most]:
            where = f"layer {group.layer}{' (base)' * bool(group.base)}"
            yield f"      {size(group.bytes)}  {where}  {_listed(group.paths, group.files)}"
            yield from (f"  {line}" for line in _edit(group.edit))


def _builder(one: AnalyzedPlatform, most: int) -> Iterator[str]:
    builder = one.builder
    if builder is None:
        return
    yield ""
    if not builder.count:
        yield f"  no file of {builder.image} is in the image"
        return
    yield f"  files of {builder.image} that are in the image: {builder.count}, {size(builder.bytes)}"
    for file in builder.files[:most]:
        yield f"    {size(file.bytes)}  {file.path} (layer {file.layer}), there {file.builder_path}"
    yield from _more(builder.count, most)


def _edit(edit: Edit) -> Iterator[str]:
    yield f"      remedy: {edit.remedy}"
    if edit.after:
        yield from (f"        - {line}" for line in edit.before.splitlines())
        yield from (f"        + {line}" for line in edit.after.splitlines())


def _checks(document: AnalyzeDocument) -> Iterator[str]:
    if not document.checks:
        return
    yield ""
    rows = [
        ("pass" if check.ok else "FAIL", check.rule, check.actual, f"limit {check.limit}", check.platform)
        for check in document.checks
    ]
    yield from table(rows, right=(2,))


def _listed(paths: Sequence[str], count: int) -> str:
    shown = ", ".join(paths[:_PATHS])
    more = count - min(len(paths), _PATHS)
    return f"{shown} and {more} more" if more else shown


def _more(count: int, most: int) -> Iterator[str]:
    if count > most:
        yield f"    … {count - most} more; --top {count} shows all"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
