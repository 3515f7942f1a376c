"""Control files: paragraphs of fields, and the relations between packages.

Sources: deb822(5), deb-control(5); Debian policy 4.7, sections 5.1 and 7.1.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from wherry.debian.versions import compare_versions
from wherry.errors import InvalidDocument

LARGEST_PARAGRAPH = 1 << 20
_CHUNK = 1 << 20
_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::(?P<qualifier>[a-z0-9-]+))?"
    r"(?:\s*\(\s*(?P<sign><<|<=|=|>=|>>)\s*(?P<version>[^\s)]+)\s*\))?"
)
_HOLDS = {
    "<<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    "=": lambda order: order == 0,
    ">=": lambda order: order >= 0,
    ">>": lambda order: order > 0,
}


class ByteStream(Protocol):
    """Anything bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Give at most so many bytes; none at the end."""


Paragraph = dict[str, str]
"""Values by field name; continuation lines keep their line ends."""


def parse_paragraph(text: str, name: str) -> Paragraph:
    """Read one paragraph.

    Args:
        text: its lines.
        name: what the reader knows it by; it starts the message.

    Raises:
        InvalidDocument: a line is neither a field nor the continuation of one.
    """
    fields: Paragraph = {}
    last = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            continue
        if line[:1] in {" ", "\t"} and last:
            fields[last] += "\n" + line[1:]
            continue
        key, colon, value = line.partition(":")
        if not colon or not key or key[:1].isspace():
            raise InvalidDocument(name, f"line {number}: not a field", hint="fetch it again; it is damaged")
        last = key
        fields[key] = value.strip()
    return fields


def find_packages(index: ByteStream, wanted: Collection[str], name: str) -> Iterator[Paragraph]:
    """Read an index of packages as a stream, and yield the paragraphs of some packages; others are not parsed.

    Args:
        index: a decompressed `Packages` file.
        wanted: package names.
        name: what the reader knows it by.

    Raises:
        InvalidDocument: a paragraph is too long, or damaged.
    """
    starts = {f"Package: {one}\n".encode() for one in wanted}
    for paragraph in _paragraphs(index, name):
        line, end, _ = paragraph.partition(b"\n")
        if line + end in starts:
            yield parse_paragraph(paragraph.decode(errors="replace"), name)


def find_providers(index: ByteStream, wanted: Collection[str], name: str) -> Iterator[Paragraph]:
    """Read an index of packages as a stream, and yield those that provide some virtual packages.

    Args:
        index: a decompressed `Packages` file.
        wanted: names of virtual packages.
        name: what the reader knows it by.

    Raises:
        InvalidDocument: a paragraph is too long, or damaged.
    """
    texts = [one.encode() for one in wanted]
    for paragraph in _paragraphs(index, name):
        at = paragraph.find(b"\nProvides:")
        if at < 0:
            continue
        line = paragraph[at : paragraph.find(b"\n", at + 1) % (len(paragraph) + 1)]
        if any(one in line for one in texts):
            fields = parse_paragraph(paragraph.decode(errors="replace"), name)
            if provided(fields, name) & set(wanted):
                yield fields


def provided(fields: Paragraph, name: str) -> frozenset[str]:
    """Give the names that a package provides.

    Raises:
        InvalidDocument: they can't be read.
    """
    return frozenset(one.name for group in parse_depends(fields.get("Provides", ""), name) for one in group)


def _paragraphs(index: ByteStream, name: str) -> Iterator[bytes]:
    left = b""
    while chunk := index.read(_CHUNK):
        *whole, left = (left + chunk).split(b"\n\n")
        yield from (one.lstrip(b"\n") for one in whole)
        if len(left) > LARGEST_PARAGRAPH:
            raise InvalidDocument(name, "a paragraph is over 1 MiB", hint="fetch it again; it is damaged")
    if left.strip():
        yield left.lstrip(b"\n")


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a dependency."""

    name: str
    sign: str = ""
    version: str = ""

    def holds(self, version: str) -> bool:
        """Report whether a version of the package satisfies it."""
        return not self.sign or bool(_HOLDS[self.sign](compare_versions(version, self.version)))


def parse_depends(field: str, name: str) -> tuple[tuple[Relation, ...], ...]:
    """Read `Depends` or `Pre-Depends`: all of the outer, one of each inner.

    Raises:
        InvalidDocument: it is no list of relations.
    """
    return tuple(
        tuple(_relation(one.strip(), name) for one in group.split("|")) for group in field.split(",") if group.strip()
    )


def _relation(text: str, name: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise InvalidDocument(name, f"not a relation of packages: {text!r}", hint="fetch it again; it is damaged")
    return Relation(match["name"], match["sign"] or "", match["version"] or "")
