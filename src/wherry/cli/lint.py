"""`wherry lint [FILE]`: check a Dockerfile."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import FINDINGS_FORMAT
from wherry.cli.world import World

if TYPE_CHECKING:
    from wherry.platform import Platform


@click.command("lint", cls=GroupedCommand)
@click.argument("file", default=".", metavar="[FILE|FOLDER|-]", type=click.Path(allow_dash=True))
@click.option("--context", metavar="DIR", help="Build context directory. [default: directory of FILE]")
@click.option("--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Set the value of an ARG.")
@click.option(
    "--build-context",
    "build_contexts",
    multiple=True,
    metavar="NAME=VALUE",
    help="Context for FROM and --from: a directory, oci-layout://PATH, docker-image://NAME or a URL.",
)
@click.option("--platform", "platforms", multiple=True, metavar="PLATFORM", help="Check the build for PLATFORM.")
@click.option("--target", default="", metavar="STAGE", help="Check only STAGE and what it needs. [default: all stages]")
@click.option(
    "-f",
    "--file",
    "named",
    metavar="FILE",
    help="The Dockerfile, as for wherry build; the argument is its context then.",
)
@click.option(
    "--history",
    "commits",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Replay the last N commits: how often instructions run again, what it costs, what a better order saves.",
)
@click.option("--fix", "fix", is_flag=True, help="Apply the fixes that are safe to the file, and print them as a diff.")
@click.option("--dry-run", "dry_run", is_flag=True, help="With --fix: print the diff and leave the file unchanged.")
@FINDINGS_FORMAT
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    file: str,
    named: str | None,
    context: str | None,
    build_args: tuple[str, ...],
    build_contexts: tuple[str, ...],
    platforms: tuple[str, ...],
    target: str,
    commits: int | None,
    fix: bool,
    dry_run: bool,
    form: str,
    as_json: bool,
) -> int:
    """Check a Dockerfile by the rules of docker build --check and by wherry's own, without building it.

    Contacts no registry: of a base that is not in the local store, only the name is checked. `# check=skip=RULE` at the
    top of the file, or above an instruction, skips a rule; `# check=error=true` makes findings by Docker's rules
    errors.

    Exits 1 on any finding except notes; with --fix on any that is left, and with --dry-run if there is a diff.
    """
    from wherry.app.lint_options import LintOptions
    from wherry.cli.lint_lines import check, check_together, replay

    if named is not None:
        file, context = named, context or file
    folder = file != "-" and (world.cwd / file).is_dir()
    place = context or (file if folder else "." if file == "-" else str(Path(file).parent))
    wanted = LintOptions(
        context=place,
        file="" if folder else file,
        build_args=build_args,
        build_contexts=build_contexts,
        platforms=_platforms(platforms),
        target=target,
    )
    form = "json" if as_json else form
    check_together(fix=fix, dry_run=dry_run, commits=commits)
    if fix:
        from wherry.cli.lint_fix import fix_file

        return fix_file(world, wanted, form, write=not dry_run)
    if commits is not None:
        return replay(world, wanted, form, commits)
    return check(world, wanted, form, own=True)


def _platforms(texts: tuple[str, ...]) -> "tuple[Platform, ...] | None":
    if not texts:
        return None
    from wherry.settings.values import parse_platforms

    return parse_platforms(texts) or None
