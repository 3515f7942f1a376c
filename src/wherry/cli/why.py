"""`wherry why [STEP]`: explain why a step of a Dockerfile was not cached."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("why", cls=GroupedCommand)
@click.argument("step", required=False, default="", metavar="[STEP]")
@click.argument("context", required=False, default=".", metavar="[CONTEXT]")
@click.option(
    "-f", "--file", "dockerfile", default="", metavar="FILE", help="The Dockerfile. [default: CONTEXT/Dockerfile]"
)
@click.option("--json", "as_json", is_flag=True, help="Print all records as JSON.")
@click.pass_obj
def command(world: World, /, *, step: str, context: str, dockerfile: str, as_json: bool) -> None:
    """Explain why steps of the last build of a Dockerfile were rebuilt.

    STEP is part of a step's name, such as "COPY go.mod" or "builder 4/7"; without it, all steps are shown.
    """
    from wherry.app.why import why

    told = why(world, step, context=context, file=dockerfile)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode({"version": 1, "steps": told}).decode())
        return
    for key, one in told.items():
        shown = key.partition("] ")[2] or key
        if one.cached:
            last = f"; last run {_ago(world.clock() - one.missed)} ago: {'; '.join(one.reasons)}" if one.missed else ""
            world.say(f"{shown}  cached{last}")
        else:
            ago = _ago(world.clock() - one.missed)
            world.say(f"{shown} missed: {'; '.join(one.reasons)}  ({one.seconds:.1f} s, {ago} ago)")


def _ago(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
