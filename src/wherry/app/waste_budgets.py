"""Budgets of waste: what an image may ship in vain, in bytes or as a part of its files."""

from collections.abc import Iterator, Mapping

from wherry.analysis.image.document import AnalyzedPlatform
from wherry.analysis.size import BudgetCheck
from wherry.app.session import Session
from wherry.settings.sizes import Growth

_NAMED = 3


def waste_checks(session: Session, name: str, label: str, limits: Mapping[str, Growth]) -> Iterator[BudgetCheck]:
    """Hold an image to its budgets of waste, on each platform.

    Args:
        session: where.
        name: the image, as `inspect` takes it.
        label: what messages call it.
        limits: by key of wherry.toml; a percentage is of the unpacked bytes.

    Raises:
        NotFound: there is no such image.
    """
    from wherry.app.analyze import analyze

    if not limits:
        return
    for one in analyze(session, name).platforms:
        for what, limit in limits.items():
            actual, most = _measured(one, what)
            allowed = limit.size if limit.percent is None else int(one.unpacked * limit.percent / 100)
            ok = actual <= allowed
            yield BudgetCheck(
                what=what,
                limit=allowed,
                actual=actual,
                ok=ok,
                image=label,
                platform=one.platform,
                detail="" if limit.percent is None else f"{limit} of {one.unpacked} bytes",
                most=() if ok else most,
                remedy="" if ok else f"`wherry analyze {label}` shows what is wasted, and what to edit",
            )


def _measured(one: AnalyzedPlatform, what: str) -> tuple[int, tuple[str, ...]]:
    """Give what a budget is of, and what takes the most of it."""
    match what:
        case "waste":
            rows = [(f"{file.path} (layer {file.layer}, {file.cause})", file.bytes) for file in one.waste.files]
            return one.waste.bytes, _listed(rows)
        case "duplicates":
            rows = [(row.files[0].path, row.wasted) for row in one.duplicates]
            return one.waste.duplicate_bytes, _listed(rows)
        case _:
            return one.dive.wasted_bytes, _listed([(file.path, file.bytes) for file in one.dive.files])


def _listed(rows: list[tuple[str, int]]) -> tuple[str, ...]:
    return (f"files: {', '.join(f'{name} {count}' for name, count in rows[:_NAMED])}",) if rows else ()
