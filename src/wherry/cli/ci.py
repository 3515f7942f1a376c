"""`wherry ci init|summary`: a step of CI that verifies modules, and what a run tells of its images."""

from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.app.ci_summary import CiSummary


@click.command("ci", cls=GroupedCommand)
@click.argument("action", metavar="init|summary", type=click.Choice(["init", "summary"]))
@click.argument("names", nargs=-1, metavar="[IMAGE]...", shell_complete=images)
@click.option(
    "--for",
    "system",
    type=click.Choice(["github", "gitlab"]),
    help="init: CI system. [default: by the repository's files]",
)
@click.option("--force", is_flag=True, help="init: replace a file that is there.")
@click.option("--stdout", "show", is_flag=True, help="init: print it instead of writing a file.")
@click.option("--against", metavar="IMAGE", help="summary: tell what grew since this image.", shell_complete=images)
@click.option("--restored", type=float, metavar="SECONDS", help="summary: how long restoring the caches took.")
@click.option("--scan", "scanned", is_flag=True, help="summary: look for known vulnerabilities, too.")
@click.option(
    "--db", "databases", multiple=True, metavar="DIR|FILE|URL", help="summary: vulnerability data, as for scan."
)
@click.option("--offline", is_flag=True, help="summary: do not fetch a vulnerability database.")
@click.option("--sarif", metavar="FILE", help="summary: also write all findings, those of scan included, as SARIF.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    action: str,
    names: tuple[str, ...],
    system: str | None,
    force: bool,
    show: bool,
    against: str | None,
    restored: float | None,
    scanned: bool,
    databases: tuple[str, ...],
    offline: bool,
    sarif: str | None,
) -> None:
    """Write a step of CI that verifies modules, and sum a run of CI up.

    `init` writes a step for GitHub Actions or GitLab that fails when a module was tampered with: it demands that
    `go mod vendor` changes nothing, where there is a vendor/, and runs `wherry modules verify` with the checksum
    database on. `summary` prints Markdown about each IMAGE, for $GITHUB_STEP_SUMMARY or a comment: sizes, growth, what
    the cache saved, budgets, waste, known vulnerabilities.
    """
    if action == "summary":
        if not names or system or force or show:
            raise InvalidUsage(
                "ci summary: give an IMAGE, and no options of init", hint="write: wherry ci summary IMAGE"
            )
        from wherry.app.ci_summary import summarize

        look = scanned or bool(databases)
        found = summarize(world, names, against=against, scanned=look, databases=databases, offline=offline)
        _show(world, found, restored, sarif)
        return
    if names or against or restored is not None or scanned or databases or offline or sarif:
        raise InvalidUsage("ci init: takes no IMAGE, and no options of summary", hint="write: wherry ci init")
    _init(world, system or "", force=force, show=show)


def _init(world: World, system: str, *, force: bool, show: bool) -> None:
    from wherry.app.ci import ci_step, write_ci_step

    step = ci_step(world, system)
    if show:
        world.stdout.write(step.text)
    else:
        write_ci_step(step, force=force)
        world.note(f"wrote {step.place}")
    if step.note:
        world.note(step.note)


def _show(world: World, found: "CiSummary", restored: float | None, sarif: str | None) -> None:
    from wherry.report.ci_summary import markdown_of

    for line in markdown_of(found, restored=restored):
        world.say(line)
    if sarif is not None:
        import json

        from wherry import __version__
        from wherry.report.ci_summary import sarif_of

        world.put(json.dumps(sarif_of(found, world.cwd, world.workspace, __version__), indent=2).encode(), sarif)
