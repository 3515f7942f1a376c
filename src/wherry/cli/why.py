"""`wherry why [STEP]`: why a step of a Dockerfile was done, and not taken from the cache."""

import os

import click

from wherry.cli.world import World
from wherry.errors import NotFound


@click.command("why")
@click.argument("step", required=False, default="", metavar="[STEP]")
@click.argument("context", required=False, default=".", metavar="[CONTEXT]")
@click.option(
    "-f", "--file", "dockerfile", default="", metavar="FILE", help="The Dockerfile. [default: CONTEXT/Dockerfile]"
)
@click.option("--json", "as_json", is_flag=True, help="Print all that is known as JSON.")
@click.pass_obj
def command(world: World, /, *, step: str, context: str, dockerfile: str, as_json: bool) -> None:
    """Say why steps of the last build of a Dockerfile were done.

    STEP is part of a step's name, such as "COPY go.mod" or "builder 4/7"; without it, all steps are told.
    """
    import msgspec

    from wherry.dockerfiles import noted_steps
    from wherry.store.results import Results

    folder = world.cwd / context
    name = dockerfile or os.path.relpath(folder / "Dockerfile", world.cwd)
    results = Results(world.cache_folder)
    try:
        steps = noted_steps(results, f"{os.path.realpath(folder)} {name}")
    finally:
        results.close()
    if not steps:
        raise NotFound(
            f"{name}: no build of it is remembered here", hint="build it first, in this folder and with this -f"
        )
    told = {key: one for key, one in steps.items() if step.lower() in key.lower() and key.startswith("[")}
    if not told:
        raise NotFound(f"{step}: no step of {name} is called so", hint="`wherry why` lists them all")
    if as_json:
        world.say(msgspec.json.encode({"version": 1, "steps": told}).decode())
        return
    for key, one in told.items():
        shown = key.partition("] ")[2] or key
        if one.cached:
            last = f"; done {_ago(world.clock() - one.missed)} ago: {'; '.join(one.reasons)}" if one.missed else ""
            world.say(f"{shown}  cached{last}")
        else:
            ago = _ago(world.clock() - one.missed)
            world.say(f"{shown} missed: {'; '.join(one.reasons)}  ({one.seconds:.1f} s, {ago} ago)")


def _ago(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
