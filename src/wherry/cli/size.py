"""`wherry size SUBJECT`: attribute the bytes of Go binaries."""

from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.analysis.size import BinarySize

_WAYS = ("module", "package", "function", "kind", "section")


@click.command("size", cls=GroupedCommand)
@click.argument("subject", metavar="IMAGE|BINARY", shell_complete=images)
@click.option("--platform", metavar="PLATFORM", help="Read only this platform.", shell_complete=platforms)
@click.option("--by", type=click.Choice(_WAYS), default="module", show_default=True, help="What to list.")
@click.option(
    "--top", type=click.IntRange(1), default=25, show_default=True, metavar="N", help="Maximum number of rows."
)
@click.option("--match", default="", metavar="TEXT", help="List only packages or functions with TEXT in their name.")
@click.option("--sections", is_flag=True, help="Read only the section table, without attribution; takes milliseconds.")
@click.option("--full", is_flag=True, help="Attribute all bytes (the default).")
@click.option(
    "--generics",
    type=click.Choice(["compiled", "origin"]),
    default="compiled",
    show_default=True,
    help="Attribute generic functions to the package they are compiled for, or to the one that defines them.",
)
@click.option("--why", metavar="MODULE", help="Show each import chain that ends at MODULE, or to a package.")
@click.option("--without", metavar="MODULE", help="Estimate the bytes saved by removing MODULE, or a package.")
@click.option("--rebuild", is_flag=True, help="With --without: measure it by a rebuild without its functions.")
@click.option(
    "--source",
    metavar="DIR",
    help="Module source directory: for imports, and to link a stripped program again with symbols. "
    "[imports default to the current directory if it is that module]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole document; `wherry help size` has its schema.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    subject: str,
    platform: str | None,
    by: str,
    top: int,
    match: str,
    sections: bool,
    full: bool,  # noqa: ARG001 - the default, by its name
    generics: str,
    why: str | None,
    without: str | None,
    rebuild: bool,
    source: str | None,
    as_json: bool,
) -> None:
    """Show how much of a Go binary each module, package and function takes, and what for.

    Every byte of the file is counted once: as exact if a table of the binary names the owner, shared if several
    packages use it, inferred if only references point to the owner, and unknown otherwise.

    ALONE: bytes saved by removing the module together with packages only it imports. Needs the source (--source DIR or
    the current directory).
    """
    from wherry.app.sizes import size, size_without
    from wherry.report.size import lines_of, measured_lines

    began = world.clock()
    world.kept = []
    wanted = why or without or ""
    document = size(
        world, subject, platform=platform, sections=sections, origin=generics == "origin",
        functions=as_json or by == "function", source=source, routes_to=wanted,
    )  # fmt: skip
    if document.layers:
        from wherry.app.history_record import record_sizes

        record_sizes(world, subject, document)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(document).decode())
        _remember(world, subject, began, needs_source=not sections, source=source)
        return
    if rebuild and not without:
        raise InvalidUsage("--rebuild measures what --without estimates", hint="add --without MODULE")
    for number, binary in enumerate(document.binaries):
        lines = (
            _wanted(binary, wanted, routes=bool(why))
            if wanted
            else lines_of(binary, by="section" if sections else by, most=top, match=match)
        )
        world.show(([""] * bool(number)) + lines)
        if rebuild and without:
            with world.reporter() as progress:
                found = size_without(world, binary, without, source=source, progress=progress)
            world.show(measured_lines(found.before, found.after, without))
    if not rebuild:
        _remember(world, subject, began, needs_source=not sections, source=source)


def _remember(world: World, subject: str, began: float, *, needs_source: bool, source: str | None) -> None:
    """Keep what was printed, unless it depends on a module's source, which may change unseen."""
    if source is None and world.kept:
        from wherry.cli.replay_record import remember_reading

        modules = [str(folder / "go.mod") for folder in (world.cwd, *world.cwd.parents)] if needs_source else []
        remember_reading(world, subject, began=began, absent=modules)


def _wanted(binary: "BinarySize", name: str, *, routes: bool) -> list[str]:
    from wherry.app.sizes import not_in
    from wherry.report.size import estimate_of, routes_of

    module = next((one for one in binary.modules if one.routes), None)
    if module is None:
        raise not_in(binary, name)
    return routes_of(module) if routes else estimate_of(binary, module, name)
