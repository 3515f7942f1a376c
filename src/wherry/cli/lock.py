"""`wherry lock`: the digests of all bases, written down for builds to use."""

import click

from wherry.cli.complete import bases as offered
from wherry.cli.world import World


@click.command("lock")
@click.argument("bases", nargs=-1, metavar="[BASE]...", shell_complete=offered)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a tag leads elsewhere by now.")
@click.option("--insecure", is_flag=True, help="Speak plain HTTP, or to a host whose certificate isn't trusted.")
@click.pass_obj
def command(world: World, /, *, bases: tuple[str, ...], check: bool, insecure: bool) -> int:
    """Write wherry.lock with the digest that each base of wherry.toml has now, and each BASE besides.

    Builds below its folder then take the bases by these digests, and ask no registry. `wherry build --pull` does not
    look at it.
    """
    from wherry.app.lockfile import lock
    from wherry.report.terminal import table

    locked = lock(world, bases, write=not check, insecure=insecure)
    if not locked.now:
        world.note("no base is in a registry: nothing to lock")
        return 0
    rows = [(name, digest, _word(locked.before.get(name, ""), digest)) for name, digest in sorted(locked.now.items())]
    for line in table(rows):
        world.say(line)
    if locked.changed and not check:
        world.note(f"wrote {locked.file.name}")
    return 1 if locked.changed and check else 0


def _word(before: str, now: str) -> str:
    if not before:
        return "new"
    return "as before" if before == now else f"was {before}"
