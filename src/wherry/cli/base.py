"""`wherry base list|build|update`: bases of Debian packages."""

import os

import click

from wherry.cli.complete import platforms as offered
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage


@click.command("base", cls=GroupedCommand)
@click.argument("action", metavar="list|build|update", type=click.Choice(["list", "build", "update"]))
@click.argument("name", metavar="[BASE]", default="")
@click.option("--tag", "-t", metavar="NAME", help="build: name of the image. [default: BASE, with dashes for colons]")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="LIST",
    shell_complete=offered,
    help="build: target platforms. [default: this machine's]",
)
@click.option("--pull", is_flag=True, help="build: take the newest packages, whatever wherry.lock pins.")
@click.option("--offline", is_flag=True, help="build: ask no mirror.")
@click.option("--dry-run", is_flag=True, help="update: only show what would change; exit 1 if anything would.")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    world: World,
    /,
    *,
    action: str,
    name: str,
    tag: str | None,
    platforms: tuple[str, ...],
    pull: bool,
    offline: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Work with bases that are made of signed Debian packages.

    `list` shows the bases that need no registry. `build` stores one as an image, with the packages that wherry.lock
    pins, else the newest. `update` pins the newest packages in wherry.lock, and shows what changes.
    """
    if name and action != "build":
        raise InvalidUsage(f"base {action} {name}: takes no BASE", hint="remove it; `wherry base list` shows all")
    if action == "list":
        return _list(world, as_json=as_json)
    if action == "update":
        return _update(world, write=not dry_run, as_json=as_json)
    if not name:
        raise InvalidUsage("base build: which base?", hint="name one, such as deb:static; `wherry base list` shows all")
    from wherry.app.deb_bases import build_base
    from wherry.platform import Platform
    from wherry.settings.values import parse_platforms

    wanted = parse_platforms(platforms) or (Platform.of("linux", os.uname().machine),)
    built = build_base(world, name, tag=tag or name.replace(":", "-"), platforms=wanted, offline=offline, pull=pull)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode({"version": 1, "name": built.name, "digest": built.digest}).decode())
    else:
        world.say(f"{built.name}@{built.digest}")
    return 0


def _list(world: World, *, as_json: bool) -> int:
    from wherry.app.deb_bases import known_bases
    from wherry.report.terminal import table

    bases = known_bases()
    if as_json:
        import msgspec

        world.say(msgspec.json.encode({"version": 1, "bases": bases}).decode())
        return 0
    for line in table([(one.name, " ".join(one.content)) for one in bases]):
        world.say(line)
    return 0


def _update(world: World, *, write: bool, as_json: bool) -> int:
    from wherry.app.deb_bases import update_bases
    from wherry.report.terminal import table

    update = update_bases(world, write=write)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(update).decode())
    else:
        rows = [
            (
                f"{one.base} {one.architecture}",
                one.package,
                one.before or "new",
                one.after or "gone",
                f"{one.bytes:+} B",
            )
            for one in update.changes
        ]
        for line in table(rows, right=(4,)):
            world.say(line)
        world.note("wrote wherry.lock" if update.written else "" if rows else "wherry.lock pins the newest packages")
    return 1 if update.changes and not write else 0
