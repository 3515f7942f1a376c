"""`wherry run IMAGE [ARG…]`: run a container."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import HostUnable, InvalidUsage, NotFound
from wherry.platform import Platform

_LARGEST_LIST = 1 << 20


@click.command(
    "run", cls=GroupedCommand, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False}
)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-e",
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set an environment variable; without a value, pass the host's value.",
)
@click.option(
    "--env-file",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read environment variables from a file, one a line.",
)
@click.option(
    "-v",
    "--volume",
    multiple=True,
    metavar="SRC:DST[:ro]",
    help="Bind-mount a host file or directory into the container.",
)
@click.option("-w", "--workdir", metavar="FOLDER", help="Working directory in the container.")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="Run as this user, by name or number.")
@click.option("--entrypoint", metavar="PROGRAM", help="Override the image's entry point.")
@click.option(
    "--platform",
    metavar="PLATFORM",
    help="Run the image for another platform; emulated by qemu-user.",
    shell_complete=platforms,
)
@click.option(
    "--read-only", is_flag=True, help="Make the root file system read-only, except /tmp, /dev/shm and volumes."
)
@click.option("--hostname", default="", metavar="NAME", help="Host name in the container.")
@click.option(
    "--network",
    type=click.Choice(["default", "host", "none"]),
    default="default",
    help="default: a network of its own by pasta or slirp4netns; host: the host's; none: loopback only.",
)
@click.option(
    "-p",
    "--publish",
    multiple=True,
    metavar="[ADDRESS:]PORT:PORT",
    help="Publish a port of the container on this machine, on 127.0.0.1 unless an address is given.",
)
@click.option("--cap-add", multiple=True, metavar="NAME", help="Add a capability, or ALL, to Docker's fourteen.")
@click.option("--cap-drop", multiple=True, metavar="NAME", help="Drop a capability, or ALL.")
@click.option(
    "--security-opt",
    multiple=True,
    metavar="OPTION",
    help="no-new-privileges, seccomp=FILE (a profile as Docker has it) or seccomp=unconfined.",
)
@click.option(
    "--pids-limit", type=click.IntRange(min=-1), default=-1, help="Maximum number of processes. [default: no limit]"
)
@click.option("-i", "--interactive", is_flag=True, help="Keep stdin open.")
@click.option("-t", "--tty", is_flag=True, help="Allocate a terminal.")
@click.option("--rm", is_flag=True, help="Accepted for docker compatibility; containers are always removed.")
@click.option("-q", "--quiet", is_flag=True, help="Print no notes.")
@click.pass_obj
def command(  # noqa: PLR0913 - docker's options, one each
    world: World,
    /,
    *,
    image: str,
    arguments: tuple[str, ...],
    env: tuple[str, ...],
    env_file: tuple[Path, ...],
    volume: tuple[str, ...],
    workdir: str | None,
    user: str | None,
    entrypoint: str | None,
    platform: str | None,
    read_only: bool,
    hostname: str,
    network: str,
    publish: tuple[str, ...],
    cap_add: tuple[str, ...],
    cap_drop: tuple[str, ...],
    security_opt: tuple[str, ...],
    pids_limit: int,
    interactive: bool,
    tty: bool,
    rm: bool,  # noqa: ARG001 - accepted because people are used to it
    quiet: bool,
) -> int:
    """Run IMAGE on this machine, rootless, and exit with its exit code.

    IMAGE is a name or digest of the local store, a layout folder or an archive; a name with a registry that is not in
    the local store is read from the registry. The container has a network of its own where pasta or slirp4netns is
    installed: publish ports with -p. What it writes outside volumes is discarded when it exits. Put options before
    IMAGE: everything after it is passed to the program.
    """
    _check_linux(image)
    from wherry.app.containers import run
    from wherry.runtime.run import RunOptions, parse_volume
    from wherry.runtime.security import parse_security

    security = replace(
        parse_security(security_opt, cap_add, cap_drop, world.cwd),
        network=network,
        ports=_ports(publish, network),
        processes=max(pids_limit, 0),
    )
    options = RunOptions(
        arguments=arguments,
        entrypoint=entrypoint,
        environment=dict(_variables(world, env, env_file)),
        folder=workdir,
        user=user,
        volumes=tuple(parse_volume(text, world.cwd) for text in volume),
        hostname=hostname,
        read_only=read_only,
        stdin=interactive,
        security=security,
        terminal=tty and _has_terminal(world, quiet=quiet),
    )

    def notice(line: str) -> None:
        if not quiet:
            world.note(f"  {line}")

    world.stdout.flush()
    began = world.clock()
    code = run(world, image, options, platform=Platform.parse(platform) if platform else None, notice=notice)
    from wherry.app.history_record import record_run

    record_run(world, image, code, began=began)
    return code


def _check_linux(image: str) -> None:
    if not sys.platform.startswith("linux"):
        raise HostUnable(
            f"cannot run {image}: containers need Linux, and this is {sys.platform}",
            hint="run it on Linux; building, storing and inspecting images also works on this system",
        )


def _ports(publish: Sequence[str], network: str) -> tuple[str, ...]:
    from wherry.runtime.security import parse_port

    if publish and network != "default":
        raise InvalidUsage(
            f"-p with --network {network}: there is nothing to publish to", hint="remove -p or --network"
        )
    return tuple(parse_port(text) for text in publish)


def _has_terminal(world: World, *, quiet: bool) -> bool:
    if world.stdout.isatty():
        return True
    if not quiet:
        world.note("  stdout is not a terminal: -t is ignored")
    return False


def _variables(world: World, given: Sequence[str], files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Give the variables of files, then those of the command line, which win; one without a value is ours, if set."""
    lines = [line.strip() for file in files for line in _lines(world.cwd / file)]
    for line in (*(line for line in lines if line and not line.startswith("#")), *given):
        name, equals, value = line.partition("=")
        if not name or "\0" in line:
            raise InvalidUsage(f"{line!r}: invalid variable", hint="write it as NAME=VALUE")
        if equals:
            yield name, value
        elif name in world.environment:
            yield name, world.environment[name]


def _lines(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8") as stream:
            return stream.read(_LARGEST_LIST).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(
            f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8'}", hint="give a text file in UTF-8"
        ) from error
