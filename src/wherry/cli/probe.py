"""`wherry probe sigpipe TARGET`: watch a program for SIGPIPE."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import HostUnable, InvalidUsage

if TYPE_CHECKING:
    from wherry.analysis.sigpipe_document import SigpipeDocument


@click.command("probe", cls=GroupedCommand)
@click.argument("what", metavar="sigpipe", type=click.Choice(["sigpipe"]))
@click.argument("target", metavar="PID|NAME|IMAGE|COMMAND", shell_complete=images)
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--for", "length", default="", metavar="TIME", help="Watch for at most this long. [default: to its end]")
@click.option(
    "--by",
    type=click.Choice(["auto", "ebpf", "tracer"]),
    default="auto",
    help="ebpf: bpftrace, as root, of a process that runs; tracer: our own, as any user. [default: ebpf where it can]",
)
@click.option("--metrics", metavar="FILE", help="Write the counts for Prometheus' textfile collector, again and again.")
@click.option("--every", default="1s", metavar="TIME", help="Time between two writes of --metrics. [default: 1s]")
@click.option("--values", multiple=True, metavar="FILE", help="Timeouts by name, as `wherry timeouts` reads them.")
@click.option(
    "--network", type=click.Choice(["none", "default", "host"]), default="default", help="Network of an image."
)
@click.option("-p", "--publish", multiple=True, metavar="[ADDRESS:]PORT:PORT", help="Publish a port of an image.")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    world: World,
    /,
    *,
    what: str,
    target: str,
    arguments: tuple[str, ...],
    length: str,
    by: str,
    metrics: str | None,
    every: str,
    values: tuple[str, ...],
    network: str,
    publish: tuple[str, ...],
    as_json: bool,
) -> int:
    """Count a program's writes to connections and pipes without a reader, and say who had closed them, and why.

    A number is the PID of a running process, a name one of `wherry ps`; an image of the local store is run in the
    background meanwhile; anything else is a command of this machine. Put `--` before a command with options. It is
    watched until it ends, until --for is over, or until Ctrl-C; a process that ran before runs on.

    As root and with bpftrace, a process is watched by eBPF, at little cost. Else it stops at its reads and writes for
    our own tracer; a process that ran before at all of its system calls. That slows it down.
    """
    if not sys.platform.startswith("linux"):
        raise HostUnable("watching a program needs Linux", hint="run it on Linux")
    assert what == "sigpipe"  # noqa: S101 - click takes no other
    from wherry.app.probes import SigpipeOptions, probe_sigpipe
    from wherry.runtime.security import parse_port
    from wherry.settings.sizes import parse_duration

    pause = parse_duration(every, "--every")
    if not pause:
        raise InvalidUsage("--every 0: not a pause", hint="write it as 1s or 15s")
    file = world.cwd / metrics if metrics else None
    options = SigpipeOptions(
        arguments=arguments,
        by=by,
        seconds=parse_duration(length, "--for") if length else 0.0,
        network=network,
        ports=tuple(map(parse_port, publish)),
        values=values,
        every=pause,
        report=lambda found: _write(file, found),
        notice=lambda line: world.note(f"  {line}"),
    )
    _write(file, None)
    found, code = probe_sigpipe(world, target, options)
    _write(file, found)
    if as_json:
        import msgspec

        world.say(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        from wherry.report.sigpipe import sigpipe_lines

        for line in sigpipe_lines(found):
            world.say(line)
    return code


def _write(file: Path | None, found: "SigpipeDocument | None") -> None:
    """Replace the file of metrics whole; without counts, only see that it can be."""
    if file is None:
        return
    from wherry.report.sigpipe import sigpipe_metrics
    from wherry.store.files import replacing

    with replacing(file) as out:
        out.write(sigpipe_metrics(found).encode() if found is not None else b"")
