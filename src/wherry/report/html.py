"""One self-contained page of where an image's bytes are: a map to walk, and tables.

The page asks for nothing: its policy names the digests of its own script and style, and forbids all else
(Content Security Policy Level 3, section 6.7.3.3).
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from string import Template

import msgspec

from wherry import __version__
from wherry.analysis.image.document import AnalyzeDocument
from wherry.analysis.size import SizeDocument
from wherry.report.page_advice import advice_of
from wherry.report.page_tables import FlagsDocument, LeaksDocument, SlimDocument, figures_of, tables_of, text
from wherry.report.page_tree import Tile, packed, tree_of
from wherry.report.page_waste import waste_of
from wherry.report.terminal import size

LARGEST = 3_000_000
"""Bytes of a page; functions are left out by the half until it is no larger."""
_FUNCTIONS = 24_000
_HEAD = 2000
"""Bytes in which a page names its generator."""
_HARMLESS = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def page_of(
    document: SizeDocument,
    *,
    against: SizeDocument | None = None,
    slim: SlimDocument | None = None,
    flags: FlagsDocument | None = None,
    leaks: LeaksDocument | None = None,
    analyzed: AnalyzeDocument | None = None,
) -> bytes:
    """Write the page; the same documents give the same bytes.

    Args:
        document: what was measured.
        against: what it is compared with: the page shows changes.
        slim: fixes that were tried.
        flags: builds with other flags.
        leaks: findings.
        analyzed: layers, files and waste of an image.

    Cost: under LARGEST wherever names of modules, packages and files leave room; functions give way first.
    """
    sections = {
        "advice": advice_of(document, slim=slim, flags=flags, leaks=leaks, analyzed=analyzed),
        "sections": "\n".join(
            [
                *([] if analyzed is None else [waste_of(analyzed)]),
                tables_of(document, slim=slim, flags=flags, leaks=leaks),
            ]
        ),
        "figures": figures_of(document),
    }
    most = _FUNCTIONS
    while True:
        page = _filled(document, against, most, sections)
        if len(page) <= LARGEST or not most:
            return page
        most = most // 2


def is_page(page: bytes) -> bool:
    """Report whether a file is a page that this, or another version, wrote."""
    return b'<meta name="generator" content="wherry ' in page[:_HEAD]


def _filled(document: SizeDocument, against: SizeDocument | None, most: int, sections: Mapping[str, str]) -> bytes:
    root = tree_of(document, most=most, against=against)
    style = _part("page.css")
    script = _part("model.js") + _part("page.js")
    tree = msgspec.json.encode(packed(root)).decode().translate(_HARMLESS)
    policy = (
        f"default-src 'none'; style-src '{hash_of(style)}'; script-src '{hash_of(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        Template(_part("page.html"))
        .substitute(
            sections,
            policy=policy,
            version=__version__,
            title=text(document.name if against is None else f"{against.name} → {document.name}"),
            lead=_lead(document, against, root),
            style=style,
            tree=tree,
            script=script,
        )
        .encode()
    )


def _lead(document: SizeDocument, against: SizeDocument | None, root: Tile) -> str:
    """Give the figures of the header: unpacked, and of an image what is pulled, by platform."""
    pulled = _pulled(document)
    words = [f"{size(root.bytes)} ({root.bytes:,} B) unpacked"]
    if against is not None:
        change = root.bytes - (root.before or 0)
        words[0] = f"{size(root.before or 0)} → {words[0]} ({_signed(change)})"
    words += [f"{size(count)} ({count:,} B) pulled{_by(name, pulled)}" for name, count in pulled.items()]
    if against is not None and pulled:
        words.append(f"before: {', '.join(f'{size(count)} pulled' for count in _pulled(against).values())}")
    return text(" · ".join(words))


def _pulled(document: SizeDocument) -> dict[str, int]:
    sums: dict[str, int] = {}
    for layer in document.layers:
        sums[layer.platform] = sums.get(layer.platform, 0) + layer.pulled
    return sums


def _by(platform: str, pulled: Mapping[str, int]) -> str:
    return f" for {platform}" if len(pulled) > 1 else ""


def _signed(count: int) -> str:
    return f"{'+' if count >= 0 else '-'}{size(abs(count))}"


def _part(name: str) -> str:
    return files("wherry.report").joinpath("page", name).read_text(encoding="utf-8")


def hash_of(part: str) -> str:
    """Name a style or a script for the policy of a page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
