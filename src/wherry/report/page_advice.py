"""The page's advice: what makes the image smaller or safer, by what other commands measured, the most bytes first."""

from collections.abc import Iterator

from wherry.analysis.image.document import AnalyzeDocument
from wherry.analysis.size import SizeDocument
from wherry.report.page_tables import FlagsDocument, LeaksDocument, Markup, SlimDocument, text
from wherry.report.page_waste import waste_advice
from wherry.report.terminal import size

_MOST = 4
"""Rows of one kind; the sections below the map have them all."""
_STRIPPED = ("(debug)", "(symbols)")
"""Owners that `wherry build` leaves out by default."""


def advice_of(
    document: SizeDocument,
    *,
    slim: SlimDocument | None = None,
    flags: FlagsDocument | None = None,
    leaks: LeaksDocument | None = None,
    analyzed: AnalyzeDocument | None = None,
) -> str:
    """Give the section that answers "what can I do about it", and names what was not measured."""
    rows = [*_budgets(document), *_symbols(document)]
    rows += [] if analyzed is None else waste_advice(analyzed)
    rows += [] if slim is None else _slim(slim)
    rows += [] if flags is None else _flags(flags)
    rows += [] if leaks is None else _leaks(leaks)
    missing = [
        command
        for command, given in (("slim", slim), ("flags", flags), ("leaks", leaks), ("check", document.budgets or None))
        if given is None
    ]
    items = "".join(f"<li>{row}</li>" for row in rows)
    list_ = f"<ul>{items}</ul>" if items else ""
    return f'<section id="advice"><h2>What can I do about it</h2>{list_}{_unmeasured(missing)}</section>'


def _unmeasured(missing: list[str]) -> str:
    """Say how to add what the page lacks."""
    options = {"check": "budgets"}
    ways = [
        f"<code>wherry {name} --json &gt; {name}.json</code>, then <code>--{options.get(name, name)} {name}.json</code>"
        for name in missing
    ]
    items = "".join(f"<li>{way}</li>" for way in ways)
    return f"<details><summary>Not on this page: {', '.join(missing)}</summary><ul>{items}</ul></details>" * bool(ways)


def _budgets(document: SizeDocument) -> Iterator[Markup]:
    broken = [one for one in document.budgets if not one.ok]
    for one in broken[:_MOST]:
        over = f"{size(one.actual - one.limit)} over its budget of {size(one.limit)}"
        where = f" ({one.platform})" if one.platform else ""
        yield Markup(f'<span class="bad">✗</span> <a href="#budgets">{text(one.what)}{text(where)}</a> is {over}')


def _symbols(document: SizeDocument) -> Iterator[Markup]:
    """Point at symbols and DWARF: debuggers read them, no running program does."""
    for binary in document.binaries:
        kept = sum(one.bytes for one in binary.packages if one.path in _STRIPPED)
        if kept:
            yield Markup(
                f"{text(binary.path or binary.name)} has {size(kept)} of symbols and debug data; "
                "<code>wherry build</code> leaves them out"
            )


def _slim(slim: SlimDocument) -> Iterator[Markup]:
    paying = sorted((one for one in slim.ways if one.saved > 0), key=lambda one: (-one.saved, one.name))
    for one in paying[:_MOST]:
        lost = f", which drops {text(one.drops)}" if one.drops else ""
        yield Markup(f'-{size(one.saved)} by <a href="#slim">build tags {text(", ".join(one.tags))}</a>{lost}')
    for cause in slim.causes[:_MOST]:
        yield Markup(f'<a href="#slim">{text(cause.function)}</a> defeats dead-code elimination')


def _flags(flags: FlagsDocument) -> Iterator[Markup]:
    built = flags.variants[0].unpacked if flags.variants else None
    smaller = [
        (built - one.unpacked, one.name)
        for one in flags.variants
        if built is not None and one.unpacked is not None and one.unpacked < built
    ]
    for saved, name in sorted(smaller, key=lambda pair: (-pair[0], pair[1]))[:_MOST]:
        yield Markup(f'-{size(saved)} by <a href="#flags">{text(name)}</a>')


def _leaks(leaks: LeaksDocument) -> Iterator[Markup]:
    by_severity: dict[str, int] = {}
    for one in leaks.findings:
        by_severity[one.severity] = by_severity.get(one.severity, 0) + 1
    if by_severity:
        counts = ", ".join(f"{count} {name}" for name, count in by_severity.items())
        yield Markup(f'<a href="#leaks">Leaks</a>: {text(counts)}')
