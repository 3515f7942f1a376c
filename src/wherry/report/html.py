"""One self-contained page of where an image's bytes are: a map to walk, and tables.

The page asks for nothing: its policy names the digests of its own script and style, and forbids all else
(Content Security Policy Level 3, section 6.7.3.3).
"""

import base64
import hashlib
from importlib.resources import files
from string import Template

import msgspec

from wherry import __version__
from wherry.analysis.size import SizeDocument
from wherry.report.page_tables import FlagsDocument, LeaksDocument, SlimDocument, tables_of, text
from wherry.report.page_tree import packed, tree_of
from wherry.report.terminal import size

LARGEST = 3_000_000
"""Bytes of a page; functions are left out by the half until it is no larger."""
_FUNCTIONS = 24_000
_HARMLESS = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def page_of(
    document: SizeDocument,
    *,
    slim: SlimDocument | None = None,
    flags: FlagsDocument | None = None,
    leaks: LeaksDocument | None = None,
) -> bytes:
    """Write the page; the same document gives the same bytes.

    Cost: under LARGEST wherever names of modules, packages and files leave room; functions give way first.
    """
    tables = tables_of(document, slim=slim, flags=flags, leaks=leaks)
    most = _FUNCTIONS
    while True:
        page = _filled(document, most, tables)
        if len(page) <= LARGEST or not most:
            return page
        most = most // 2


def _filled(document: SizeDocument, most: int, tables: str) -> bytes:
    root = tree_of(document, most=most)
    style = _part("page.css")
    script = _part("model.js") + _part("page.js")
    tree = msgspec.json.encode(packed(root)).decode().translate(_HARMLESS)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        Template(_part("page.html"))
        .substitute(
            policy=policy,
            version=__version__,
            title=text(document.name),
            lead=f"{size(root.bytes)} ({root.bytes:,} B) unpacked",
            style=style,
            sections=tables,
            tree=tree,
            script=script,
        )
        .encode()
    )


def _part(name: str) -> str:
    return files("wherry.report").joinpath("page", name).read_text(encoding="utf-8")


def _hash(part: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
