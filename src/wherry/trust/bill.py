"""What an image is made of, as a value that no format of SBOM shows through."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import quote

_LOWER = frozenset({"golang", "deb", "apk", "oci"})
"""Types of purl whose namespace and name are written in small letters."""


class IngredientKind(StrEnum):
    """What something is."""

    IMAGE = "image"
    INDEX = "index"
    PROGRAM = "program"
    MODULE = "module"
    STANDARD_LIBRARY = "stdlib"
    TOOLCHAIN = "toolchain"
    PACKAGE = "package"
    """Of a distribution."""
    DATA = "data"
    """Certificates, time zones."""
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Licence:
    """What licence files say."""

    expression: str = ""
    """An SPDX expression; empty where a text is not known."""
    unknown: tuple[str, ...] = ()
    """Files with texts that are not known, `NAME sha256:HEX` each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """One thing in an image, or the image."""

    kind: IngredientKind
    ref: str
    """Unique in a bill, and the same in every bill that has the thing."""
    name: str
    version: str = ""
    purl: str = ""
    sha256: str = ""
    """Of its bytes: a file's, a program's, a manifest's; hexadecimal digits."""
    sha1: str = ""
    h1: str = ""
    """Of a module's files, as go.sum has it."""
    licence: Licence = field(default_factory=Licence)
    packages: tuple[str, ...] = ()
    """Import paths that the linker kept, of a module."""
    notes: tuple[tuple[str, str], ...] = ()
    """Further facts by name."""
    uses: tuple[str, ...] = ()
    """Refs of what it contains or is linked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Everything in an image or an index."""

    root: Ingredient
    created: str
    """RFC 3339, of the image: a bill has no time of its own."""
    parts: tuple[Ingredient, ...]
    """All but the root, by ref."""


def joined(root: Ingredient, bills: Iterable[Bill]) -> Bill:
    """Make the bill of an index: what any of its images has, once."""
    bills = tuple(bills)
    parts: dict[str, Ingredient] = {}
    for bill in bills:
        for part in (bill.root, *bill.parts):
            there = parts.get(part.ref)
            parts[part.ref] = part if there is None else _both(there, part)
    created = max((bill.created for bill in bills), default="1970-01-01T00:00:00Z")
    uses = tuple(sorted(bill.root.ref for bill in bills))
    return Bill(root=replace(root, uses=uses), created=created, parts=tuple(parts[ref] for ref in sorted(parts)))


def _both(one: Ingredient, other: Ingredient) -> Ingredient:
    return replace(
        one,
        packages=tuple(sorted({*one.packages, *other.packages})),
        uses=tuple(sorted({*one.uses, *other.uses})),
        licence=one.licence if one.licence.expression or one.licence.unknown else other.licence,
    )


def purl(kind: str, name: str, version: str = "", **qualifiers: str) -> str:
    """Write a package URL.

    Args:
        kind: such as `golang`.
        name: with its namespace, slashes between.
        version: empty where it is not known.
        qualifiers: those without a value are left out.

    Source: package-url/purl-spec, PURL-SPECIFICATION.rst and PURL-TYPES.rst (2026).
    """
    name = name.lower() if kind in _LOWER else name
    path = "/".join(quote(part, safe=".-_~") for part in name.split("/"))
    at = f"@{quote(version, safe='.-_~')}" if version else ""
    rest = "&".join(f"{key}={quote(value, safe='.-_~/')}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:{kind}/{path}{at}" + (f"?{rest}" if rest else "")


def identifier(ref: str) -> str:
    """Write a ref with the letters that an SPDX identifier may have, without two becoming one."""
    import hashlib

    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", ref).strip("-")[:100]
    return f"{plain}-{hashlib.sha256(ref.encode()).hexdigest()[:10]}"
