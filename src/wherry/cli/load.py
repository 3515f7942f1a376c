"""`wherry load FILE|DIR|-`: an archive or a layout into the local store."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from wherry.cli.complete import files
from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.store.contract import CHUNK
from wherry.store.files import replacing


@click.command("load")
@click.argument("path", metavar="[FILE|DIR|-]", required=False, shell_complete=files)
@click.option("-i", "--input", "as_option", metavar="FILE", help="The same as the argument, as `docker load` has it.")
@click.option("-t", "--tag", "name", metavar="NAME", default="", help="Name the image; of an archive with one.")
@click.pass_obj
def command(world: World, /, *, path: str | None, as_option: str | None, name: str) -> None:
    """Bring images into the local store.

    Takes a layout folder, an OCI archive, or what `docker save` writes; archives may be compressed with gzip or zstd.
    """
    if path and as_option:
        raise InvalidUsage("load takes one file", hint="name it once")
    named = path or as_option or "-"
    from wherry.app.transfer import load
    from wherry.report.terminal import size

    with _at_hand(world, named) as place:
        stdin = named == "-"
        loaded = load(world, place, shown="stdin" if stdin else named, origin="" if stdin else None, name=name)
    for new, given in loaded.renamed.items():
        brings = f"only {given[:100]!r} as a name" if given else "no name"
        world.note(f"named {new}: it brings {brings}")
    world.note(f"{size(loaded.new)} were new")
    for one in loaded.images:
        world.say(f"{one.name}@{one.digest}")


@contextmanager
def _at_hand(world: World, named: str) -> Iterator[Path]:
    """Give a path to read from: an archive on stdin is kept in a file meanwhile, for it is read by seeking."""
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
