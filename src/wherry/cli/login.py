"""`wherry login [REGISTRY]`: who we are to a registry, tried and then kept where docker and crane find it."""

import getpass

import click

from wherry.cli.world import World
from wherry.errors import InvalidUsage


@click.command("login")
@click.argument("registry", default="docker.io")
@click.option("-u", "--username", metavar="NAME", help="Who to be.")
@click.option("-p", "--password", metavar="WORD", help="Password or token; anyone who lists processes sees it.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@click.option("--insecure", is_flag=True, help="Speak plain HTTP, or to a host whose certificate isn't trusted.")
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
    """Try a name and a password with REGISTRY, and keep them in Docker's config; Docker Hub where none is named.

    A helper that the config names keeps them; without one they stand in the file, which is not encrypted.
    """
    from wherry.app.credentials import keep, registry_named, try_out
    from wherry.settings.docker_config import Credential

    registry = registry_named(registry)
    if password and password_stdin:
        raise InvalidUsage("--password and --password-stdin: one of them is enough", hint="prefer --password-stdin")
    if password:
        world.note("warning: a password on the command line is seen by whoever lists processes; use --password-stdin")
    if password_stdin:
        password = world.stdin.read().rstrip("\r\n")
    if not world.stdin.isatty() and not (username and password):
        raise InvalidUsage("no name and password", hint="give -u NAME --password-stdin where there is no terminal")
    username = username or click.prompt("Username", err=True)
    password = password or getpass.getpass("Password: ")
    if insecure:
        world.insecure.add(registry)
    credential = Credential(str(username), str(password))
    try_out(world, registry, credential)
    world.note(f"logged in to {registry} as {username}; {keep(world, registry, credential)}")
