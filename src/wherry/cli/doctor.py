"""`wherry doctor`: check this machine, and suggest fixes."""

import json
from typing import TYPE_CHECKING

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.app.doctor import Check


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
    world.show(line for check in found for line in _lines(check, coloured=world.colour_out))
    return 1 if missing else 0


def _lines(check: "Check", *, coloured: bool) -> "Iterator[str]":
    """Say what is so: the name, the state where it isn't fine, what was found, and below it what to do."""
    from wherry.report.plain import plain
    from wherry.report.terminal import BAD, CAUTION, GOOD, painted

    colours = {"ok": GOOD, "limited": CAUTION, "missing": BAD}
    state = "" if check.state in {"ok", "absent"} else f": {check.state}"
    head = f"{check.name}{state}"
    if coloured and check.state in colours:
        head = painted(head, colours[check.state])
    yield f"{head}: {plain(_words(check))}"
    if check.remedy:
        yield f"    {plain(check.remedy)}"


def _words(check: "Check") -> str:
    from wherry.report.terminal import size

    found = check.found
    for name, figure in check.sizes.items():
        found = found.replace(f"{{{name}}}", size(figure))
    return found
