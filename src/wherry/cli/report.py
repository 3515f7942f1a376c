"""`wherry report --html FILE SUBJECT`: a page to walk through an image's bytes."""

from typing import TYPE_CHECKING, Any, TypeVar

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World
from wherry.errors import InvalidDocument, InvalidUsage, NotFound

if TYPE_CHECKING:
    from wherry.analysis.size import SizeDocument

T = TypeVar("T")
_LARGEST = 1 << 30
"""Bytes of a document that we read."""


@click.command("report")
@click.argument("subject", metavar="[IMAGE|BINARY]", required=False, default="", shell_complete=images)
@click.option("--html", required=True, metavar="FILE", help="Write the page there.")
@click.option("--from", "source_file", metavar="FILE", help="Read what `wherry size --json` printed; - is stdin.")
@click.option(
    "--platform", metavar="PLATFORM", help="Of an image with several: only this one.", shell_complete=platforms
)
@click.option(
    "--source", metavar="DIR", help="The module's source, for what imports tell. [default: here, if it is it]"
)
@click.option("--why", metavar="MODULE", help="Show each way by which MODULE comes to be imported.")
@click.option("--slim", metavar="FILE", help="Show what `wherry slim --json` printed.")
@click.option("--flags", metavar="FILE", help="Show what `wherry flags --json` printed.")
@click.option("--leaks", metavar="FILE", help="Show what `wherry leaks --json` printed.")
@click.option("--budgets", metavar="FILE", help="Show what `wherry check --json` printed.")
@click.pass_obj
def command(world: World, /, **options: Any) -> None:
    """Write one page that shows whose bytes an image or a program is made of.

    The page opens offline, in any browser: a map from image to layer to file to package to function, with how sure
    each figure is, and tables for the rest.
    """
    import msgspec

    from wherry.analysis.size import Held
    from wherry.report.html import page_of
    from wherry.report.page_tables import Flags, Leaks, Slim
    from wherry.store.files import replacing

    if bool(options["subject"]) == bool(options["source_file"]):
        raise InvalidUsage("report takes an image or a program, or --from", hint="name one of them")
    document = _document(world, options)
    if held := _read(world, options["budgets"], Held):
        document = msgspec.structs.replace(document, budgets=held.budgets)
    page = page_of(
        document,
        slim=_read(world, options["slim"], Slim),
        flags=_read(world, options["flags"], Flags),
        leaks=_read(world, options["leaks"], Leaks),
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
        raise InvalidDocument(options["source_file"], f"its schema is {document.schema!r}, and {SCHEMA} is read")
    return document


def _read(world: World, name: str | None, kind: type[T]) -> T | None:
    import msgspec

    from wherry.store.files import read_regular

    if not name:
        return None
    text = world.binary_in.read(_LARGEST) if name == "-" else read_regular(world.cwd / name, _LARGEST)
    if text is None:
        raise NotFound(f"{name}: there is no such file", hint="name what --json printed")
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise InvalidDocument(name, str(error)) from error
