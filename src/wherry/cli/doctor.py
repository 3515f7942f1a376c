"""`wherry doctor`: what this machine can and can't do for wherry, and what to do about it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wherry.cli.world import World

if TYPE_CHECKING:
    from wherry.cli.checkup import State

_PAINT = {"ok": 32, "limited": 33, "missing": 31}
"""Green, yellow and red (ECMA-48, SGR)."""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, as_json: bool) -> int:
    """Look at this machine: Go, git, sandboxes, other processors, limits, registries, daemons, and room on the disk.

    Asks no registry, and shows no secret. Exits 1 where something that building needs is missing.
    """
    from wherry.cli.checkup import State, checks

    found = list(checks(world))
    missing = any(check.state is State.MISSING for check in found)
    if as_json:
        world.say(json.dumps({"version": 1, "checks": [asdict(check) for check in found]}, indent=2))
        return 1 if missing else 0
    from wherry.report.terminal import table
    from wherry.report.views import plain

    for check, line in zip(
        found, table([(check.state, check.name, plain(check.found)) for check in found]), strict=True
    ):
        world.say(_painted(line, check.state) if world.colour_out else line)
        if check.remedy:
            world.say(f"         {plain(check.remedy)}")
    return 1 if missing else 0


def _painted(line: str, state: "State") -> str:
    return f"\x1b[{_PAINT[state]}m{state}\x1b[0m{line.removeprefix(state)}"
