"""`wherry kill NAME…`: send a signal to containers."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.stop import signal_number
from wherry.cli.world import World


@click.command("kill", cls=GroupedCommand)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-s", "--signal", "named", default="KILL", metavar="SIGNAL", help="Signal to send. [default: KILL]")
@click.pass_obj
def command(world: World, /, *, names: tuple[str, ...], named: str) -> None:
    """Send containers a signal, and print their names.

    NAME is a name, an ID or the beginning of an ID. With KILL, wait until the container has ended.
    """
    import signal

    from wherry.app.running import find_container, signal_container, stop_container

    number = signal_number(named)
    found = [find_container(world, name) for name in names]
    for one in found:
        if number == signal.SIGKILL:
            stop_container(one, signal=number)
        else:
            signal_container(one, number)
        world.say(one.record.name)
