"""`wherry report`, carried out."""

from collections.abc import Mapping
from typing import Any

import msgspec

from wherry.analysis.size import SCHEMA, SizeDocument
from wherry.cli.world import World
from wherry.errors import InvalidDocument, InvalidUsage, NotFound
from wherry.store.files import replacing


def write_report(world: World, options: Mapping[str, Any]) -> int:
    """Write the page.

    Raises:
        InvalidUsage: there is nothing to show, or twice.
        NotFound, InvalidDocument: a file is not there, or not what it should be.
    """
    from wherry.report.html import page_of

    document = _document(world, options)
    extra = {
        name: _read(world, options[name], f"wherry.{name}/1") for name in ("slim", "flags", "leaks") if options[name]
    }
    page = page_of(document, **extra)
    if options["page"] == "-":
        world.stdout.write(page)
        return 0
    path = world.cwd / options["page"]
    with replacing(path) as file:
        file.write(page.encode())
    world.note(f"{options['page']}: {len(page.encode()):,} bytes")
    return 0


def _document(world: World, options: Mapping[str, Any]) -> SizeDocument:
    if bool(options["document"]) == bool(options["subject"]):
        raise InvalidUsage("there should be an image or a binary, or --from", hint="name one of them")
    if options["document"]:
        text = _text(world, options["document"])
        try:
            return msgspec.json.decode(text, type=SizeDocument)
        except msgspec.DecodeError as error:
            raise InvalidDocument(options["document"], f"is no {SCHEMA}: {error}") from error
    from wherry.cli.sizing import size_document
    from wherry.cli.source_graph import with_source

    document = size_document(world, options["subject"], options["platform"])
    return with_source(world, document, options["source"], wanted=options["why"] or "")


def _read(world: World, name: str, schema: str) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(_text(world, name))
    except msgspec.DecodeError as error:
        raise InvalidDocument(name, f"is no JSON: {error}") from error
    if not isinstance(found, dict) or found.get("schema") != schema:
        raise InvalidDocument(name, f"is no {schema}", hint=f"write it by `wherry {schema[7:-2]} --json`")
    return found


def _text(world: World, name: str) -> bytes:
    if name == "-":
        return world.stdin.read().encode()
    try:
        return (world.cwd / name).read_bytes()
    except OSError as error:
        raise NotFound(f"{name}: {error.strerror or error}", hint="name a file that can be read") from error
