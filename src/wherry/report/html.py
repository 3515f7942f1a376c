"""One self-contained page of a size document: a map to walk, and tables; it opens offline and asks nobody for anything.

Sources: W3C, Content Security Policy Level 3 ("hash-source"); HTML, "Restrictions for contents of script elements".
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from wherry import __version__
from wherry.analysis.size import BinarySize, LayerSize, PackageSize, SizeDocument
from wherry.report.terminal import size

Node = list[object]
"""Name, bytes, what it is, how it is known (or 0), children (or 0), note."""
_MOST_FUNCTIONS = 16_000
"""Functions that are named, over all binaries: the page stays below 3 MB."""
_MOST_ROWS = 40
_CONFIDENCE = ("exact", "shared", "inferred", "unknown")


def page_of(
    document: SizeDocument,
    *,
    slim: Mapping[str, Any] | None = None,
    flags: Mapping[str, Any] | None = None,
    leaks: Mapping[str, Any] | None = None,
) -> str:
    """Write the page; the same documents give the same bytes.

    Args:
        document: what was measured.
        slim: what `wherry slim` prints with --json; a section of its own, as the two below.
        flags: what `wherry flags` prints.
        leaks: what `wherry leaks` prints.
    """
    folder = files("wherry.report").joinpath("page")
    style, script, frame = (folder.joinpath(f"page.{kind}").read_text() for kind in ("css", "js", "html"))
    data = json.dumps({"tree": _tree(document)}, ensure_ascii=False, separators=(",", ":"))
    sections = [*_tables(document), *_slim(slim), *_flags(flags), *_leaks(leaks)]
    parts = {
        "%TITLE%": _shown(document.name),
        "%SUMMARY%": _shown(_summary(document)),
        "%STYLE-HASH%": _hash(style),
        "%SCRIPT-HASH%": _hash(script),
        "%STYLE%": style,
        "%SECTIONS%": "\n".join(sections),
        "%VERSION%": __version__,
        "%DATA%": data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
        "%SCRIPT%": script,
    }
    pieces = [frame]
    for mark, text in parts.items():
        # A text may have another mark in it: only what is still the frame's own is looked at.
        pieces = [piece for one in pieces for piece in ([one] if isinstance(one, _Text) else _put(one, mark, text))]
    return "".join(pieces)


class _Text(str):
    """What was put into the frame."""

    __slots__ = ()


def _put(frame: str, mark: str, text: str) -> Iterator[str]:
    for number, piece in enumerate(frame.split(mark)):
        if number:
            yield _Text(text)
        yield piece


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(text: object) -> str:
    """Escape somebody else's text; what would turn its direction, or can't be seen, is shown as its code."""
    plain = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in str(text))
    return html.escape(plain)


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def _summary(document: SizeDocument) -> str:
    programs = len(document.binaries)
    said = [f"{programs} program{'s' * (programs != 1)}, {size(sum(one.size for one in document.binaries))}"]
    for platform in dict.fromkeys(layer.platform for layer in document.layers):
        own = [layer for layer in document.layers if layer.platform == platform]
        pulled, unpacked = sum(one.pulled for one in own), sum(one.unpacked for one in own)
        said.append(f"{platform}: {size(unpacked)} unpacked, {size(pulled)} pulled")
    return "; ".join(said)


def _tree(document: SizeDocument) -> Node:
    least = _least(document.binaries)
    if not document.layers:
        return _node(document.name, "", [_binary(one, least) for one in document.binaries])
    programs = {(one.platform, one.layer, one.path): one for one in document.binaries}
    platforms: dict[str, list[Node]] = {}
    numbers: dict[str, int] = {}
    for layer in document.layers:
        number = numbers[layer.platform] = numbers.get(layer.platform, 0) + 1
        platforms.setdefault(layer.platform, []).append(_layer(layer, number, programs, least))
    return _node(document.name, "image", [_node(name, "platform", layers) for name, layers in platforms.items()])


def _node(name: str, what: str, children: Sequence[Node], note: str = "") -> Node:
    return [_plain(name), sum(_bytes(one) for one in children), what, 0, list(children) or 0, note]


def _bytes(node: Node) -> int:
    count = node[1]
    return count if isinstance(count, int) else 0


def _layer(layer: LayerSize, number: int, programs: Mapping[tuple[str, int, str], BinarySize], least: int) -> Node:
    children = []
    for file in layer.files:
        program = programs.get((layer.platform, number, file.path))
        if program and program.size == file.bytes:
            children.append(_binary(program, least))
        else:
            children.append([_plain(file.path), file.bytes, "file", 0, 0, ""])
    note = f"{size(layer.pulled)} pulled; {layer.made_by}" if layer.made_by else f"{size(layer.pulled)} pulled"
    return _node(f"layer {number}", layer.media_type, children, _plain(note))


def _binary(binary: BinarySize, least: int) -> Node:
    name = binary.path or binary.name
    note = _plain("; ".join((binary.go or binary.format, *binary.notes)))
    if not binary.packages:
        rows: list[Node] = [[one.name or "(no section)", one.bytes, one.kind, 0, 0, ""] for one in binary.sections]
        return _node(name, "program", rows, note)
    members: dict[str, list[PackageSize]] = {}
    for package in binary.packages:
        members.setdefault(package.module, []).append(package)
    modules = [_module(one.path, one.version, members[one.path], one.exclusive, least) for one in binary.modules]
    node = _node(name, "program", modules, note)
    node[3] = [binary.confidence.get(one, 0) for one in _CONFIDENCE]
    return node


def _module(path: str, version: str, packages: Sequence[PackageSize], exclusive: int | None, least: int) -> Node:
    note = f"{size(exclusive)} would go without it" if exclusive is not None else ""
    node = _node(path or "(no package)", f"module {version}".strip(), [_package(one, least) for one in packages], note)
    node[3] = [sum(one.confidence.get(word, 0) for one in packages) for word in _CONFIDENCE]
    return node


def _package(package: PackageSize, least: int) -> Node:
    """Give a package's functions, the small ones as one, and what no function has alone, by kind."""
    named = [one for one in package.functions if one.bytes >= least]
    small = [one for one in package.functions if one.bytes < least]
    children: list[Node] = [
        [_plain(one.name), one.bytes, "function", 0, 0, f"generic from {one.generic_from}" if one.generic_from else ""]
        for one in named
    ]
    if small:
        rest = sum(one.bytes for one in small)
        children.append([f"({len(small)} smaller functions)", rest, "functions", 0, 0, ""])
    other = package.bytes - sum(_bytes(one) for one in children)
    if other > 0:
        kinds = ", ".join(
            f"{name} {size(part)}" for name, part in sorted(package.kinds.items(), key=lambda row: -row[1])
        )
        children.append(
            ["(types, strings, data, tables)", other, "no single function's", 0, 0, f"of the package: {kinds}"]
        )
    node = _node(package.path, "package", children)
    node[3] = [package.confidence.get(one, 0) for one in _CONFIDENCE]
    return node


def _least(binaries: Sequence[BinarySize]) -> int:
    """Choose from how many bytes on a function is named."""
    sizes = sorted(
        (one.bytes for binary in binaries for package in binary.packages for one in package.functions), reverse=True
    )
    return sizes[_MOST_FUNCTIONS] + 1 if len(sizes) > _MOST_FUNCTIONS else 1


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[int] = ()) -> str:
    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(f"<{tag}{' class=n' * (at in numbers)}>{_shown(cell)}</{tag}>" for at, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def _tables(document: SizeDocument) -> Iterator[str]:
    if document.budgets:
        rows = [
            (one.what, one.platform, size(one.actual), size(one.limit), "held" if one.ok else "broken", one.detail)
            for one in document.budgets
        ]
        yield "<h2>Budgets</h2>" + _table(("budget", "platform", "is", "at most", "", ""), rows, (2, 3))
    for binary in document.binaries:
        yield f"<h2>{_shown(binary.name)}: modules</h2>"
        rows2 = [
            (size(one.bytes), _share(one.bytes, binary.size), "" if one.exclusive is None else size(one.exclusive),
             one.path or "(no package)", one.version)
            for one in binary.modules[:_MOST_ROWS]
        ]  # fmt: skip
        yield _table(("bytes", "share", "alone", "module", "version"), rows2, (0, 1, 2))
        if len(binary.modules) > _MOST_ROWS:
            yield f"<p>and {len(binary.modules) - _MOST_ROWS} more</p>"
        yield "<h2>What for, and how sure</h2>"
        yield _table(
            ("bytes", "share", "kind"),
            [(size(one.bytes), _share(one.bytes, binary.size), one.kind) for one in binary.kinds],
            (0, 1),
        )
        sure = (f"{_share(part, binary.size)} {name}" for name, part in binary.confidence.items() if part)
        yield f"<p>{_shown(', '.join(sure))}</p>"
        routes = [(one.path, " → ".join(route)) for one in binary.modules for route in one.routes]
        if routes:
            yield "<h2>How it is imported</h2>" + _table(("module", "way"), routes)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _slim(found: Mapping[str, Any] | None) -> Iterator[str]:
    if not found:
        return
    yield "<h2>What keeps code alive</h2>"
    causes = [
        (one["function"], " → ".join(route)) for one in found["causes"] for route in one["routes"] or [one["chain"]]
    ]
    if causes:
        yield "<p>Every exported method is kept, since these call methods by a name made at run time:</p>"
        yield _table(("function", "way"), causes)
    else:
        yield "<p>Dead code is left out.</p>"
    before = found["before"]["unpacked"]
    rows = [
        (
            ", ".join(one["tags"]),
            size(one["unpacked"]) if one["unpacked"] else "not built",
            _share(one["saved"], before),
            one["drops"] or "nothing",
        )
        for one in found["ways"]
    ]
    yield _table(("tags", "unpacked", "saves", "drops"), rows, (1, 2))


def _flags(found: Mapping[str, Any] | None) -> Iterator[str]:
    if not found:
        return
    yield "<h2>What each flag bought</h2>"
    pulled = sorted({name for one in found["variants"] for name in one["pulled"] or ()})
    rows = [
        (one["name"], size(one["unpacked"]) if one["unpacked"] else "not built",
         *(size(one["pulled"][name]) if one["pulled"] else "" for name in pulled), _start(one["starts"]))
        for one in found["variants"]
    ]  # fmt: skip
    yield _table(("variant", "unpacked", *pulled, "start"), rows, range(1, 3 + len(pulled)))
    yield "<h2>What is said, and what was seen</h2>"
    said = [(one["claim"], "holds" if one["holds"] else "does not hold", one["evidence"]) for one in found["beliefs"]]
    yield _table(("claim", "", "evidence"), said)


def _start(starts: Sequence[Mapping[str, Any]]) -> str:
    times = sorted(one["seconds"] for one in starts)
    return f"{times[len(times) // 2] * 1000:.1f} ms" if times else ""


def _leaks(found: Mapping[str, Any] | None) -> Iterator[str]:
    if not found:
        return
    yield "<h2>What it tells of its build</h2>"
    rows = [(one["severity"], one["rule"], one["message"], one["remedy"]) for one in found["findings"]]
    yield _table(("", "rule", "finding", "remedy"), rows) if rows else "<p>Nothing.</p>"
