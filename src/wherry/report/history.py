"""A replayed git history, for people."""

from collections.abc import Iterator

from wherry.app.history_replay import HistoryReplay, OrderReplay, ProposedOrder
from wherry.counted import counted
from wherry.report.patch import patch_lines
from wherry.report.plain import plain

_LEAST = 0.001


def history_lines(found: HistoryReplay, name: str) -> Iterator[str]:
    """Give the rebuilds of each instruction, and what other orders save."""
    without = found.now.without
    yield f"rebuilds of {counted(found.commits, 'commit')}; no file that {plain(name)} takes is changed by {without}"
    yield from _rows(found.now, found.commits)
    if found.now.seconds is None:
        yield "no recorded times: build it once with wherry build, and each step has its seconds here"
    else:
        yield f"{seconds(found.now.seconds)} a build on average now"
        lacking = [str(row.line) for row in found.now.instructions if row.seconds is None and row.rebuilds]
        if lacking:
            yield f"  without line{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}: no time of it is recorded"
    for proposal in found.proposals:
        yield ""
        yield from _proposed(proposal, found)


def _rows(replay: OrderReplay, commits: int) -> Iterator[str]:
    wide = max((len(row.stage) for row in replay.instructions), default=0)
    timed = any(row.seconds is not None for row in replay.instructions)
    for row in replay.instructions:
        share = f"{row.rebuilds * 100 / commits:.0f} %"
        took = f"{seconds(row.seconds):>8}  " if row.seconds is not None else f"{'':>8}  " if timed else ""
        yield plain(f"  {row.rebuilds:>6}  {share:>5}  {took}{row.stage:<{wide}}  {row.line:>3}  {row.text}")


def _proposed(proposal: ProposedOrder, found: HistoryReplay) -> Iterator[str]:
    yield f"{_title(proposal)}: {_saving(proposal.replay, found)}"
    if proposal.name != "order and ignore":
        yield from (f"  {plain(line)}" for line in proposal.ignore)
        yield from patch_lines(proposal.diff)


def _title(proposal: ProposedOrder) -> str:
    if proposal.name == "order":
        return "in this order"
    if proposal.name == "ignore":
        return "with these lines in .dockerignore, if no step reads what they leave out"
    return "with both"


def _saving(replay: OrderReplay, found: HistoryReplay) -> str:
    if replay.seconds is not None and found.now.seconds is not None:
        return f"{seconds(found.now.seconds)} a build on average now, {seconds(replay.seconds)} so"
    return f"{counted(_runs(found.now), 'run')} of RUN steps now, {_runs(replay)} so"


def _runs(replay: OrderReplay) -> int:
    return sum(row.rebuilds for row in replay.instructions if row.text[:3].upper() == "RUN")


def seconds(value: float) -> str:
    """Write a time with as many digits as matter."""
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms" if value >= _LEAST else "0 s"
