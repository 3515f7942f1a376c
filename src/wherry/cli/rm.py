"""`wherry rm NAME…`: remove image names."""

import sys

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage, NotFound, WherryError


@click.command("rm", cls=GroupedCommand)
@click.argument("names", metavar="NAME...", nargs=-1, shell_complete=images)
@click.option("--all", "everything", is_flag=True, help="Remove all names.")
@click.pass_obj
def command(world: World, /, *, names: tuple[str, ...], everything: bool) -> int:
    """Remove NAMEs from the local store.

    `wherry gc` then frees the blobs that no name references. If a NAME can't be removed, it is reported and the others
    are removed anyway.
    """
    if everything == bool(names):
        raise InvalidUsage("give either names or --all", hint="`wherry images` lists the names")
    from wherry.report.plain import plain

    taken = failed = 0
    for name in tuple(world.store.tags()) if everything else names:
        try:
            root = world.store.untag(name)
        except WherryError as error:
            world.fail(_container(world, name) or error)
            failed = failed or error.exit_code
        else:
            taken += 1
            world.say(f"{plain(name)}@{root.digest}" if name != root.digest else name)
    if taken:
        world.note("run `wherry gc` to free blobs that no name references")
    return failed


def _container(world: World, name: str) -> WherryError | None:
    """Say what a name is that is a container's: people know `docker rm`."""
    if not sys.platform.startswith("linux"):
        return None
    from wherry.app.running import find_container

    try:
        known = find_container(world, name)
    except WherryError:
        return None
    return NotFound(f"{name}: a container, not an image", hint=f"wherry stop --rm {known.record.name}")
