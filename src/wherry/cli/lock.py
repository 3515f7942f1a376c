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
    from wherry.app.lockfile import bases_named, lock_file, looked_up, read_lock, write_lock
    from wherry.report.terminal import table

    file = lock_file(world.cwd)
    before = read_lock(file)
    named = dict.fromkeys((*bases_named(world), *bases, *before))
    if insecure:
        from wherry.oci.reference import Reference

        world.insecure |= {Reference.parse(name).registry for name in named}
    now = looked_up(world, named)
    if not now:
        world.note("no base is in a registry: nothing to lock")
        return 0
    changed = {name for name in now if before.get(name) != now[name]}
    for line in table([(name, now[name], _word(name, before, now)) for name in sorted(now)]):
        world.say(line)
    if changed and not check:
        write_lock(file, now)
        world.note(f"wrote {file.name}")
    return 1 if changed and check else 0


def _word(name: str, before: dict[str, str], now: dict[str, str]) -> str:
    if name not in before:
        return "new"
    return "as before" if before[name] == now[name] else f"was {before[name]}"
