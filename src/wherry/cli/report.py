"""`wherry report --html FILE SUBJECT`: write an HTML page about an image's size."""

from typing import TYPE_CHECKING, Any, TypeVar

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World
from wherry.errors import InvalidDocument, InvalidUsage, NotFound
from wherry.typed import from_json

if TYPE_CHECKING:
    from wherry.analysis.size import SizeDocument

T = TypeVar("T")
_LARGEST = 1 << 30
"""Bytes of a document that we read."""


@click.command("report")
@click.argument("subject", metavar="[IMAGE|BINARY]", required=False, default="", shell_complete=images)
@click.option("--html", required=True, metavar="FILE", help="Write the page to this file.")
@click.option("--from", "source_file", metavar="FILE", help="Read the output of `wherry size --json`; - is stdin.")
@click.option("--platform", metavar="PLATFORM", help="Show only this platform.", shell_complete=platforms)
@click.option(
    "--source",
    metavar="DIR",
    help="Module source directory, used to read imports. [default: current directory if it is that module]",
)
@click.option("--why", metavar="MODULE", help="Show each import chain that leads to MODULE.")
@click.option("--slim", metavar="FILE", help="Include the output of `wherry slim --json`.")
@click.option("--flags", metavar="FILE", help="Include the output of `wherry flags --json`.")
@click.option("--leaks", metavar="FILE", help="Include the output of `wherry leaks --json`.")
@click.option("--budgets", metavar="FILE", help="Include the output of `wherry check --json`.")
@click.pass_obj
def command(world: World, /, **options: Any) -> None:
    """Write an HTML page that shows what takes up space in an image or a program.

    The page works offline, in any browser: a map from image to layer to file to package to function, with the certainty
    of each figure, and tables.
    """
    import msgspec

    from wherry.analysis.size import Held
    from wherry.report.html import page_of
    from wherry.report.page_tables import FlagsDocument, LeaksDocument, SlimDocument
    from wherry.store.files import replacing

    if bool(options["subject"]) == bool(options["source_file"]):
        raise InvalidUsage("give either an image or program, or --from", hint="give exactly one of them")
    document = _document(world, options)
    if held := _read(world, options["budgets"], Held):
        document = msgspec.structs.replace(document, budgets=held.budgets)
    page = page_of(
        document,
        slim=_read(world, options["slim"], SlimDocument),
        flags=_read(world, options["flags"], FlagsDocument),
        leaks=_read(world, options["leaks"], LeaksDocument),
    )
    with replacing(world.cwd / options["html"]) as file:
        file.write(page)
    from wherry.report.terminal import size

    world.note(f"{options['html']}  {size(len(page))}")


def _document(world: World, options: dict[str, Any]) -> "SizeDocument":
    from wherry.analysis.size import SCHEMA, SizeDocument
    from wherry.app.imports import with_source
    from wherry.app.sizes import size_document

    if not options["source_file"]:
        measured = size_document(world, options["subject"], options["platform"])
        return with_source(world, measured, options["source"], wanted=options["why"] or "")
    document = _read(world, options["source_file"], SizeDocument)
    assert document is not None  # noqa: S101 - a file was named
    if document.schema != SCHEMA:
        raise InvalidDocument(options["source_file"], f"unsupported schema {document.schema!r}; expected {SCHEMA}")
    return document


def _read(world: World, name: str | None, kind: type[T]) -> T | None:
    import msgspec

    from wherry.store.files import read_regular

    if not name:
        return None
    text = world.binary_in.read(_LARGEST) if name == "-" else read_regular(world.cwd / name, _LARGEST)
    if text is None:
        raise NotFound(f"{name}: no such file", hint="give a file with the output of --json")
    try:
        return from_json(text, kind)
    except msgspec.DecodeError as error:
        raise InvalidDocument(name, str(error)) from error
