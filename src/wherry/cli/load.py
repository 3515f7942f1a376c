"""`wherry load FILE|DIR|-`: load load an archive or a layout into the local store."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from wherry.cli.complete import files
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.store.contract import CHUNK
from wherry.store.files import replacing


@click.command("load", cls=GroupedCommand)
@click.argument("path", metavar="[FILE|DIR|-]", required=False, shell_complete=files)
@click.option("-i", "--input", "as_option", metavar="FILE", help="Same as the argument, as in `docker load`.")
@click.option(
    "-t", "--tag", "name", metavar="NAME", default="", help="Name the image; only for archives with one image."
)
@click.pass_obj
def command(world: World, /, *, path: str | None, as_option: str | None, name: str) -> None:
    """Load images into the local store.

    Reads a layout directory, an OCI archive or an archive written by `docker save`; archives may be compressed with
    gzip or zstd.
    """
    if path and as_option:
        raise InvalidUsage("only one file can be loaded at a time", hint="give either the argument or -i")
    named = path or as_option or "-"
    from wherry.app.archives import load
    from wherry.report.terminal import size

    with _at_hand(world, named) as place:
        stdin = named == "-"
        loaded = load(world, place, shown="stdin" if stdin else named, origin="" if stdin else None, name=name)
    for new, given in loaded.renamed.items():
        brings = f"only {given[:100]!r} as a name" if given else "no name"
        world.note(f"named {new}: the archive contains {brings}")
    world.note(f"{size(loaded.new)} new")
    for one in loaded.images:
        world.say(f"{one.name}@{one.digest}")


@contextmanager
def _at_hand(world: World, named: str) -> Iterator[Path]:
    """Return a path to read from: an archive on stdin is spooled to a file, because reading it needs seeking."""
    if named != "-":
        yield world.cwd / named
        return
    incoming = world.binary_in
    with tempfile.TemporaryDirectory(prefix="wherry-load-") as folder:
        path = Path(folder) / "stdin"
        with replacing(path) as out:
            while chunk := incoming.read(CHUNK):
                out.write(chunk)
        yield path
