"""The page's tables: what is read without a script, and on paper; budgets, routes, slimming, flags, leaks."""

from collections.abc import Iterator, Sequence
from html import escape

import msgspec

from wherry.analysis.size import SizeDocument
from wherry.report.page_tree import CONFIDENCE
from wherry.report.terminal import printable, size


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Part of another command's document; keys that the page does not show are left."""


class CauseDocument(_Part, frozen=True, kw_only=True):
    """What keeps dead code, and the import routes to it."""

    function: str
    routes: tuple[tuple[str, ...], ...] = ()


class FixDocument(_Part, frozen=True, kw_only=True):
    """A way out that was tried."""

    name: str
    tags: tuple[str, ...] = ()
    drops: str = ""
    unpacked: int | None = None
    saved: int = 0
    problem: str = ""


class SlimDocument(_Part, frozen=True, kw_only=True, tag_field="schema", tag="wherry.slim/1"):
    """What `wherry slim --json` prints of one program."""

    eliminated: bool | None = None
    told: bool = True
    causes: tuple[CauseDocument, ...] = ()
    ways: tuple[FixDocument, ...] = ()


class VariantDocument(_Part, frozen=True, kw_only=True):
    """A build with other flags."""

    name: str
    unpacked: int | None = None
    pulled: dict[str, int] | None = None
    problem: str = ""


class FlagClaimDocument(_Part, frozen=True, kw_only=True):
    """What is said of a flag."""

    claim: str
    holds: bool
    evidence: str = ""


class FlagsDocument(_Part, frozen=True, kw_only=True, tag_field="schema", tag="wherry.flags/1"):
    """What `wherry flags --json` prints of one program."""

    variants: tuple[VariantDocument, ...] = ()
    beliefs: tuple[FlagClaimDocument, ...] = ()


class LeakDocument(_Part, frozen=True, kw_only=True):
    """A finding."""

    rule: str
    severity: str
    place: str = ""
    message: str = ""
    evidence: tuple[str, ...] = ()
    remedy: str = ""


class LeaksDocument(_Part, frozen=True, kw_only=True, tag_field="schema", tag="wherry.leaks/1"):
    """What `wherry leaks --json` prints."""

    findings: tuple[LeakDocument, ...] = ()


class Markup(str):
    """HTML that is already escaped."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Make text harmless: nothing in it is markup, nothing of it is invisible."""
    return Markup(escape(printable(words)))


Cell = str | int
_Rows = Sequence[Sequence[Cell]]


def tables_of(
    document: SizeDocument,
    *,
    slim: SlimDocument | None = None,
    flags: FlagsDocument | None = None,
    leaks: LeaksDocument | None = None,
) -> str:
    """Give the sections below the map; those without anything to say are left out."""
    parts = [*_budgets(document), *_routes(document)]
    parts += [] if slim is None else _slim(slim)
    parts += [] if flags is None else _flags(flags)
    parts += [] if leaks is None else _leaks(leaks)
    return "\n".join(parts)


def table(caption: str, head: Sequence[str], rows: _Rows, *, bar: int | None = None) -> str:
    """Write a table; `bar` is the column of sizes that also has a bar, as long as the size's part of the largest."""
    right = [any(isinstance(row[column], int) for row in rows) for column in range(len(head))]
    sizes = [row[bar] for row in rows if bar is not None and isinstance(row[bar], int)]
    most = max((one for one in sizes if isinstance(one, int)), default=0)
    heads = "".join(
        f'<th scope="col"{" class=n" * number}>{text(one)}</th>' for one, number in zip(head, right, strict=True)
    )
    lines = "".join(
        f"<tr>{''.join(_cell(cell, most if column == bar else 0) for column, cell in enumerate(row))}</tr>\n"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><caption>{text(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _cell(cell: Cell, most: int = 0) -> str:
    if isinstance(cell, Markup):
        return f"<td>{cell}</td>"
    if isinstance(cell, int):
        bar = f'<meter min="0" max="{most}" value="{max(cell, 0)}" aria-hidden="true"></meter>' if most else ""
        shown = size(cell) if cell >= 0 else "-" + size(-cell)
        return f'<td class="n" data-v="{cell}" title="{cell:,} B">{shown}{bar}</td>'
    return f"<td>{text(cell)}</td>"


def _budgets(document: SizeDocument) -> Iterator[str]:
    if document.budgets:
        rows = [
            (
                Markup('<span class="good">✓ met</span>' if one.ok else '<span class="bad">✗ exceeded</span>'),
                one.what, one.limit, one.actual, one.platform, one.detail or one.remedy,
            )
            for one in document.budgets
        ]  # fmt: skip
        yield '<section id="budgets"><h2>Budgets</h2>'
        yield table("", ("", "What", "Limit", "Actual", "Platform", ""), rows)
        yield "</section>"


def _routes(document: SizeDocument) -> Iterator[str]:
    routed = [(binary, one) for binary in document.binaries for one in binary.modules if one.routes]
    if routed:
        yield '<section id="routes"><h2>Import routes</h2>'
        for binary, module in routed:
            items = "".join(f"<li>{text(' → '.join(route))}</li>" for route in module.routes)
            yield f"<h3>{text(module.path)}, in {text(binary.name)}</h3><ol>{items}</ol>"
        yield "</section>"


def _slim(slim: SlimDocument) -> Iterator[str]:
    yield '<section id="slim"><h2>Slimming</h2>'
    if slim.eliminated:
        yield "<p>Dead-code elimination works: no method is looked up by a name computed at run time.</p>"
    elif not slim.told:
        yield "<p>Cannot tell what defeats dead-code elimination: the linker of this Go version does not report it.</p>"
    for cause in slim.causes:
        items = "".join(f"<li>{text(' → '.join(route))}</li>" for route in cause.routes)
        yield f"<p>Dead-code elimination is defeated by <strong>{text(cause.function)}</strong></p><ol>{items}</ol>"
    rows = [
        (way.saved, "" if way.unpacked is None else way.unpacked, ", ".join(way.tags), way.drops or way.problem)
        for way in sorted(slim.ways, key=lambda way: (-way.saved, way.name))
    ]
    if rows:
        yield table("Fixes, each measured by a rebuild", ("Saves", "Unpacked", "Tags", "Drops"), rows, bar=0)
    yield "</section>"


def _flags(flags: FlagsDocument) -> Iterator[str]:
    encodings = list(dict.fromkeys(name for one in flags.variants for name in one.pulled or {}))
    rows: list[list[Cell]] = [
        [
            one.name,
            "" if one.unpacked is None else one.unpacked,
            *((one.pulled or {}).get(name, "") for name in encodings),
            one.problem,
        ]
        for one in flags.variants
    ]
    yield '<section id="flags"><h2>Flags</h2>'
    head = ("Variant", "Unpacked", *(f"Pulled, {name}" for name in encodings), "")
    yield table("What each flag changes", head, rows, bar=1)
    if flags.beliefs:
        said = [("holds" if one.holds else "false", one.claim, one.evidence) for one in flags.beliefs]
        yield table("Claim", ("", "Claim", "Evidence"), said)
    yield "</section>"


def _leaks(leaks: LeaksDocument) -> Iterator[str]:
    rows = [
        (one.severity, one.rule, one.place, "; ".join((one.message, *one.evidence)), one.remedy)
        for one in leaks.findings
    ]
    yield '<section id="leaks"><h2>Leaks</h2>'
    yield table("", ("Severity", "Rule", "Place", "What", "Remedy"), rows) if rows else "<p>None found.</p>"
    yield "</section>"


def figures_of(document: SizeDocument) -> str:
    """Give the figures of the map as tables, folded."""
    return "\n".join(_figures(document))


def _figures(document: SizeDocument) -> Iterator[str]:
    """Give what the map shows down to modules, for those without a script and for paper."""
    yield '<details id="figures"><summary>The figures as tables</summary>'
    if document.layers:
        layers = [(one.platform, one.made_by or one.digest, one.unpacked, one.pulled) for one in document.layers]
        yield table("Layers", ("Platform", "Layer", "Unpacked", "Pulled"), layers, bar=2)
    for binary in document.binaries:
        sure = [binary.confidence.get(word, 0) for word in CONFIDENCE]
        yield table(f"{binary.name}: certainty", CONFIDENCE, [sure])
        if binary.modules:
            modules = [(one.path or "(no package)", one.version, one.bytes) for one in binary.modules]
            yield table(f"{binary.name}: modules", ("Module", "Version", "Bytes"), modules, bar=2)
        else:
            sections = [(one.name or "(in no section)", one.kind, one.bytes) for one in binary.sections]
            yield table(f"{binary.name}: sections", ("Section", "Kind", "Bytes"), sections, bar=2)
    yield "</details>"
