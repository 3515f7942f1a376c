"""What `wherry bench` measured, for people and as a document."""

from collections.abc import Iterator, Sequence

from wherry.app.stage_bench import BenchedVariant, Spread, StageBench
from wherry.counted import counted
from wherry.report.history import seconds
from wherry.report.terminal import printable, size, table

_ROUNDS = 3
"""Rounds from which on their spread says something."""


def bench_lines(found: StageBench) -> Iterator[str]:
    """Give a column for each way to build, and a verdict for each row."""
    one, other = found.variants
    rows = [("", printable(one.name), printable(other.name), ""), _sizes(found)]
    rows += [(scenario, _span(one.seconds[scenario]), _span(other.seconds[scenario]), "") for scenario in one.seconds]
    rows.append(
        ("cache look-up", seconds(one.lookup), seconds(other.lookup), "an unchanged build: all steps looked up")
    )
    rows.append(("cache saves", seconds(one.saved), seconds(other.saved), "cold minus look-up"))
    if one.unpacked and other.unpacked:
        rows.append(("unpacked", size(one.unpacked), size(other.unpacked), ""))
    rows += _starts(found)
    yield f"{counted(found.rounds, 'round')}, interleaved; changed: {', '.join(map(printable, found.changed))}"
    yield from (f"  {line.rstrip()}" for line in table(rows, right=(1, 2)))
    yield ""
    yield from verdicts(found)


def _sizes(found: StageBench) -> tuple[str, str, str, str]:
    shown = [f"{size(int(one.pulled.median))}{_bytes(one.pulled)}" for one in found.variants]
    return ("pulled", shown[0], shown[1], "")


def _bytes(pulled: Spread) -> str:
    if pulled.most == pulled.least:
        return " (always)"
    return f" ({int(pulled.least):,} to {int(pulled.most):,} B)"


def _span(found: Spread) -> str:
    return f"{seconds(found.median)} ({seconds(found.least)} to {seconds(found.most)})"


def _starts(found: StageBench) -> Iterator[tuple[str, str, str, str]]:
    if all(one.starts is None and not one.why_no_starts for one in found.variants):
        return
    for share, name in ((0.5, "start P50"), (0.95, "start P95")):
        cells = [seconds(one.starts.percentile(share)) if one.starts else "-" for one in found.variants]
        ends = {"until it listens" if one.listened else "until it ends" for one in found.variants if one.starts}
        yield (name, cells[0], cells[1], ", ".join(sorted(ends)))


def verdicts(found: StageBench) -> Iterator[str]:
    """Compare round by round; where the rounds do not agree on a direction, there is no difference to report."""
    one, other = found.variants
    yield f"{printable(one.name)} against {printable(other.name)}:"
    if found.rounds < _ROUNDS:
        yield f"  fewer than {_ROUNDS} rounds: what follows may be noise"
    yield f"  image: {_words(one.pulled, other.pulled, 'smaller', 'larger')}"
    for scenario in one.seconds:
        yield f"  {scenario}: {_words(one.seconds[scenario], other.seconds[scenario], 'faster', 'slower')}"
    if one.starts and other.starts:
        change = 100 * (one.starts.percentile(0.5) / other.starts.percentile(0.5) - 1)
        yield f"  start P50: {abs(change):.1f} % {'slower' if change > 0 else 'faster'}"
    for each in found.variants:
        if each.why_no_starts:
            yield f"  no starts of {printable(each.name)}: {printable(each.why_no_starts)}"


def changes_of(one: Spread, other: Spread) -> tuple[float, ...]:
    """Give by how many percent the first is above the second, round by round."""
    return tuple(100 * (a / b - 1) for a, b in zip(one.values, other.values, strict=False) if b)


def _words(one: Spread, other: Spread, less: str, more: str) -> str:
    changes = Spread(changes_of(one, other) or (0.0,))
    shown = sorted(abs(value) for value in (changes.least, changes.most))
    if changes.least < 0 < changes.most:
        return f"no difference beyond the spread ({changes.least:+.1f} to {changes.most:+.1f} %)"
    if not changes.least and not changes.most:
        return "the same"
    word = more if changes.median > 0 else less
    return f"{abs(changes.median):.1f} % {word} ({shown[0]:.1f} to {shown[1]:.1f} %)"


def bench_document(found: StageBench) -> dict[str, object]:
    """Give the same values as a document."""
    one, other = found.variants
    return {
        "version": 1,
        "rounds": found.rounds,
        "changed": list(found.changed),
        "variants": [_variant(each) for each in found.variants],
        "percent": {
            "pulled": list(changes_of(one.pulled, other.pulled)),
            **{name: list(changes_of(one.seconds[name], other.seconds[name])) for name in one.seconds},
        },
    }


def _variant(one: BenchedVariant) -> dict[str, object]:
    return {
        "name": one.name,
        "dockerfile": one.dockerfile,
        "pulled": {"min": int(one.pulled.least), "max": int(one.pulled.most), "values": _whole(one.pulled.values)},
        "unpacked": one.unpacked,
        "seconds": {name: _times(values) for name, values in one.seconds.items()},
        "lookup": one.lookup,
        "saved": one.saved,
        "start": _start(one),
        "start_error": one.why_no_starts,
    }


def _whole(values: Sequence[float]) -> list[int]:
    return [int(value) for value in values]


def _times(found: Spread) -> dict[str, object]:
    return {"min": found.least, "median": found.median, "max": found.most, "values": list(found.values)}


def _start(one: BenchedVariant) -> dict[str, object] | None:
    if one.starts is None:
        return None
    p50, p95 = one.starts.percentile(0.5), one.starts.percentile(0.95)
    return {"p50": p50, "p95": p95, "count": len(one.starts.values), "until": "listens" if one.listened else "ends"}
