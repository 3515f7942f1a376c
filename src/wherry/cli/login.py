"""`wherry login [REGISTRY]`: verify credentials and save them where docker and crane find them."""

import getpass

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import TIMEOUT
from wherry.cli.world import World
from wherry.errors import InvalidUsage


@click.command("login", cls=GroupedCommand)
@click.argument("registry", default="docker.io")
@click.option("-u", "--username", metavar="NAME", help="User name.")
@click.option("-p", "--password", metavar="WORD", help="Password or token; visible to anyone who can list processes.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@click.option("--insecure", is_flag=True, help="Allow plain HTTP and untrusted certificates.")
@TIMEOUT
@click.pass_obj
def command(
    world: World,
    /,
    *,
    registry: str,
    username: str | None,
    password: str | None,
    password_stdin: bool,
    insecure: bool,
) -> None:
    """Verify credentials with REGISTRY (default: Docker Hub) and save them in Docker's config.

    A credential helper named in the config stores them; without one they are written to the file unencrypted.
    """
    from wherry.app.credentials import keep, registry_named, try_out
    from wherry.settings.docker_config import Credential

    registry = registry_named(registry)
    if password and password_stdin:
        raise InvalidUsage("--password and --password-stdin cannot be used together", hint="use --password-stdin")
    if password:
        world.note(
            "warning: a password on the command line is visible to anyone who can list processes; use --password-stdin"
        )
    if password_stdin:
        password = world.stdin.read().rstrip("\r\n")
    if not world.stdin.isatty() and not (username and password):
        raise InvalidUsage(
            "user name and password are missing", hint="without a terminal, use -u NAME --password-stdin"
        )
    username = username or click.prompt("Username", err=True)
    password = password or getpass.getpass("Password: ")
    if insecure:
        world.insecure.add(registry)
    credential = Credential(str(username), str(password))
    try_out(world, registry, credential)
    world.note(f"logged in to {registry} as {username}; {keep(world, registry, credential)}")
