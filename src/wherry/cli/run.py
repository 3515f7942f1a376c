"""`wherry run IMAGE [ARG…]`: a container, here and now."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World
from wherry.errors import HostUnable, InvalidUsage, NotFound
from wherry.platform import Platform

_LARGEST_LIST = 1 << 20


@click.command("run", context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set a variable; without a value, pass ours on."
)
@click.option(
    "--env-file",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read variables from a file, a line each.",
)
@click.option("-v", "--volume", multiple=True, metavar="SRC:DST[:ro]", help="Show a file or folder of ours in it.")
@click.option("-w", "--workdir", metavar="FOLDER", help="Start in another folder.")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="Run as another user, by name or number.")
@click.option("--entrypoint", metavar="PROGRAM", help="Start another program.")
@click.option(
    "--platform",
    metavar="PLATFORM",
    help="Run the image of another platform; qemu-user emulates it.",
    shell_complete=platforms,
)
@click.option("--read-only", is_flag=True, help="Let it write to /tmp, /dev/shm and volumes only.")
@click.option("-h", "--hostname", default="", metavar="NAME", help="Name the machine it sees.")
@click.option("-i", "--interactive", is_flag=True, help="Give it our standard input.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("--rm", is_flag=True, help="Nothing: a container of wherry always leaves nothing behind.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing about it.")
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
    interactive: bool,
    tty: bool,
    rm: bool,  # noqa: ARG001 - accepted because people are used to it
    quiet: bool,
) -> int:
    """Run IMAGE here, rootless, and exit with its exit code.

    IMAGE is a name or digest of the local store, a layout folder or an archive; a name with a registry that is not in
    the store is run from there. Its network is this machine's; what it writes outside of volumes is gone when it ends.
    Put options before IMAGE: all behind it goes to the program.
    """
    if not sys.platform.startswith("linux"):
        raise HostUnable(
            f"{image} can't be run: containers need Linux, and this is {sys.platform}",
            hint="run it on Linux; building, storing and inspecting images works here",
        )
    from wherry.app.containers import run
    from wherry.runtime.run import Wishes, parse_volume

    wishes = Wishes(
        arguments=arguments,
        entrypoint=entrypoint,
        environment=dict(_variables(world, env, env_file)),
        folder=workdir,
        user=user,
        volumes=tuple(parse_volume(text, world.cwd) for text in volume),
        hostname=hostname,
        read_only=read_only,
        stdin=interactive,
        terminal=tty and _has_terminal(world, quiet=quiet),
    )

    def notice(line: str) -> None:
        if not quiet:
            world.note(f"  {line}")

    world.stdout.flush()
    return run(world, image, wishes, platform=Platform.parse(platform) if platform else None, notice=notice)


def _has_terminal(world: World, *, quiet: bool) -> bool:
    if world.stdout.isatty():
        return True
    if not quiet:
        world.note("  no terminal: standard output is none, so -t does nothing")
    return False


def _variables(world: World, given: Sequence[str], files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Give the variables of files, then those of the command line, which win; one without a value is ours, if set."""
    lines = [line.strip() for file in files for line in _lines(world.cwd / file)]
    for line in (*(line for line in lines if line and not line.startswith("#")), *given):
        name, equals, value = line.partition("=")
        if not name or "\0" in line:
            raise InvalidUsage(f"{line!r} is no variable", hint="write it as NAME=VALUE")
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
            f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8'}", hint="name a text file with --env-file"
        ) from error
