"""`wherry lock`: pin the digests of all bases."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import bases as offered
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import TIMEOUT
from wherry.cli.world import World

if TYPE_CHECKING:
    from wherry.base.deb.mirror import PinnedDeb


@click.command("lock", cls=GroupedCommand)
@click.argument("bases", nargs=-1, metavar="[BASE]...", shell_complete=offered)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a tag now resolves to another digest.")
@click.option("--insecure", is_flag=True, help="Allow plain HTTP and untrusted certificates.")
@TIMEOUT
@click.pass_obj
def command(world: World, /, *, bases: tuple[str, ...], check: bool, insecure: bool) -> int:
    """Write wherry.lock with the current digest of each base of wherry.toml and of each BASE.

    Builds below its directory then use these digests and contact no registry for them. `wherry build --pull` ignores
    it.
    """
    from wherry.app.lockfile import lock
    from wherry.report.terminal import table

    locked = lock(world, bases, write=not check, insecure=insecure)
    if not locked.now and not locked.debs:
        world.note("nothing to lock: no base comes from a registry or from Debian")
        return 0
    rows = [(name, digest, _word(locked.before.get(name, ""), digest)) for name, digest in sorted(locked.now.items())]
    rows += [
        (
            f"{base} {architecture}",
            f"{one.name} {one.version}",
            _changed(one, locked.debs_before.get(base, {}).get(architecture, ())),
        )
        for base, of in sorted(locked.debs.items())
        for architecture, packages in sorted(of.items())
        for one in packages
    ]
    for line in table(rows):
        world.say(line)
    if locked.changed and not check:
        world.note(f"wrote {locked.file.name}")
    return 1 if locked.changed and check else 0


def _word(before: str, now: str) -> str:
    if not before:
        return "new"
    return "unchanged" if before == now else f"was {before}"


def _changed(now: "PinnedDeb", before: "Sequence[PinnedDeb]") -> str:
    was = next((one for one in before if one.name == now.name), None)
    return _word(was.version if was else "", now.version) if was is None or was != now else "unchanged"
