"""`wherry check`: check images against the budgets of wherry.toml."""

import os

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


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
@click.option("--json", "as_json", is_flag=True, help="Print budgets and measured sizes as JSON.")
@click.pass_obj
def command(world: World, /, *, names: tuple[str, ...], against: str | None, figures: str | None, as_json: bool) -> int:
    """Check images of services, or any IMAGE, against the budgets of wherry.toml; exit 1 if one is exceeded.

    Without a name, check the image of every service, under its first tag in the local store. An IMAGE that belongs to
    no service is checked against [budgets]. --write-figures accepts the current sizes as the new baseline; growth
    limits are not checked in that run.
    """
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
