"""`wherry run IMAGE [ARG…]`: run a container."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import HostUnable, InvalidUsage, NotFound
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.runtime.health import HealthOptions
    from wherry.sandbox.control_groups import Limits

_LARGEST_LIST = 1 << 20
_MOST_PROCESSES = 1 << 22
"""Linux has no more process ids (PID_MAX_LIMIT)."""


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
@click.option("--no-dev", is_flag=True, help="Give the container a /dev with null and zero, and nothing else.")
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
    "--pids-limit",
    type=click.IntRange(-1, _MOST_PROCESSES),
    default=-1,
    help="Maximum number of processes; 0 and -1: no limit, as in Docker. [default: no limit]",
)
@click.option("-m", "--memory", default="", metavar="SIZE", help="Most memory, such as 512m or 2g. [default: no limit]")
@click.option("--cpus", default="", metavar="NUMBER", help="Most processors, such as 1.5. [default: no limit]")
@click.option("-d", "--detach", is_flag=True, help="Run in the background, and print the container's ID.")
@click.option("--name", default="", metavar="NAME", help="Name of the container. [default: made of the image's]")
@click.option(
    "--health",
    is_flag=True,
    help="Fail without a health check; with -d, wait until it says healthy, and stop the container if it does not.",
)
@click.option("--health-cmd", metavar="COMMAND", help="Check health by this in a shell, or by a JSON list of words.")
@click.option("--health-interval", default="", metavar="TIME", help="Time between two checks, such as 30s.")
@click.option("--health-timeout", default="", metavar="TIME", help="Most time that a check may take.")
@click.option("--health-start-period", default="", metavar="TIME", help="Time in which failed checks do not count.")
@click.option(
    "--health-retries", type=click.IntRange(1, 1_000_000), help="Failed checks in a row that make it unhealthy."
)
@click.option("--no-healthcheck", is_flag=True, help="Do not run the image's HEALTHCHECK.")
@click.option("-i", "--interactive", is_flag=True, help="Keep stdin open.")
@click.option("-t", "--tty", is_flag=True, help="Allocate a terminal.")
@click.option(
    "--rm", is_flag=True, help="With -d, keep nothing once it ended; in the foreground nothing is kept anyway."
)
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
    no_dev: bool,
    hostname: str,
    network: str,
    publish: tuple[str, ...],
    cap_add: tuple[str, ...],
    cap_drop: tuple[str, ...],
    security_opt: tuple[str, ...],
    pids_limit: int,
    memory: str,
    cpus: str,
    detach: bool,
    name: str,
    interactive: bool,
    tty: bool,
    rm: bool,
    quiet: bool,
    **health: object,
) -> int:
    """Run IMAGE on this machine, rootless, and exit with its exit code.

    IMAGE is a name or digest of the local store, a layout folder or an archive; a name with a registry that is not in
    the local store is read from the registry. The container has a network of its own where pasta or slirp4netns is
    installed: publish ports with -p. What it writes outside volumes is discarded when it exits. Put options before
    IMAGE: everything after it is passed to the program.

    With -d it runs in the background, and its ID is printed: `wherry ps`, `logs`, `exec` and `stop` take the ID or the
    name. Its log and its exit code are kept until `wherry stop --rm`.
    """
    _check_linux(image)
    from wherry.app.supervised import DetachOptions, KeepOptions, run, run_detached
    from wherry.runtime.records import check_name
    from wherry.runtime.run import RunOptions, parse_volume
    from wherry.runtime.security import parse_security

    if no_dev and tty:
        raise InvalidUsage("-t with --no-dev: a terminal needs /dev/ptmx and /dev/tty", hint="remove -t or --no-dev")
    security = replace(
        parse_security(security_opt, cap_add, cap_drop, world.cwd),
        network=network,
        ports=_ports(publish, network),
        few_devices=no_dev,
    )
    options = RunOptions(
        arguments=arguments,
        entrypoint=entrypoint,
        environment=dict(variables(world, env, env_file)),
        folder=workdir,
        user=user,
        volumes=tuple(parse_volume(text, world.cwd) for text in volume),
        hostname=hostname,
        read_only=read_only,
        stdin=interactive and not detach,
        security=security,
        limits=_limits(pids_limit, memory, cpus),
        terminal=tty and not detach and has_terminal(world, quiet=quiet),
    )
    keep = KeepOptions(name=check_name(name) if name else "", removes=rm, health=_health(health))
    chosen = Platform.parse(platform) if platform else None

    def notice(line: str) -> None:
        if not quiet:
            world.note(f"  {line}")

    world.stdout.flush()
    if not detach:
        from wherry.app.history_record import record_run

        began = world.clock()
        if not quiet:
            world.show_preparing()
        code = run(world, image, options, platform=chosen, notice=notice, keep=keep)
        record_run(world, image, code, began=began)
        return code
    if interactive or tty:
        notice("-i and -t are ignored with -d: `wherry exec -it` gives a terminal in the container")
    how = DetachOptions(platform=chosen, keep=keep, healthy=bool(health["health"]))
    world.stderr.flush()
    started = run_detached(world, image, options, how, notice=notice)
    notice(
        f"{started.record.name}: see `wherry logs {started.record.name}`; end it by `wherry stop {started.record.name}`"
    )
    world.say(started.record.id)
    return 0


def _limits(pids_limit: int, memory: str, cpus: str) -> "Limits":
    from wherry.sandbox.control_groups import Limits, parse_memory, parse_processors

    return Limits(max(pids_limit, 0), parse_memory(memory) if memory else 0, parse_processors(cpus) if cpus else 0.0)


def _health(given: "Mapping[str, object]") -> "HealthOptions":
    from wherry.runtime.health import HealthOptions
    from wherry.settings.sizes import parse_duration

    def seconds(key: str) -> float | None:
        text = str(given[key] or "")
        return parse_duration(text, "--" + key.replace("_", "-")) if text else None

    command, retries = given["health_cmd"], given["health_retries"]
    if given["no_healthcheck"] and (command or given["health"]):
        raise InvalidUsage("--no-healthcheck with --health or --health-cmd: only one of them", hint="remove one")
    return HealthOptions(
        command="" if given["no_healthcheck"] else str(command) if command else None,
        interval=seconds("health_interval"),
        timeout=seconds("health_timeout"),
        start_period=seconds("health_start_period"),
        retries=retries if isinstance(retries, int) else None,
        required=bool(given["health"]),
    )


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


def has_terminal(world: World, *, quiet: bool) -> bool:
    """Report whether stdout is a terminal, and say it where `-t` does nothing."""
    if world.stdout.isatty():
        return True
    if not quiet:
        world.note("  stdout is not a terminal: -t is ignored")
    return False


def variables(world: World, given: Sequence[str], files: Sequence[Path]) -> Iterator[tuple[str, str]]:
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
