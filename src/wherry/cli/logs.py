"""`wherry logs NAME`: what a container in the background printed."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("logs", cls=GroupedCommand)
@click.argument("name", metavar="NAME")
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("-n", "--tail", type=click.IntRange(min=0), metavar="N", help="Print the last N lines only.")
@click.option("-t", "--timestamps", is_flag=True, help="Print the time before each line, in UTC.")
@click.option("--since", default="", metavar="TIME", help="Leave out lines older than this, such as 10m.")
@click.pass_obj
def command(world: World, /, *, name: str, follow: bool, tail: int | None, timestamps: bool, since: str) -> None:
    """Print what a container that was started with -d printed: its stdout to stdout, its stderr to stderr.

    NAME is a name, an ID or the beginning of an ID. Of each container the last 10 to 20 MB are kept.
    """
    from wherry.app.running import log_lines
    from wherry.settings.sizes import parse_duration

    first = world.clock() - parse_duration(since, "--since") if since else 0.0
    for line in log_lines(world, name, tail=tail, follow=follow, since=first):
        stream = world.stderr if line.stream == "stderr" else world.stdout
        stream.write(f"{line.time} {line.log}" if timestamps else line.log)
        if follow:
            stream.flush()
    world.said = True
