"""A run of CI as Markdown: for the summary of a job, and for a comment on a pull request."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from wherry.analysis.image.document import AnalyzeDocument
from wherry.app.ci_summary import CiSummary
from wherry.counted import counted
from wherry.history.entry import BudgetFigures, CallFigures, StepFigures
from wherry.report import code_quality, diff, scan, scan_documents
from wherry.report.comment import in_code, in_text
from wherry.report.terminal import size

_MOST = 10
"""Rows of a list of findings; the rest is counted."""


def markdown_of(summary: CiSummary, *, restored: float | None = None) -> Iterator[str]:
    """Write the summary.

    Args:
        summary: what is told.
        restored: seconds that restoring the caches took; None: not known.
    """
    yield "### Images"
    yield ""
    yield "| image | platform | pulled | unpacked | layers | wasted | twice |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for image in summary.images:
        yield from (_row(image, number) for number in range(len(image.platforms)))
    for growth in summary.growth:
        yield from ("", *diff.markdown_of(growth, by="module" if growth.binaries else "layer", most=_MOST))
    if summary.uncompared:
        yield from ("", f"Growth: not known: {in_text(summary.uncompared)}")
    yield from _builds(summary, restored)
    yield from _budgets([one for build in summary.builds for one in build.budgets])
    yield from _findings(summary)
    for found in summary.scans:
        yield from ("", *scan.markdown(found))
    if summary.unscanned:
        yield from ("", f"Known vulnerabilities: not looked for: {in_text(summary.unscanned)}")


def _row(image: AnalyzeDocument, number: int) -> str:
    one = image.platforms[number]
    cells = (
        f"{in_code(image.name.partition('@')[0])}" if number == 0 else "",
        in_text(one.platform),
        size(one.stored),
        size(one.unpacked),
        str(len(one.layers)),
        size(one.waste.bytes),
        size(one.waste.duplicate_bytes),
    )
    return f"| {' | '.join(cells)} |"


def _builds(summary: CiSummary, restored: float | None) -> Iterator[str]:
    for build in summary.builds:
        yield ""
        yield f"**Build**: {build.seconds:.1f} s, {_steps(build)}."
    if not summary.builds and restored is None:
        return
    yield ""
    cost = "" if restored is None else f"restoring the caches took {restored:.1f} s, and "
    saved = f"{summary.saved:.1f} s" if summary.saved else "nothing that is known"
    yield f"**Cache**: {cost}what came from it saved {saved}."


def _steps(build: CallFigures) -> str:
    total = build.hits + build.misses
    if build.unchanged:
        return "nothing changed"
    done = ", ".join(f"{in_code(step.name)} {step.seconds:.1f} s" for step in _longest(build))
    return f"{build.hits} of {counted(total, 'step')} from the cache" + (f"; longest: {done}" if done else "")


def _longest(build: CallFigures) -> Sequence[StepFigures]:
    return sorted((step for step in build.steps if not step.cached), key=lambda step: -step.seconds)[:3]


def _budgets(budgets: Sequence[BudgetFigures]) -> Iterator[str]:
    if not budgets:
        return
    broken = [one for one in budgets if not one.ok]
    yield ""
    yield f"**Budgets**: {len(budgets) - len(broken)} of {len(budgets)} hold."
    if broken:
        yield from ("", "| budget | image | limit | measured |", "|---|---|---:|---:|")
    for one in broken:
        image = f"{in_text(one.image)} {in_text(one.platform)}"
        yield f"| {in_text(one.what)} | {image} | {size(one.limit)} | {size(one.actual)} |"


def _findings(summary: CiSummary) -> Iterator[str]:
    found = [(image, one) for image in summary.images for one in image.findings if one.severity != "note"]
    if not found:
        return
    yield from (
        "",
        f"**In the images**: {counted(len(found), 'finding')}.",
        "",
        "| rule | where | what |",
        "|---|---|---|",
    )
    for _, one in found[:_MOST]:
        yield f"| {in_text(one.rule)} | {in_code(one.place)} | {in_text(one.message)} |"
    if len(found) > _MOST:
        yield f"| | | {len(found) - _MOST} more |"


def sarif_of(summary: CiSummary, cwd: Path, workspace: Path | None, version: str) -> dict[str, object]:
    """Give all findings as one SARIF log: a run for what is in the images, and one for each scan.

    Code hosts show a finding at a file of the repository; those of images stand at the file they are built from.
    """
    file = next((name for name in ("Dockerfile", "go.mod") if (cwd / name).is_file()), "wherry.toml")
    document = code_quality.sarif(summary.findings(file), cwd, workspace, version)
    runs = document["runs"]
    assert isinstance(runs, list)  # noqa: S101 - as SARIF has it
    for found in summary.scans:
        runs += cast("list[object]", scan_documents.sarif(found, version, 0)["runs"])
    return document
