"""`wherry trace PID|NAME|IMAGE|pod/NAME|COMMAND`: what a program does, as JSON lines."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import HostUnable, InvalidUsage, NotFound

if TYPE_CHECKING:
    from wherry.app.debug_options import DebugOptions
    from wherry.sandbox.spec import TraceEvent


@click.command(
    "trace", cls=GroupedCommand, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False}
)
@click.argument("target", metavar="PID|NAME|IMAGE|pod/NAME|COMMAND", shell_complete=images)
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--for", "length", default="", metavar="TIME", help="Trace for at most this long. [default: to its end]")
@click.option(
    "--network",
    type=click.Choice(["none", "default", "host"]),
    default="none",
    help="Network of an image. none: loopback only; default, host: as for `wherry run`.",
)
@click.option("--toolbox", default="", metavar="IMAGE", help="Trace a pod from within it, by an image with wherry.")
@click.option("--root", is_flag=True, help="With --toolbox: be user 0 with SYS_PTRACE, where the namespace allows it.")
@click.option("--attached", is_flag=True, hidden=True, help="Begin with a line on stdin, end with its end.")
@click.option("-n", "--namespace", default="", metavar="NAME", help="Namespace of a pod. [default: the context's]")
@click.option("--context", default="", metavar="NAME", help="kubectl's context for a pod. [default: the one in use]")
@click.pass_obj
def command(  # noqa: PLR0913 - one each
    world: World,
    /,
    *,
    target: str,
    arguments: tuple[str, ...],
    length: str,
    network: str,
    toolbox: str,
    root: bool,
    attached: bool,
    namespace: str,
    context: str,
) -> int:
    """Print the files, sockets, programs and signals of a program and its children as JSON lines.

    A number is the PID of a running process, NAME a container as `wherry debug` finds it (run/NAME, docker/NAME,
    podman/NAME say which): it is traced until it ends or until Ctrl-C, and then runs on. A name of
    an image in the local store is run in the sandbox, with ARG in place of its command. Anything else is a command of
    this machine; what it prints goes to stderr, and its exit code is ours. Put options before the target.

    pod/NAME[/CONTAINER] is traced where it runs: on its node, as root; or from any machine by an ephemeral container,
    with an image that has wherry (--toolbox), as the pod's own user.

    No privilege is needed for your own processes. A running process stops at each of its system calls, twice, so one
    that makes many is slowed down a lot; an image or a command stops only at the calls that are reported.
    """
    if not sys.platform.startswith("linux"):
        raise HostUnable("tracing needs Linux", hint="run it on Linux")
    from wherry.settings.sizes import parse_duration

    seconds = parse_duration(length, "--for") if length else 0.0
    hear = _printer(world)
    if target.startswith("pod/"):
        return _trace_pod(world, target, arguments, _pod_options(toolbox, namespace, context, root=root), seconds, hear)
    if toolbox or root or namespace or context:
        raise InvalidUsage(
            "--toolbox, --root, --namespace and --context go with a pod", hint="name it: wherry trace pod/NAME"
        )
    if process := _process(world, target, arguments):
        from wherry.runtime.trace.attached import trace_process

        if attached:
            _follow_input(world)
        trace_process(process, hear, seconds=seconds)
        return 0
    if target in world.store.tags() or ("/" not in target and ":" in target):
        return _trace_image(world, target, arguments, seconds, network, hear)
    from wherry.host.process import which
    from wherry.runtime.trace.attached import trace_command

    found = str(world.cwd / target) if "/" in target else which(target, world.environment.get("PATH", "")) or ""
    if not found:
        raise NotFound(
            f"{target}: no container runs by this name, no image is in the local store and no command on PATH",
            hint="give a PID, a container, an image, or a command",
        )
    return trace_command(found, [target, *arguments], world.environment, world.cwd, hear, seconds=seconds)


def _process(world: World, target: str, arguments: tuple[str, ...]) -> int:
    """Give the process of a target that runs; 0: it is an image or a command.

    A name is a container's where it is neither an image's nor a command's; those are asked for last.
    """
    from wherry.app.found_containers import container_process, one_container
    from wherry.host.process import which

    if arguments:
        return 0
    if target.isdecimal():
        return int(target)
    if "/" in target or ":" in target:
        return container_process(world, target)
    if target in world.store.tags() or which(target, world.environment.get("PATH", "")):
        return 0
    found = one_container(world, target)
    return found.pid if found else 0


def _follow_input(world: World) -> None:
    """Wait for a line, and interrupt this process where the input ends: `wherry trace pod/…` is at its other end."""
    import os
    import signal
    from threading import Thread

    world.stdin.readline()

    def follow() -> None:
        while world.stdin.readline():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    Thread(target=follow, name="stdin", daemon=True).start()


def _pod_options(toolbox: str, namespace: str, context: str, *, root: bool) -> "DebugOptions":
    from wherry.app.debug_options import DebugOptions

    return DebugOptions(toolbox=toolbox, root=root, namespace=namespace, context=context)


def _trace_pod(
    world: World,
    target: str,
    arguments: tuple[str, ...],
    options: "DebugOptions",
    seconds: float,
    hear: "Callable[[TraceEvent], None]",
) -> int:
    from wherry.app.pod_run import pod_address
    from wherry.app.pod_trace import trace_pod

    if arguments:
        raise InvalidUsage(f"{target}: a pod runs already, so it takes no command", hint=f"wherry trace {target}")
    if options.root and not options.toolbox:
        raise InvalidUsage("--root goes with --toolbox", hint="on the pod's node, run wherry as root")
    name = target.removeprefix("pod/")
    address = pod_address(world, name, namespace=options.namespace, context=options.context)
    world.stdout.flush()
    return trace_pod(world, address, options, hear, notice=lambda line: world.note(f"  {line}"), seconds=seconds)


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
