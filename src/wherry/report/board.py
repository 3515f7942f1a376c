"""The board: one self-contained page of the history, with charts as plain SVG.

As the page of `wherry report`, it asks for nothing: its policy names the digests of its own script and style, and
forbids all else. Without a script all of it is there, as drawings and tables.
"""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template

from wherry import __version__
from wherry.app.board import Board, BoardBudget, BoardImage, ExplainedJump
from wherry.history.stories import FigureChange
from wherry.history.trends import Change, Metric, MetricKind, change_of
from wherry.report.board_charts import area_chart, day, line_chart, spark_chart
from wherry.report.board_cluster import cluster_tables
from wherry.report.history_table import day_of, figure, percent
from wherry.report.html import hash_of
from wherry.report.page_tables import Cell, Markup, table, text
from wherry.report.terminal import size

_GROUPS = (
    ("builds", "Builds", ("build-seconds", "again-seconds", "hits", "memory", "compiler-memory", "cpu", "start")),
    ("transfers", "Pulls and pushes", ("pull-seconds", "push-seconds")),
    ("scans", "Scans", ("scan-seconds", "findings", "coverage", "database-age")),
    ("cluster", "Cluster", ("node-pull-seconds", "node-images", "pod-ready", "oom", "restarts")),
)
_ARTICLE = "Article: another service before and after, as the article reports it that wherry starts from; not measured."
_CALM = 0.01
"""A change below this share is none."""


def board_page(board: Board) -> bytes:
    """Write the page; the same history gives the same bytes.

    Args:
        board: what is on it.

    Cost: each chart has at most 120 points, so the page grows with images and steps, and not with builds.
    """
    style = _part("page.css") + _part("board.css")
    script = _part("board.js")
    policy = (
        f"default-src 'none'; style-src '{hash_of(style)}'; script-src '{hash_of(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        Template(_part("board.html"))
        .substitute(
            policy=policy,
            version=__version__,
            lead=_lead(board),
            style=style,
            script=script,
            sections="\n".join(_sections(board)),
        )
        .encode()
    )


def _part(name: str) -> str:
    return files("wherry.report").joinpath("page", name).read_text(encoding="utf-8")


def _lead(board: Board) -> Markup:
    if not board.calls:
        return text("nothing is recorded yet")
    words = [f"{board.calls - board.of_clusters:,} calls"]
    words += [f"{board.of_clusters:,} figures of clusters"] if board.of_clusters else []
    words += [f"{day(board.first)} to {day(board.last)}"]
    words += [f"{board.machines} machines"] if board.machines > 1 else []
    words += [f"{board.failed:,} failed"] if board.failed else []
    return text(" · ".join(words))


def _sections(board: Board) -> Iterator[str]:
    if not board.calls:
        yield "<p>Build, pull or scan something, then write this page again.</p>"
        return
    yield _compared(board)
    yield from _images(board)
    by_key = {one.kind.key: one for one in board.metrics}
    for name, title, keys in _GROUPS:
        shown = [by_key[key] for key in keys if key in by_key]
        if shown:
            cards = "\n".join(_card(one, board.split) for one in shown)
            more = "".join(cluster_tables(board.cluster)) if name == "cluster" else ""
            yield f'<section id="{name}"><h2>{title}</h2><div class="cards">{cards}</div>{more}</section>'
        if name == "builds" and board.steps:
            yield _steps(board)
    if board.budgets:
        yield _budgets(board)


def _compared(board: Board) -> str:
    """Write the table of before and after: what the page is opened for."""
    rows = [_row(title, change) for title, change in zip(board.titles, board.changes, strict=True)]
    head = ("", "Before", "After", "Change", "Target", "Article", "Calls compared", "Source")
    how = (
        f"Medians of the calls before and since {day(board.split)}."
        if board.split is not None
        else "Medians of the first and the last calls: a quarter of all at most, and 20 at most."
    )
    heads = "".join(f'<th scope="col"{" class=n" * (0 < at < 6)}>{text(one)}</th>' for at, one in enumerate(head))  # noqa: PLR2004 - the columns of figures
    body = "\n".join(rows) or '<tr><td colspan="8">One call of a kind is no trend yet.</td></tr>'
    return (
        f'<section id="compared"><h2>Before and after</h2><p class="keys">{text(how)}</p><div class="scroll"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<p class="keys">{text(_ARTICLE)}</p></section>'
    )


def _row(title: str, change: Change) -> str:
    unit, target = change.metric.kind.unit, change.metric.target
    cells = (
        f'<th scope="row">{text(title)}</th>',
        f'<td class="n" data-v="{change.before!r}">{text(figure(change.before, unit))}</td>',
        f'<td class="n" data-v="{change.after!r}">{text(figure(change.after, unit))}</td>',
        f'<td class="n {_mood(change)}">{text(percent(change.share))}</td>',
        f'<td class="n">{text("" if target is None else figure(target, unit))}</td>',
        f'<td class="n">{text(_published(change.metric.kind))}</td>',
        f"<td>{change.count_before} and {change.count_after}</td>",
        f"<td>{text(change.metric.kind.source)}</td>",
    )
    return f'<tr data-key="{change.metric.kind.key}">{"".join(cells)}</tr>'


def _published(kind: MetricKind) -> str:
    """Write what the article reports of such a figure; empty where it has none."""
    return " → ".join(figure(value, kind.unit) for value in kind.published) if kind.published else ""


def _mood(change: Change | None) -> str:
    """Say whether a change is for the better (`down`), for the worse (`up`), or none."""
    if change is None or change.share is None or abs(change.share) < _CALM:
        return ""
    return "down" if (change.share < 0) == (change.metric.kind.better == "less") else "up"


def _images(board: Board) -> Iterator[str]:
    if not board.images:
        return
    choices = "".join(
        f'<option value="{place}">{text(f"{one.name} {one.platform}")}</option>'
        for place, one in enumerate(board.images)
    )
    yield (
        '<section id="images"><h2>Images</h2><p class="scripted" hidden><label>Image '
        f'<select id="image">{choices}</select></label></p>'
    )
    for one in board.images:
        yield _image(one, board.split)
    if board.others:
        rows = [(name, platform, f"{count:,}") for name, platform, count in board.others[:200]]
        yield table("Images built less often", ("Image", "Platform", "Builds"), rows)
    yield "</section>"


def _image(image: BoardImage, split: float | None) -> str:
    parts = [
        _card(image.pulled, split, image.pulled_parts),
        *([_card(image.unpacked, split, image.unpacked_parts)] if image.unpacked else []),
    ]
    rows: list[Sequence[Cell]] = [_jump(one) for one in reversed(image.jumps)]
    jumps = (
        table("What changed at each jump", ("When (UTC)", "Pulled", "Change", "What changed"), rows)
        if rows
        else '<p class="keys">No jump: the pulled bytes never changed by 1 % or more from one build to the next.</p>'
    )
    packages = table("Largest packages, from wherry size", ("Package", "Bytes"), image.packages[:15], bar=1)
    return (
        f'<article class="image"><h3>{text(image.name)} <small>{text(image.platform)}, {image.builds:,} builds</small>'
        f'</h3><div class="cards">{"".join(parts)}</div>{jumps}{packages if image.packages else ""}</article>'
    )


def _card(metric: Metric, split: float | None, parts: Sequence[object] = ()) -> str:
    kind, change = metric.kind, change_of(metric, split)
    shown = figure(metric.latest, kind.unit)
    trend = "no trend yet"
    if change is not None and change.share is not None:
        moved = f'<span class="{_mood(change)}">{text(percent(change.share))}</span>'
        trend = f"{moved} since {text(figure(change.before, kind.unit))}"
    target = "" if metric.target is None else f" · target {text(figure(metric.target, kind.unit))}"
    target += f" · article {text(_published(kind))}" if kind.published else ""
    over = " bad" if metric.target is not None and metric.latest > metric.target else ""
    label = f"{kind.title}: {len(metric.points)} calls, the latest {shown}"
    named = [(getattr(one, "name", ""), getattr(one, "points", ())) for one in parts]
    chart = (
        area_chart(named, kind.unit, label, target=metric.target)
        if named
        else line_chart(metric.points, kind.unit, label, target=metric.target)
    )
    return (
        f'<figure class="card" data-key="{kind.key}"><figcaption><b>{text(kind.title)}</b>'
        f'<span class="value{over}" data-v="{metric.latest!r}">{text(shown)}</span><small>{trend}{target}</small>'
        "</figcaption>"
        f'{chart}<small class="source">{text(kind.source)}, {len(metric.points):,} calls</small></figure>'
    )


def _jump(one: ExplainedJump) -> Sequence[Cell]:
    change = one.jump.after - one.jump.before
    words = [*map(_changed, one.changes), *(text(reason) for reason in one.reasons)]
    told = Markup("<br>".join(words)) if words else text("nothing of it was recorded")
    sign, mood = ("+", "up") if change > 0 else ("-", "down")
    return (
        day_of(one.jump.at),
        text(f"{size(one.jump.before)} → {size(one.jump.after)}"),
        Markup(f'<span class="{mood}">{sign}{text(size(abs(change)))}</span>'),
        told,
    )


def _changed(one: FigureChange) -> Markup:
    before, after = (one.before or "none", one.after or "none")
    if one.what == "package":
        before, after = (size(int(value)) if value.isdecimal() else value for value in (before, after))
    return Markup(f"{text(one.what)} {text(one.name)} {text(before)} → {text(after)}")


def _steps(board: Board) -> str:
    most = max((one.median for one in board.steps), default=0.0) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{text(one.name)}</th><td class="n" data-v="{one.median!r}">'
        f"{text(figure(one.median, 'seconds'))} "
        f'<meter min="0" max="{most:.6g}" value="{one.median:.6g}" aria-hidden="true"></meter></td>'
        f'<td class="n">{len(one.points):,}</td><td>{spark_chart(one.points, f"{one.name} over time")}</td></tr>'
        for one in board.steps
    )
    return (
        '<section id="steps"><h2>Build time by step</h2><p class="keys">Where a step was not cached; the steps that '
        'took most in all.</p><div class="scroll"><table><thead><tr><th scope="col">Step</th>'
        '<th scope="col" class="n">Median</th><th scope="col" class="n">Times</th>'
        '<th scope="col">Trend</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _used(one: BoardBudget) -> Markup:
    share = f"{one.actual / one.limit:.0%}" if one.limit else ""
    return Markup(f'<span class="{"good" if one.ok else "bad"}">{share}</span>')


def _budgets(board: Board) -> str:
    rows: list[Sequence[Cell]] = [
        (one.image, one.platform, one.what, Markup(size(one.actual)), Markup(size(one.limit)), _used(one))
        for one in board.budgets
    ]
    head = ("Image", "Platform", "Budget", "Measured", "Limit", "Used")
    return f'<section id="budgets"><h2>Budgets</h2>{table("As the latest build found them", head, rows)}</section>'
