"""`wherry trace PID|IMAGE|COMMAND`: what a program does, as JSON lines."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import HostUnable, NotFound

if TYPE_CHECKING:
    from wherry.sandbox.spec import TraceEvent


@click.command(
    "trace", cls=GroupedCommand, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False}
)
@click.argument("target", metavar="PID|IMAGE|COMMAND", shell_complete=images)
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--for", "length", default="", metavar="TIME", help="Trace for at most this long. [default: to its end]")
@click.option(
    "--network",
    type=click.Choice(["none", "default", "host"]),
    default="none",
    help="Network of an image. none: loopback only; default, host: as for `wherry run`.",
)
@click.pass_obj
def command(world: World, /, *, target: str, arguments: tuple[str, ...], length: str, network: str) -> int:
    """Print the files, sockets, programs and signals of a program and its children as JSON lines.

    A number is the PID of a running process: it is traced until it ends or until Ctrl-C, and then runs on. A name of
    an image in the local store is run in the sandbox, with ARG in place of its command. Anything else is a command of
    this machine; what it prints goes to stderr, and its exit code is ours. Put options before the target.

    No privilege is needed for your own processes. A running process stops at each of its system calls, twice, so one
    that makes many is slowed down a lot; an image or a command stops only at the calls that are reported.
    """
    if not sys.platform.startswith("linux"):
        raise HostUnable("tracing needs Linux", hint="run it on Linux")
    from wherry.settings.sizes import parse_duration

    seconds = parse_duration(length, "--for") if length else 0.0
    hear = _printer(world)
    if target.isdecimal() and not arguments:
        from wherry.runtime.trace.attached import trace_process

        trace_process(int(target), hear, seconds=seconds)
        return 0
    if target in world.store.tags() or ("/" not in target and ":" in target):
        return _trace_image(world, target, arguments, seconds, network, hear)
    from wherry.host.process import which
    from wherry.runtime.trace.attached import trace_command

    found = str(world.cwd / target) if "/" in target else which(target, world.environment.get("PATH", "")) or ""
    if not found:
        raise NotFound(
            f"{target}: no image in the local store and no command on PATH", hint="give a PID, an image, or a command"
        )
    return trace_command(found, [target, *arguments], world.environment, world.cwd, hear, seconds=seconds)


def _trace_image(
    world: World,
    name: str,
    arguments: tuple[str, ...],
    seconds: float,
    network: str,
    hear: "Callable[[TraceEvent], None]",
) -> int:
    from wherry.app.places import find
    from wherry.app.traces import TraceOptions, trace_run

    options = TraceOptions(arguments=arguments, network=network, seconds=seconds, interruptible=True)
    run = trace_run(world, find(world, name), options, notice=lambda line: world.note(f"  {line}"), hear=hear)
    for line in run.outcome.output.decode(errors="replace").splitlines():
        world.note(line)
    return run.outcome.code if run.outcome.ended_by == "exit" else 0


def _printer(world: World) -> "Callable[[TraceEvent], None]":
    import msgspec

    from wherry.runtime.trace.lines import line_of

    def hear(event: "TraceEvent") -> None:
        line = line_of(event)
        if line is not None:
            world.say(msgspec.json.encode(line).decode())

    return hear
