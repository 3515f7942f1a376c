"""`wherry stop NAME…`: end containers."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage, NotFound


@click.command("stop", cls=GroupedCommand)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-t", "--time", "length", default="10s", metavar="TIME", help="Kill it after this. [default: 10s]")
@click.option("-s", "--signal", "named", default="", metavar="SIGNAL", help="Signal to ask by. [default: the image's]")
@click.option("--rm", is_flag=True, help="Delete its log and state, too; also of one that ended already.")
@click.pass_obj
def command(world: World, /, *, names: tuple[str, ...], length: str, named: str, rm: bool) -> None:
    """Ask containers to end, kill those that do not, and print their names.

    NAME is a name, an ID or the beginning of an ID. What a container printed, and its exit code, are kept unless --rm
    is given to this command or to `wherry run`.
    """
    from wherry.app.running import discard_container, find_container, forget_container, stop_container
    from wherry.settings.sizes import parse_duration

    seconds, number = parse_duration(length, "--time"), signal_number(named) if named else 0
    found = []
    for name in names:
        try:
            found.append(find_container(world, name))
        except NotFound:
            if not (rm and discard_container(world, name)):
                raise
            world.say(name)
    for one in found:
        stop_container(one, signal=number, seconds=seconds)
        if rm and not one.record.removes:
            forget_container(world, one)
        world.say(one.record.name)


def signal_number(text: str) -> int:
    """Read a signal: `HUP`, `SIGHUP` or a number.

    Raises:
        InvalidUsage: it is none.
    """
    import signal

    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    name = text.upper().removeprefix("SIG")
    if (found := getattr(signal.Signals, f"SIG{name}", None)) is not None:
        return int(found)
    raise InvalidUsage(f"{text}: not a signal", hint="write it as TERM, SIGHUP or 9")
