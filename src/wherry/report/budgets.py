"""Budgets compared with measured sizes, for the terminal."""

from collections.abc import Iterable, Iterator

from wherry.analysis.size import BudgetCheck
from wherry.report.terminal import BAD, painted, printable, size, table


def lines_of(checks: Iterable[BudgetCheck], *, coloured: bool = False) -> list[str]:
    """Say of every budget what was measured; of a broken one what takes the most, and what to do.

    Args:
        checks: what was compared.
        coloured: whether the line of a broken budget is red.
    """
    lines = []
    for (image, platform), rows in _by_image(checks).items():
        lines.append(printable(f"{image}  {platform}"))
        for check, line in zip(rows, table([_row(one) for one in rows], right=(1, 3)), strict=True):
            shown = printable(f"  {line}")
            lines.append(painted(shown, BAD) if coloured and not check.ok else shown)
        lines += [printable(f"  {line}") for line in _broken(rows)]
    return lines


def broken_lines(checks: Iterable[BudgetCheck]) -> list[str]:
    """Say of budgets that are broken how far they are over, what takes the most and what to do."""
    lines = []
    for (image, platform), rows in _by_image(checks).items():
        lines += [f"{image}  {platform}", *(f"  {line}" for line in _broken(rows))]
    return [printable(line) for line in lines]


def _by_image(checks: Iterable[BudgetCheck]) -> dict[tuple[str, str], list[BudgetCheck]]:
    by_image: dict[tuple[str, str], list[BudgetCheck]] = {}
    for check in checks:
        by_image.setdefault((check.image, check.platform), []).append(check)
    return by_image


def _broken(checks: Iterable[BudgetCheck]) -> Iterator[str]:
    """Tell the broken ones among the budgets of one image; a remedy that serves several comes once."""
    broken = [one for one in checks if not one.ok]
    for check in broken:
        over = check.actual - check.limit
        share = f" ({100 * over / check.limit:.1f} %)" if check.limit else ""
        detail = f" ({check.detail})" if check.detail else ""
        yield f"{check.what}: {check.actual} bytes{detail}, {over}{share} more than the budget of {check.limit}"
        yield from (f"  {line}" for line in check.most)
    yield from dict.fromkeys(one.remedy for one in broken)


def _row(check: BudgetCheck) -> tuple[str, ...]:
    used = f"{100 * check.actual / check.limit:.1f} %" if check.limit else ""
    state = "" if check.ok else "over"
    return (check.what, size(check.actual), f"of {size(check.limit)}", used, state, check.detail if check.ok else "")
