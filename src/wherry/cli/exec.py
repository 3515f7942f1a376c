"""`wherry exec NAME PROGRAM [ARG…]`: run one more program in a container."""

from pathlib import Path

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.run import has_terminal, variables
from wherry.cli.world import World


@click.command(
    "exec", cls=GroupedCommand, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False}
)
@click.argument("name", metavar="NAME")
@click.argument("argv", metavar="PROGRAM [ARG]...", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set an environment variable.")
@click.option(
    "--env-file", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Read variables from a file."
)
@click.option("-w", "--workdir", metavar="FOLDER", help="Working directory. [default: the container's]")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="Run as this user. [default: the container's]")
@click.option("-i", "--interactive", is_flag=True, help="Keep stdin open.")
@click.option("-t", "--tty", is_flag=True, help="Allocate a terminal.")
@click.pass_obj
def command(  # noqa: PLR0913 - docker's options, one each
    world: World,
    /,
    *,
    name: str,
    argv: tuple[str, ...],
    env: tuple[str, ...],
    env_file: tuple[Path, ...],
    workdir: str | None,
    user: str | None,
    interactive: bool,
    tty: bool,
) -> int:
    """Run PROGRAM in a container that runs, and exit with its exit code.

    It has the container's namespaces, environment, limits, capabilities and system call filter. The program has to be
    in the image; it ends with this command. Put options before NAME: everything after it is passed to the program.
    """
    from wherry.app.running import EnterOptions, enter_container

    options = EnterOptions(
        environment=dict(variables(world, env, env_file)),
        folder=workdir,
        user=user,
        stdin=interactive,
        terminal=tty and has_terminal(world, quiet=False),
    )
    world.stdout.flush()
    return enter_container(world, name, argv, options, notice=lambda line: world.note(f"  {line}"))
