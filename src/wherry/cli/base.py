"""`wherry base list|build|update`: bases of Debian packages."""

import os
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import platforms as offered
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.app.deb_bases import WantedBase


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
@click.option("--debian", metavar="RELEASE", help="build: the Debian of a deb: base: 13 or 12. [default: 13]")
@click.option(
    "--keep", multiple=True, metavar="GROUP", help="build: keep files that are left out otherwise: docs or locales."
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
    debian: str | None,
    keep: tuple[str, ...],
    pull: bool,
    offline: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Work with bases that are made of signed Debian packages.

    `list` shows the bases that need no registry. `build` stores one as an image, with the packages that wherry.lock
    pins, else the newest; BASE is deb:static and its like, deb:with:PACKAGE,… (these and all that they need), or
    declared: the [base] of wherry.toml. It shows the packages, the bytes that were left out, and what maintainer
    scripts, which are never run, would have done. `update` pins the newest packages in wherry.lock, and shows what
    changes.
    """
    if name and action != "build":
        raise InvalidUsage(f"base {action} {name}: takes no BASE", hint="remove it; `wherry base list` shows all")
    if action == "list":
        return _list(world, as_json=as_json)
    if action == "update":
        return _update(world, write=not dry_run, as_json=as_json)
    if not name:
        raise InvalidUsage("base build: which base?", hint="name one, such as deb:static; `wherry base list` shows all")
    from wherry.app.deb_bases import WantedBase
    from wherry.platform import Platform
    from wherry.settings.values import parse_platforms

    here = (Platform.of("linux", os.uname().machine),)
    wanted = WantedBase(
        name=name,
        platforms=parse_platforms(platforms) or here,
        tag=tag or "",
        debian=debian,
        keep=keep,
        offline=offline,
        pull=pull,
    )
    return _build(world, wanted, as_json=as_json)


def _build(world: World, wanted: "WantedBase", *, as_json: bool) -> int:
    from wherry.app.deb_bases import build_base
    from wherry.report.base import contents_lines
    from wherry.report.progress import progress_for

    mode = "quiet" if as_json else "auto"
    with progress_for(mode, world.stderr, world.environment, world.clock) as world.progress:
        built = build_base(world, wanted)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(built).decode())
        return 0
    for line in contents_lines(built):
        world.note(line)
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
        if update.written or not rows:
            world.note("wrote wherry.lock" if update.written else "wherry.lock pins the newest packages")
    return 1 if update.changes and not write else 0
