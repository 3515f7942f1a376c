"""`wherry pack BINARY`: a packed program, with the whole price of it."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("pack", cls=GroupedCommand)
@click.argument("name", metavar="BINARY")
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--with", "way", type=click.Choice(["stub", "upx"]), help="Only this way. [default: both, to compare]")
@click.option("-o", "--output", default="", metavar="FILE", help="Write the packed program to this file; needs --with.")
@click.option("--start", is_flag=True, help="Start it with ARG, and measure processor time and memory.")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    world: World,
    /,
    *,
    name: str,
    arguments: tuple[str, ...],
    way: str | None,
    output: str,
    start: bool,
    as_json: bool,
) -> int:
    """Pack BINARY so that it unpacks itself at each start, and print what that saves and costs; no build does it.

    Ways: wherry's own stub (amd64 and arm64, Go programs without cgo), and UPX --best --lzma where it is installed.
    Layers are compressed anyway, so what is pulled hardly changes; memory, processor time at each start and what
    scanners see do. Without -o, nothing is written. Put -- before arguments that start with a dash.
    """
    from wherry.app.pack import WAYS, pack_program
    from wherry.errors import InvalidUsage

    if arguments and not start:
        raise InvalidUsage("arguments are for --start, and nothing is started without it", hint="add --start")
    ways = (way,) if way else WAYS
    found = pack_program(world, name, ways=ways, output=output, start=arguments if start else None)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(found).decode())
        return 0
    from wherry.report.pack import lines_of_packed

    for line in lines_of_packed(found):
        world.say(line)
    return 0
