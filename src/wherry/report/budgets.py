"""Budgets beside what was measured, for a person at a prompt."""

from collections.abc import Iterable, Iterator

from wherry.analysis.size import BudgetCheck
from wherry.report.content import printable
from wherry.report.terminal import size, table


def lines_of(checks: Iterable[BudgetCheck]) -> list[str]:
    """Say of every budget what was measured; of a broken one what takes the most, and what to do."""
    by_image: dict[tuple[str, str], list[BudgetCheck]] = {}
    for check in checks:
        by_image.setdefault((check.image, check.platform), []).append(check)
    lines = []
    for (image, platform), rows in by_image.items():
        lines.append(f"{image}  {platform}")
        lines += [f"  {line}" for line in table([_row(one) for one in rows], right=(1, 3))]
        lines += [f"  {line}" for one in rows if not one.ok for line in broken_lines(one)]
    return [printable(line) for line in lines]


def broken_lines(check: BudgetCheck) -> Iterator[str]:
    """Say of a broken budget how far it is over, what takes the most of it and what to do."""
    over = check.actual - check.limit
    share = f" ({100 * over / check.limit:.1f} %)" if check.limit else ""
    yield f"{check.what}: {check.actual} bytes, {over} bytes{share} more than the budget of {check.limit}"
    if check.detail:
        yield f"  {check.detail}"
    yield from (f"  {line}" for line in check.most)
    yield f"  {check.remedy}"


def _row(check: BudgetCheck) -> tuple[str, ...]:
    used = f"{100 * check.actual / check.limit:.1f} %" if check.limit else ""
    state = "" if check.ok else "over"
    return (check.what, size(check.actual), f"of {size(check.limit)}", used, state, check.detail if check.ok else "")
