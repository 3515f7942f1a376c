"""`wherry rm NAME…`: take names away."""

import click

from wherry.cli.complete import images
from wherry.cli.world import World
from wherry.errors import InvalidUsage, WherryError


@click.command("rm")
@click.argument("names", metavar="NAME...", nargs=-1, shell_complete=images)
@click.option("--all", "everything", is_flag=True, help="Take all names away.")
@click.pass_obj
def command(world: World, /, *, names: tuple[str, ...], everything: bool) -> int:
    """Take NAMEs away from images of the local store.

    The bytes stay until `wherry gc` deletes what no name leads to. What can't be taken away is told, and the others
    go all the same.
    """
    if everything == bool(names):
        raise InvalidUsage("rm takes either names or --all", hint="`wherry images` lists the names")
    from wherry.report.views import plain

    taken = failed = 0
    for name in tuple(world.store.tags()) if everything else names:
        try:
            root = world.store.untag(name)
        except WherryError as error:
            world.fail(error)
            failed = failed or error.exit_code
        else:
            taken += 1
            world.say(f"{plain(name)}@{root.digest}" if name != root.digest else name)
    if taken:
        world.note("`wherry gc` frees the bytes that no name leads to now")
    return failed
