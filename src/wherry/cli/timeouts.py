"""`wherry timeouts [FILE…]`: whether timeouts that depend on each other agree, and what to change."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.counted import counted

if TYPE_CHECKING:
    from wherry.app.timeouts import TimeoutsResult


@click.command("timeouts", cls=GroupedCommand)
@click.argument("names", metavar="[FILE|DIR]...", nargs=-1, type=click.Path())
@click.option("--recursive", "-R", is_flag=True, help="Read directories below DIR too.")
@click.option(
    "--values", multiple=True, metavar="FILE", help="State timeouts by name, as in `server.idle: 90s`. Repeatable."
)
@click.option(
    "--service",
    default="",
    metavar="FILE",
    help="Read the timeouts that a service printed in its JSON log; - is stdin.",
)
@click.option("--write", is_flag=True, help="Change the manifests: numbers only; comments and layout stay.")
@click.option("--dry-run", is_flag=True, help="With --write, only show the changes.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", "never"]),
    default="warning",
    show_default=True,
    help="Exit 1 on a finding of at least this severity.",
)
@click.option("--sysctl", "sysctls", multiple=True, metavar="NAME=VALUE", help="Write this pod sysctl. Repeatable.")
@click.option(
    "--emit",
    type=click.Choice(["pod", "helm", "patch"]),
    default="pod",
    show_default=True,
    help="What --sysctl writes: a fragment of a pod, Helm values, or a kubectl patch.",
)
@click.option("--workload", default="", metavar="KIND/NAME", help="The workload that --emit patch changes.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the whole document; `wherry help timeouts` has its schema."
)
@click.option(
    "--try", "tries", is_flag=True, help="Show what tcp_fin_timeout does to a connection pool, tried on this kernel."
)
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    world: World,
    /,
    *,
    names: tuple[str, ...],
    recursive: bool,
    values: tuple[str, ...],
    service: str,
    write: bool,
    dry_run: bool,
    fail_on: str,
    sysctls: tuple[str, ...],
    emit: str,
    workload: str,
    tries: bool,
    as_json: bool,
) -> int:
    """Check that timeouts that depend on each other agree: of the kernel, a Go service, and Kubernetes manifests.

    FILE is a manifest, rendered Helm output, or the values of a chart; - is stdin. Each broken rule names both numbers,
    where each is written, what users will see, and the change. Exits 1 on a finding; with
    --write, on one that is left.
    """
    from wherry.app.timeouts import sysctl_advice, timeouts, timeouts_fail, try_pool_timeouts
    from wherry.report.timeouts import timeout_lines, trial_lines

    if sysctls:
        world.stdout.write(sysctl_advice(sysctls, form=emit, workload=workload))
        return 0
    if tries:
        for line in trial_lines(try_pool_timeouts(world)):
            world.say(line)
        return 0
    if not names and not values and not service:
        raise click.UsageError("Missing argument '[FILE|DIR]...'; or give --values or --service.")
    _check_write(names, write=write, dry_run=dry_run)
    stdin = cache(world.stdin.read)  # it may be read again

    def judged() -> "TimeoutsResult":
        return timeouts(world, names, values=values, service=service, recursive=recursive, stdin=stdin)

    found = judged()
    if write:
        found = _written(world, found, judged, dry_run=dry_run)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(found.document).decode())
    else:
        for line in timeout_lines(found.document):
            world.say(line)
    return 1 if timeouts_fail(found.document, fail_on) else 0


def _written(
    world: World, found: "TimeoutsResult", judged: Callable[[], "TimeoutsResult"], *, dry_run: bool
) -> "TimeoutsResult":
    """Show the changes, make them, and judge again."""
    from wherry.app.timeouts import write_manifests
    from wherry.report.timeouts import edit_lines

    for line in edit_lines(found.edited):
        world.stderr.write(line + "\n")
    if dry_run or not found.edited:
        return found
    write_manifests(found.edited)
    left = judged()
    world.note(f"{counted(len(found.document.findings), 'finding')} before, {len(left.document.findings)} left")
    return left


def _check_write(names: tuple[str, ...], *, write: bool, dry_run: bool) -> None:
    from wherry.errors import InvalidUsage

    if write and "-" in names:
        raise InvalidUsage("--write: stdin is not a file that can be changed", hint="name the files, or remove --write")
    if dry_run and not write:
        raise InvalidUsage("--dry-run: only --write changes anything", hint="add --write, or remove --dry-run")
