"""`wherry doctor`: check this machine, and suggest fixes."""

import json
from typing import TYPE_CHECKING

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

if TYPE_CHECKING:
    from wherry.app.doctor import Check, CheckState

_PAINT = {"ok": 32, "limited": 33, "missing": 31}
"""Green, yellow and red (ECMA-48, SGR)."""


@click.command("doctor", cls=GroupedCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, as_json: bool) -> int:
    """Check this machine: Go, git, sandboxes, emulators, limits, registries, daemons and free disk space.

    Contacts no registry and prints no secrets. Exits 1 if something that a build needs is missing.
    """
    from wherry.app.doctor import CheckState, doctor

    found = list(doctor(world))
    missing = any(check.state is CheckState.MISSING for check in found)
    if as_json:
        rows = [{"name": one.name, "state": one.state, "found": _words(one), "remedy": one.remedy} for one in found]
        world.say(json.dumps({"version": 1, "checks": rows}, indent=2))
        return 1 if missing else 0
    from wherry.report.terminal import table
    from wherry.report.views import plain

    for check, line in zip(
        found, table([(check.state, check.name, plain(_words(check))) for check in found]), strict=True
    ):
        world.say(_painted(line, check.state) if world.colour_out else line)
        if check.remedy:
            world.say(f"         {plain(check.remedy)}")
    return 1 if missing else 0


def _words(check: "Check") -> str:
    from wherry.report.terminal import size

    found = check.found
    for name, figure in check.sizes.items():
        found = found.replace(f"{{{name}}}", size(figure))
    return found


def _painted(line: str, state: "CheckState") -> str:
    return f"\x1b[{_PAINT[state]}m{state}\x1b[0m{line.removeprefix(state)}"
