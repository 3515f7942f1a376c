"""What grew, for a person at a prompt and for a pull request."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from wherry.analysis.diff import BinaryDiff, ChangedBytes, DiffDocument, ModuleChange, PlatformChange, SettingChange
from wherry.report.comment import in_code, in_text
from wherry.report.terminal import printable, size, table

WAYS: Final = ("module", "package", "function", "kind", "layer", "file")
"""What changes can be listed by."""
_LONGEST_NAME = 72
_SHORT_LIST = 3
"""Words of a list before and after that are still shown whole."""
_DIGEST = 19
"""Letters of a digest that are shown."""
_HEAD: Final = ("change", "before", "after")
_NUMBERS: Final = (0, 1, 2)
"""Columns that are set to the right."""

_OF_IMAGES: Final = ("layer", "file")
_MODE: Final = "with another mode or owner"

Row = tuple[str, ...]


def lines_of(document: DiffDocument, *, by: str, most: int) -> list[str]:
    """Say what grew.

    Args:
        document: what was compared.
        by: one of `WAYS`.
        most: rows at most; the rest is one row.
    """
    lines = [f"{document.before} → {document.after}"]
    for image in document.images:
        if _is_same(image):
            continue
        lines += ["", f"{image.platform}  {_grown(image, 'unpacked')}, {_pulled(image)}"]
        lines += _indented(_files_told(image))
        if by == "layer":
            lines += _indented(table(_layer_rows(image, most), right=(*_NUMBERS, 3)))
        if by == "file":
            lines += _indented(table(_file_rows(image, most), right=_NUMBERS))
    for binary in () if by in _OF_IMAGES else document.binaries:
        if _is_same(binary):
            continue
        lines += ["", f"{_title(binary)}  {_grown(binary)}", *_indented(_told(binary)), ""]
        lines += _indented(table(_rows(binary, by, most), right=_NUMBERS))
        lines += [f"  {note}" for note in binary.notes]
    if by in _OF_IMAGES and not document.images:
        lines += ["", f"  {by}s are compared only between two images"]
    lines += [f"  {note}" for note in document.notes]
    if same := _same(document):
        lines += ["", f"the same in both: {', '.join(same)}"]
    return [printable(line) for line in lines]


def _is_same(one: PlatformChange | BinaryDiff) -> bool:
    """Tell whether nothing of an image or a program differs."""
    if isinstance(one, PlatformChange):
        same_files = one.files is None or not one.files.files
        return same_files and not one.change and not one.pulled and not one.layers
    there = one.name_before and one.name_after
    return bool(there) and not (one.change or one.modules or one.settings or one.notes)


def _same(document: DiffDocument) -> list[str]:
    """Name what does not differ, so that it takes one line."""
    images = [f"{one.platform} ({size(one.after)} unpacked)" for one in document.images if _is_same(one)]
    return images + [f"{_title(one)} ({size(one.after)})" for one in document.binaries if _is_same(one)]


def signed(count: int) -> str:
    """Write a change of bytes with its sign."""
    return f"{'+' if count > 0 else '-' if count < 0 else ''}{size(abs(count))}"


def percent(part: int, whole: int) -> str:
    """Write a change as a part of what was, with its sign; nothing where there was nothing."""
    return f"{100 * part / whole:+.1f} %" if whole else ""


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _grown(one: ChangedBytes, what: str = "") -> str:
    share = percent(one.change, one.before)
    words = [size(one.before), "→", size(one.after), what, f"({signed(one.change)}{', ' + share if share else ''})"]
    return " ".join(filter(None, words))


def _pulled(image: PlatformChange) -> str:
    share = percent(image.pulled, image.pulled_before)
    both = f"{size(image.pulled_before)} → {size(image.pulled_after)} pulled"
    return f"{both} ({signed(image.pulled)}{', ' + share if share else ''})"


def _title(binary: BinaryDiff) -> str:
    if not binary.name_before or not binary.name_after:
        return f"{binary.name_before or binary.name_after} {'removed' if binary.name_before else 'added'}"
    return f"{binary.platform}  {binary.path}".rstrip()


def _told(binary: BinaryDiff) -> Iterator[str]:
    """Say what is the toolchain's, and which settings differ."""
    toolchain = binary.toolchain
    if toolchain:
        which = f"{toolchain.before} → {toolchain.after}" if toolchain.before != toolchain.after else "other flags"
        yield (
            f"{which}: about {signed(toolchain.bytes)}; code {signed(binary.code)}, "
            f"tables and what is shared {signed(binary.tables)}"
        )
    if toolchain and toolchain.ratio is not None:
        yield (
            f"for changed code this is estimated: functions of {toolchain.basis} in both versions "
            f"({size(toolchain.basis_bytes)}) changed size by a factor of {toolchain.ratio:.3f}"
        )
    for setting in binary.settings:
        yield _setting(setting)


def _setting(setting: SettingChange) -> str:
    """Say what differs; of a list only those that are not in both."""
    before, after = setting.before.split(","), setting.after.split(",")
    if len(before) + len(after) <= _SHORT_LIST or not setting.before or not setting.after:
        return f"{setting.name}: {setting.before or '(not set)'} → {setting.after or '(not set)'}"
    gone = [f"-{word}" for word in before if word not in after]
    return f"{setting.name}: {' '.join(gone + [f'+{word}' for word in after if word not in before])}"


def _rows(binary: BinaryDiff, by: str, most: int) -> list[Row]:
    """List a program's changes; the first row is the head."""
    words: list[Row]
    match by:
        case "module":
            words = [(one.path or "(no package)", _version(one), _why(one, binary)) for one in binary.modules]
            return [(*_HEAD, "module", "version", "why"), *_cut(binary.modules, words, most)]
        case "package":
            words = [(one.path, one.module) for one in binary.packages]
            return [(*_HEAD, "package", "module"), *_cut(binary.packages, words, most)]
        case "function":
            words = [(_short(one.name), _state(one)) for one in binary.functions]
            return [(*_HEAD, "function", ""), *_cut(binary.functions, words, most)]
        case _:
            return [(*_HEAD, "kind"), *_cut(binary.kinds, [(one.kind,) for one in binary.kinds], most)]


def _cut(changes: Sequence[ChangedBytes], words: Sequence[Row], most: int) -> Iterator[Row]:
    """Give the first rows, and the sum of the others."""
    for one, row in zip(changes[:most], words, strict=False):
        yield (signed(one.change), size(one.before), size(one.after), *row)
    if rest := changes[most:]:
        yield (signed(sum(one.change for one in rest)), "", "", f"{len(rest)} more")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _state(one: ChangedBytes) -> str:
    return "new" if not one.before else "gone" if not one.after else ""


def _version(one: ModuleChange) -> str:
    return " → ".join(filter(None, dict.fromkeys((one.version_before, one.version_after))))


def _why(one: ModuleChange, binary: BinaryDiff) -> str:
    """Say what a module's change is made of."""
    if not one.path:
        return "shared between packages; linker tables; headers; padding"
    if one.cause in {"added", "removed"}:
        return one.cause
    words = {
        "toolchain": "the toolchain",
        "flags": "other flags",
        "linked": "same source: other parts are linked",
        "version": "version changed",
        "code": "code",
    }
    said = [words[one.cause]]
    if one.expected is not None and binary.toolchain:
        said[0] += f" (about {signed(one.expected)} from the toolchain)"
    parts = (
        (one.grown, "in functions of both"),
        (one.new, "new"),
        (-one.removed, "gone"),
        (one.rest, "types and data"),
    )
    return f"{said[0]}: " + ", ".join(f"{signed(part)} {name}" for part, name in parts if part)


def _layer_rows(image: PlatformChange, most: int) -> list[Row]:
    head = ("change", "before", "after", "pulled", "layer", "made by")
    rows = [
        (
            signed(one.change),
            size(one.before),
            size(one.after),
            signed(one.pulled),
            (one.digest_after or one.digest_before)[:_DIGEST],
            one.made_by,
        )
        for one in image.layers[:most]
    ]
    if rest := image.layers[most:]:
        rows.append((signed(sum(one.change for one in rest)), "", "", "", f"{len(rest)} more", ""))
    return [head, *rows]


def _files_told(image: PlatformChange) -> Iterator[str]:
    """Say how many files differ, and what is shipped in vain on each side."""
    files, waste = image.files, image.waste
    if files is not None:
        counts = {"added": files.added, "removed": files.removed, "changed": files.changed, "mode": files.mode}
        named = [f"{count} {_MODE if cause == 'mode' else cause}" for cause, count in counts.items() if count]
        yield f"files: {', '.join(named) or 'the same'} ({signed(files.change)} visible)"
    if waste is not None and (waste.before or waste.after):
        yield f"wasted: {_grown(waste)}"
    if waste is not None and (waste.duplicates_before or waste.duplicates_after):
        change = signed(waste.duplicates_after - waste.duplicates_before)
        yield f"duplicates: {size(waste.duplicates_before)} → {size(waste.duplicates_after)} ({change})"


def _file_rows(image: PlatformChange, most: int) -> list[Row]:
    files = image.files.files if image.files else ()
    rows = [(signed(one.change), size(one.before), size(one.after), one.cause, one.path) for one in files[:most]]
    if rest := files[most:]:
        rows.append((signed(sum(one.change for one in rest)), "", "", "", f"{len(rest)} more"))
    return [(*_HEAD, "what", "file"), *rows]


def markdown_of(document: DiffDocument, *, by: str, most: int) -> list[str]:
    """Write what grew as a comment on a pull request: a line, a table, and details to unfold."""
    lines = [f"**{in_text(document.before)} → {in_text(document.after)}**"]
    images = [one for one in document.images if not _is_same(one)]
    binaries = [one for one in document.binaries if not _is_same(one)]
    for image in images:
        lines.append(f"- {image.platform}: {_grown(image, 'unpacked')}, {_pulled(image)}")
        lines += [f"  - {in_text(line)}" for line in _files_told(image)]
    for binary in binaries:
        lines += [f"- {in_code(_title(binary))}: {_grown(binary)}", *(f"  - {in_text(line)}" for line in _told(binary))]
    lines += [f"- {in_text(note)}" for note in document.notes]
    if same := _same(document):
        lines.append(f"- the same in both: {', '.join(map(in_text, same))}")
    if by in _OF_IMAGES:
        for image in images:
            rows = _layer_rows(image, most) if by == "layer" else _file_rows(image, most)
            lines += ["", *_grid(rows, 4 if by == "layer" else 3)]
        return lines
    for binary in binaries:
        lines += ["", *_grid(_rows(binary, by, most), 3)]
        lines += ["", f"<details><summary>More of {in_text(_title(binary))}</summary>"]
        for way in ("module", "package", "kind"):
            if way != by:
                lines += ["", *_grid(_rows(binary, way, most), 3)]
        lines += ["", "</details>"]
    return lines


def _grid(rows: Sequence[Row], numbers: int) -> list[str]:
    """Lay rows out as a table of Markdown; the first is its head, and the first columns are numbers."""
    width = len(rows[0])
    rule = "|" + "".join("---:|" if column < numbers else "---|" for column in range(width))
    body = [[*row, *[""] * (width - len(row))] for row in rows[1:]]
    cells = [[*row[:numbers], in_code(row[numbers]), *map(in_text, row[numbers + 1 :])] for row in body]
    return [_line(rows[0]), rule, *map(_line, cells)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
