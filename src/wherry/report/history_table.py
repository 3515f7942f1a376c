"""The history for people at a prompt, and as comma-separated values for a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from wherry.history.database import HistoryDatabase
from wherry.history.entry import CallFigures
from wherry.history.stories import ImageStory
from wherry.history.trends import PULLED, Metric, change_of, points_of, thinned
from wherry.report.history import seconds
from wherry.report.terminal import printable, size, table

_BARS = "▁▂▃▄▅▆▇█"
_WIDE = 24
_LEAST = 0.02
"""Share of the most that the whole height of a line stands for, at least: what hardly moves looks so."""
_IMAGES = 12
_COLUMNS = (
    "id", "at", "machine", "command", "ok", "unchanged", "seconds", "image", "platform", "digest", "pulled", "hits",
    "misses", "cpu", "memory", "compilerCpu", "compilerMemory", "sent", "start", "revision", "go", "subject",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula, at the start of a text."""


def sparkline(values: Sequence[float]) -> str:
    """Draw values as one letter each, from the least to the most."""
    if not values:
        return ""
    least, most = min(values), max(values)
    step = max(most - least, abs(most) * _LEAST) / (len(_BARS) - 1) or 1.0
    return "".join(_BARS[round((value - least) / step)] for value in values)


def figure(value: float, unit: str) -> str:
    """Write a value in its unit, as a person reads it."""
    if unit == "bytes":
        return size(round(value))
    if unit == "share":
        return f"{value:.0%}".replace("%", " %")
    if unit == "count":
        return f"{value:g}"
    for limit, divisor, name in ((172800, 86400, "days"), (7200, 3600, "h"), (120, 60, "min")):
        if value >= limit:
            return f"{value / divisor:.1f} {name}"
    return seconds(value)


def percent(share: float | None) -> str:
    """Write a change."""
    return "" if share is None else "±0 %" if abs(share) < 0.0005 else f"{share:+.1%}".replace("%", " %")  # noqa: PLR2004 - half a tenth of a percent


def day_of(at: float) -> str:
    """Write a moment, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def history_lines(
    database: HistoryDatabase, entries: Sequence[CallFigures], metrics: Sequence[Metric], since: float
) -> Iterator[str]:
    """Give the trends, each with a sparkline, and the last calls."""
    rows = [*_images(database, since), *(row for one in metrics if (row := _trend(one.kind.title, one)))]
    if rows:
        yield "trends, first calls to last calls (medians)"
        yield from (f"  {line}" for line in table(rows, right=(2, 3, 4)))
        yield ""
    calls: list[tuple[str, ...]] = [("when (UTC)", "command", "time", "", "image", "pulled", "cached", "memory")]
    calls += [_call(one) for one in entries]
    yield from table(calls, right=(2, 5, 6, 7))


def _images(database: HistoryDatabase, since: float) -> Iterator[tuple[str, ...]]:
    names = database.ask(
        "SELECT name, platform, COUNT(*) FROM images WHERE pulled IS NOT NULL AND at >= ? GROUP BY name, platform "
        "ORDER BY 3 DESC, 1, 2 LIMIT ?",
        (since, _IMAGES),
    )
    for name, platform, _ in names:
        metric = Metric(PULLED, points_of(database, PULLED, (str(name), str(platform)), since))
        if row := _trend(printable(f"{name} {platform}, pulled"), metric):
            yield row


def _trend(title: str, metric: Metric) -> tuple[str, ...]:
    if not metric.points:
        return ()
    unit, line = metric.kind.unit, sparkline([value for _, value in thinned(metric.points, _WIDE)])
    change = change_of(metric)
    if change is None:
        return (title, line, "", figure(metric.latest, unit), "")
    return (title, line, figure(change.before, unit), figure(change.after, unit), percent(change.share))


def _call(entry: CallFigures) -> tuple[str, ...]:
    state = "failed" if not entry.ok else "nothing changed" if entry.unchanged else ""
    names = list(dict.fromkeys(one.name for one in entry.images)) or [entry.subject]
    pulled = [one.pulled for one in entry.images if one.pulled is not None]
    steps = entry.hits + entry.misses
    return (
        day_of(entry.at),
        entry.command,
        seconds(entry.seconds),
        state,
        printable(", ".join(names)),
        size(pulled[0]) if pulled else "",
        f"{entry.hits} of {steps}" if steps else "",
        size(entry.memory + entry.compiler_memory) if entry.memory else "",
    )


def csv_text(entries: Sequence[CallFigures]) -> str:
    """Write calls as comma-separated values, a row for each image; no text is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in entries:
        for image in one.images or (None,):
            writer.writerow(map(_cell, _row(one, image)))
    return out.getvalue()


def _row(one: CallFigures, image: "object") -> tuple[object, ...]:
    name, platform, digest, pulled = (getattr(image, key, "") for key in ("name", "platform", "digest", "pulled"))
    moment = datetime.fromtimestamp(one.at, UTC).isoformat(timespec="milliseconds")
    return (
        one.id, moment, one.machine, one.command, int(one.ok), int(one.unchanged), one.seconds, name, platform, digest,
        "" if pulled is None else pulled, one.hits, one.misses, one.cpu, one.memory, one.compiler_cpu,
        one.compiler_memory, "" if one.sent is None else one.sent, "" if one.start is None else one.start,
        one.revision, one.go, one.subject,
    )  # fmt: skip


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def story_lines(story: ImageStory) -> Iterator[str]:
    """Say who made an image, how large it is, and what differs from the one before."""
    image, entry = story.image, story.entry
    yield printable(f"{image.name}  {image.platform}  {image.digest}")
    figures = [size(image.pulled) + " pulled" if image.pulled is not None else ""]
    figures += [size(story.unpacked) + " unpacked" if story.unpacked is not None else ""]
    yield f"  built {day_of(entry.at)} UTC in {seconds(entry.seconds)}, {', '.join(filter(None, figures))}"
    known = [entry.go, f"commit {entry.revision[:12]}{' (modified)' * entry.modified}" if entry.revision else ""]
    if any(known):
        yield printable(f"  {', '.join(filter(None, known))}")
    yield f"  named by {story.calls} call{'s' * (story.calls != 1)} of the history"
    if story.before is not None:
        yield from _compared(story)
    for step in story.missed:
        yield printable(f"  missed: {step.name}  {seconds(step.seconds)}  {'; '.join(step.reasons)}")


def _compared(story: ImageStory) -> Iterator[str]:
    old, new = story.before, story.image
    if old is None:
        return
    moved = ""
    if old.pulled is not None and new.pulled is not None:
        change = new.pulled - old.pulled
        moved = f": {size(old.pulled)} → {size(new.pulled)} pulled ({'+' if change >= 0 else '-'}{size(abs(change))})"
    yield printable(f"  before it, {day_of(story.before_at)} UTC, {old.digest[:19]}{moved}")
    for one in story.changes:
        yield printable(f"  {one.what}: {one.name} {one.before or 'none'} → {one.after or 'none'}")
