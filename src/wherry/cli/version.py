"""`wherry version`: print the versions of wherry, Python and Go."""

import json
import platform

import click

from wherry import __version__
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("version", cls=GroupedCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, as_json: bool) -> None:
    """Print the versions of wherry, Python and the Go that builds would use."""
    from wherry.errors import WherryError
    from wherry.host.toolchain import find_toolchain

    try:
        toolchain = find_toolchain(world.runner, world.environment, world.cwd)
        go, origin = toolchain.version, toolchain.origin
    except WherryError as error:
        go, origin = "", error.message
    machine = f"{platform.system().lower()} {platform.release()} {platform.machine()}"
    if as_json:
        values = {"version": 1, "wherry": __version__, "python": platform.python_version(), "go": go, "system": machine}
        world.say(json.dumps(values, indent=2))
        return
    world.say(f"wherry {__version__}")
    world.say(f"Python {platform.python_version()}")
    world.say(f"Go {go.removeprefix('go')} ({origin})" if go else f"Go: {origin}")
    world.say(machine)
