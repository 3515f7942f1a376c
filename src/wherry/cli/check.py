"""`wherry check`: check images against the budgets of wherry.toml, or by a policy."""

import os

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage


@click.command("check", cls=GroupedCommand)
@click.argument("names", nargs=-1, metavar="[SERVICE|IMAGE]...", shell_complete=images)
@click.option(
    "--against",
    metavar="IMAGE|FILE",
    help="Measure growth against this image or file instead of the one in wherry.toml.",
)
@click.option(
    "--write-figures",
    "figures",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Write the measured sizes as the new baseline. [default: figures.json next to wherry.toml]",
)
@click.option("--policy", metavar="FILE", help="Judge one IMAGE by this policy instead of budgets.")
@click.option(
    "--db", "databases", multiple=True, metavar="DIR|FILE|URL", help="With --policy: vulnerability data, as for scan."
)
@click.option("--offline", is_flag=True, help="With --policy: do not fetch a vulnerability database.")
@click.option("--source", metavar="DIR", help="With --policy: the source to rebuild from, if the policy asks for that.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print budgets and measured sizes, or verdict and evidence, as JSON."
)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    names: tuple[str, ...],
    against: str | None,
    figures: str | None,
    policy: str | None,
    databases: tuple[str, ...],
    offline: bool,
    source: str | None,
    as_json: bool,
) -> int:
    """Check images of services, or any IMAGE, against the budgets of wherry.toml; exit 1 if one is exceeded.

    Without a name, check the image of every service, under its first tag in the local store. An IMAGE that belongs to
    no service is checked against [budgets]. --write-figures accepts the current sizes as the new baseline; growth
    limits are not checked in that run.

    With --policy, one IMAGE is judged by the rules of FILE: signatures, attestations, source, base, known holes, user,
    shells, sizes, platforms, age. Exit 1 if one does not hold, or if it is not known whether it does.
    """
    if policy is not None:
        if len(names) != 1 or against or figures is not None:
            raise InvalidUsage(
                "check --policy: give one IMAGE, without options of budgets",
                hint="write: wherry check IMAGE --policy FILE",
            )
        return _by_policy(world, names[0], policy, databases, offline=offline, source=source, as_json=as_json)
    if databases or offline or source:
        raise InvalidUsage("check: --db, --offline and --source need --policy", hint="give the policy's file")
    from wherry.app.check import check

    checked = check(world, names, against=against, figures=figures)
    if as_json:
        import msgspec

        from wherry.analysis.size import Held

        world.say(msgspec.json.encode(Held(budgets=checked.budgets)).decode())
    else:
        from wherry.report.budgets import lines_of

        world.show(lines_of(checked.budgets, coloured=world.colour_out))
        for name in checked.free:
            world.note(f"{name} has no budgets; add some to [budgets] of wherry.toml")
    if checked.figures:
        place = os.path.relpath(checked.figures, world.cwd)
        world.note(f"wrote the figures of {', '.join(checked.measured)} to {place}")
    return 0 if checked.ok else 1


def _by_policy(  # noqa: PLR0913 - as `command`
    world: World,
    name: str,
    policy: str,
    databases: tuple[str, ...],
    *,
    offline: bool,
    source: str | None,
    as_json: bool,
) -> int:
    from wherry.app.policy import check_policy

    judged = check_policy(world, name, policy, databases=databases, offline=offline, source=source)
    if as_json:
        import json

        from wherry.report.policy import document

        world.say(json.dumps(document(judged), indent=2))
    else:
        from wherry.report.policy import lines_of

        world.show(lines_of(judged, coloured=world.colour_out))
    return 0 if judged.verdict.allowed else 1
