"""`wherry debug TARGET`: a shell next to a process, a container, an image or a pod."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import HostUnable, InvalidUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.app.debug_options import DebugOptions, DebugReport


@click.command("debug", cls=GroupedCommand)
@click.argument("target", metavar="TARGET", shell_complete=images)
@click.argument("arguments", metavar="[-- COMMAND [ARG]...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--check", "only_check", is_flag=True, help="Print what is possible with TARGET, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print the same values as JSON.")
@click.option(
    "--toolbox",
    default="",
    metavar="FILE|FOLDER|IMAGE",
    help="A static program, a folder or an image with the tools. [default: busybox, or one that wherry builds]",
)
@click.option("--root", is_flag=True, help="Be user 0 of the target's user namespace, not the target's user.")
@click.option("--copy-out", default="", metavar="PATH", help="Copy a file or folder of the target to this machine.")
@click.option(
    "-o", "--output", default="", metavar="PLACE", help="Where --copy-out writes. [default: PATH's last name]"
)
@click.option("-n", "--namespace", default="", metavar="NAME", help="Namespace of a pod. [default: the context's]")
@click.option("--context", default="", metavar="NAME", help="kubectl's context for a pod. [default: the one in use]")
@click.option("-q", "--quiet", is_flag=True, help="Print no notes.")
@click.pass_obj
def command(  # noqa: PLR0913 - one each
    world: World,
    /,
    *,
    target: str,
    arguments: tuple[str, ...],
    only_check: bool,
    as_json: bool,
    toolbox: str,
    root: bool,
    copy_out: str,
    output: str,
    namespace: str,
    context: str,
    quiet: bool,
) -> int:
    """Open a shell next to TARGET, as its own user, in its namespaces; nothing is written to it.

    TARGET is a PID; the name or id of a container of `wherry run`, Docker, Podman, containerd, runc or crun;
    pod/NAME[/CONTAINER]; or an image, which is entered in the sandbox. KIND/NAME says which is meant where several have
    the name, such as docker/api, image/api:dev or pid/4711. With a COMMAND, it runs that and exits with its exit code.

    No privilege is needed for what you started yourself in a user namespace. --check says what is possible, and with
    what it could be changed; it exits 1 where no shell can be opened.
    """
    if not sys.platform.startswith("linux"):
        raise HostUnable("debugging needs Linux", hint="run it on Linux")
    if as_json and not only_check:
        raise InvalidUsage("--json goes with --check", hint="add --check")
    if output and not copy_out:
        raise InvalidUsage("-o goes with --copy-out", hint="add --copy-out PATH")
    from wherry.app.debug_options import DebugOptions
    from wherry.app.debugging import check_debug, debug

    options = DebugOptions(
        command=arguments,
        toolbox=toolbox,
        root=root,
        terminal=world.stdin.isatty() and world.stdout.isatty(),
        environment={name: world.environment[name] for name in ("TERM", "LANG") if name in world.environment},
        namespace=namespace,
        context=context,
    )
    if only_check:
        report = check_debug(world, target, options)
        _print(world, report, as_json=as_json)
        return 0 if report.possible else 1

    def notice(line: str) -> None:
        if not quiet:
            world.note(f"  {line}")

    if copy_out:
        return _copy(world, target, copy_out, output, options, quiet=quiet)
    world.stdout.flush()
    return debug(world, target, options, notice=notice)


def _copy(world: World, target: str, path: str, output: str, options: "DebugOptions", *, quiet: bool) -> int:
    from wherry.app.debug_copy import copy_out

    if options.command:
        raise InvalidUsage("--copy-out takes no command", hint="call it once for each")
    name = Path(path).name or "root"
    destination = world.cwd / (output or name)
    if output and destination.is_dir():
        destination /= name
    written = copy_out(
        world, target, path, destination, options, notice=lambda line: None if quiet else world.note(f"  {line}")
    )
    world.say(f"{destination}  {written} {'entry' if written == 1 else 'entries'}")
    return 0


def _print(world: World, report: "DebugReport", *, as_json: bool) -> None:
    if as_json:
        import json

        checks = [
            {"name": one.name, "state": one.state, "found": one.found, "remedy": one.remedy} for one in report.checks
        ]
        document = {
            "version": 1, "target": report.target, "kind": report.kind, "found": report.found, "pid": report.pid,
            "possible": report.possible, "checks": checks,
        }  # fmt: skip
        world.say(json.dumps(document, indent=2))
        return
    world.say(report.found)
    world.show(_lines(report))


def _lines(report: "DebugReport") -> "Iterator[str]":
    """Write one line a check, and the remedy below it."""
    width = max(len(one.name) for one in report.checks)
    for one in report.checks:
        state = "" if one.state == "info" else f"{one.state}: "
        yield f"  {one.name:<{width}}  {state}{one.found}"
        if one.remedy:
            yield f"  {'':<{width}}  {one.remedy}"
