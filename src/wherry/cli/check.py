"""`wherry check`: images beside the budgets of wherry.toml."""

import os

import click

from wherry.cli.complete import images
from wherry.cli.world import World


@click.command("check")
@click.argument("names", nargs=-1, metavar="[SERVICE|IMAGE]...", shell_complete=images)
@click.option("--against", metavar="IMAGE|FILE", help="What growth is counted from, in place of what wherry.toml says.")
@click.option(
    "--write-figures",
    "figures",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Write what was measured for later growth to be counted from. [default: figures.json beside wherry.toml]",
)
@click.option("--json", "as_json", is_flag=True, help="Print each budget and what was measured as JSON.")
@click.pass_obj
def command(world: World, /, *, names: tuple[str, ...], against: str | None, figures: str | None, as_json: bool) -> int:
    """Check images of services, or any IMAGE, against the budgets of wherry.toml; exit 1 where one is broken.

    Without a name: every service's image, under its first tag in the local store. An IMAGE that is no service's is held
    against [budgets]. With --write-figures, growth is not judged: what is measured is what counts from now on.
    """
    from wherry.app.check import check

    checked = check(world, names, against=against, figures=figures)
    if as_json:
        import msgspec

        from wherry.analysis.size import Held

        world.say(msgspec.json.encode(Held(budgets=checked.budgets)).decode())
    else:
        from wherry.report.budgets import lines_of

        for line in lines_of(checked.budgets):
            world.say(line)
        for name in checked.free:
            world.note(f"{name} has no budgets; add some to [budgets] of wherry.toml")
    if checked.figures:
        place = os.path.relpath(checked.figures, world.cwd)
        world.note(f"wrote the figures of {', '.join(checked.measured)} to {place}")
    return 0 if checked.ok else 1
