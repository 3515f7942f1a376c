"""`wherry report SUBJECT`: write an HTML page about an image's size."""

import re
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidDocument, InvalidUsage, NotFound
from wherry.typed import from_json

if TYPE_CHECKING:
    from wherry.analysis.image.document import AnalyzeDocument
    from wherry.analysis.size import SizeDocument

T = TypeVar("T")
_LARGEST = 1 << 30
"""Bytes of a document that we read."""


@click.command("report", cls=GroupedCommand)
@click.argument("subject", metavar="[IMAGE|BINARY]", required=False, default="", shell_complete=images)
@click.option("--html", metavar="FILE", help="Write the page to this file. [default: NAME.html, such as api-dev.html]")
@click.option(
    "--against",
    metavar="IMAGE|BINARY|FILE",
    shell_complete=images,
    help="Compare with this: an image, a program, or the output of `wherry size --json`. The page shows changes.",
)
@click.option("--from", "source_file", metavar="FILE", help="Read the output of `wherry size --json`; - is stdin.")
@click.option("--platform", metavar="PLATFORM", help="Show only this platform.", shell_complete=platforms)
@click.option(
    "--source",
    metavar="DIR",
    help="Module source directory, used to read imports. [default: current directory if it is that module]",
)
@click.option("--why", metavar="MODULE", help="Show each import chain that ends at MODULE.")
@click.option("--slim", metavar="FILE", help="Include the output of `wherry slim --json`.")
@click.option("--flags", metavar="FILE", help="Include the output of `wherry flags --json`.")
@click.option("--leaks", metavar="FILE", help="Include the output of `wherry leaks --json`.")
@click.option("--budgets", metavar="FILE", help="Include the output of `wherry check --json`.")
@click.option(
    "--waste", metavar="FILE", help="Include the output of `wherry analyze --json`. [default: analyzed with the image]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the page's path and size as JSON.")
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
    against = _compared_with(world, options)
    if held := _read(world, options["budgets"], Held):
        document = msgspec.structs.replace(document, budgets=held.budgets)
    page = page_of(
        document,
        against=against,
        slim=_read(world, options["slim"], SlimDocument),
        flags=_read(world, options["flags"], FlagsDocument),
        leaks=_read(world, options["leaks"], LeaksDocument),
        analyzed=_analyzed(world, options, document),
    )
    name = options["html"] or _default_name(world, document, against)
    with replacing(world.cwd / name) as file:
        file.write(page)
    from wherry.report.terminal import size

    if options["as_json"]:
        world.say(msgspec.json.encode({"page": str(world.cwd / name), "bytes": len(page)}).decode())
    world.note(f"{name}  {size(len(page))}")


def _analyzed(world: World, options: dict[str, Any], document: "SizeDocument") -> "AnalyzeDocument | None":
    """Analyze the image, or read what was analyzed; None for a program, and for a document of sizes alone."""
    from wherry.analysis.image.document import SCHEMA, AnalyzeDocument

    if options["waste"]:
        found = _read(world, options["waste"], AnalyzeDocument)
        if found is not None and found.schema != SCHEMA:
            raise InvalidDocument(options["waste"], f"unsupported schema {found.schema!r}; expected {SCHEMA}")
        return found
    if options["source_file"] or not document.layers:
        return None
    from wherry.app.analyze import analyze

    return analyze(world, options["subject"], platform=options["platform"])


def _compared_with(world: World, options: dict[str, Any]) -> "SizeDocument | None":
    """Measure, or read, what the page compares with."""
    subject = options["against"]
    if not subject:
        return None
    file = world.cwd / subject
    if file.suffix == ".json" and file.is_file():
        return _sizes_in(world, subject)
    from wherry.app.sizes import size_document

    return size_document(world, subject, options["platform"])


def _default_name(world: World, document: "SizeDocument", against: "SizeDocument | None") -> str:
    """Name the page after its subject; of files that exist, only a page of ours is replaced.

    Raises:
        InvalidUsage: another file has this name.
    """
    from wherry.report.html import is_page
    from wherry.store.files import read_regular

    names = [document.name] if against is None else [against.name, document.name]
    words = [re.sub(r"[^A-Za-z0-9._-]+", "-", one.rpartition("/")[2].partition("@")[0]).strip("-.") for one in names]
    name = f"{'-to-'.join(filter(None, words)) or 'report'}.html"
    there = world.cwd / name
    if there.is_symlink() or there.exists():
        text = read_regular(there, _LARGEST) if there.is_file() else None
        if text is None or not is_page(text):
            raise InvalidUsage(f"{name}: exists, and is not a page of wherry", hint="name the page with --html FILE")
    return name


def _document(world: World, options: dict[str, Any]) -> "SizeDocument":
    from wherry.app.imports import with_source
    from wherry.app.sizes import size_of_any

    if not options["source_file"]:
        measured = size_of_any(world, options["subject"], options["platform"])
        return with_source(world, measured, options["source"], wanted=options["why"] or "")
    return _sizes_in(world, options["source_file"])


def _sizes_in(world: World, name: str) -> "SizeDocument":
    """Read what `wherry size --json` printed."""
    from wherry.analysis.size import SCHEMA, SizeDocument

    document = _read(world, name, SizeDocument)
    assert document is not None  # noqa: S101 - a file was named
    if document.schema != SCHEMA:
        raise InvalidDocument(name, f"unsupported schema {document.schema!r}; expected {SCHEMA}")
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
