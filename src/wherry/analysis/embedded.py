"""Files that a program embeds with an `embed.FS`: found by the hash that the compiler writes next to each.

Imported late: it needs numpy. Source: Go 1.20 to 1.27, embed/embed.go (`file`),
cmd/compile/internal/staticdata/embed.go,
cmd/internal/hash/hash.go.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wherry.analysis.data_claims import data_sections
from wherry.analysis.owners import UNKNOWN
from wherry.analysis.program import AttributedProgram
from wherry.analysis.spans import Confidence, SpanKind, Spans

_HASH = 16
"""Bytes of a file's SHA-256 that are kept."""
_LONGEST_NAME = 4096
_NAME = re.compile(rb"(?:[^/\0-\x1f\\]+/)*[^/\0-\x1f\\]+")
_HASHED = 24
"""Go 1.24 hashes by SHA-256, a little changed; Go before it by a sum that only the compiler has."""
_WINDOW = 1 << 20


@dataclass(frozen=True, slots=True)
class Embedded:
    """One file of an embed.FS."""

    name: str
    address: int
    size: int
    entry: int
    """Where the file's row is: name, content and hash."""


def embedded_files(program: AttributedProgram) -> Iterator[Embedded]:
    """Find the files, each confirmed by its hash (before Go 1.24 by its name). Empty ones and folders have no bytes."""
    for section in data_sections(program):
        content = program.space.read_on(section.address)[: section.stored]
        yield from _in_section(program, content, section.address)


def embedded_spans(files: Sequence[Embedded], objects: Spans) -> Spans:
    """Claim embedded files for those who have the table that names them.

    Args:
        files: the files.
        objects: spans of data with their owners.
    """
    table = np.array([(one.address, one.address + one.size, one.entry) for one in files], np.int64).reshape(-1, 3)
    row = np.searchsorted(objects.start, table[:, 2], side="right") - 1
    known = (row >= 0) & (objects.end[row] > table[:, 2]) if len(objects) else np.zeros(len(table), dtype=bool)
    owner = np.where(known, objects.owner[row] if len(objects) else UNKNOWN, UNKNOWN)
    confidence = np.where(known, Confidence.EXACT, Confidence.UNKNOWN)
    return Spans.of(table[:, 0], table[:, 1], owner, SpanKind.EMBED, confidence)


def _in_section(program: AttributedProgram, content: memoryview, address: int) -> Iterator[Embedded]:
    table = program.functions.table
    pointer = table.pointer
    skipped = -address % pointer
    count = max(0, len(content) - skipped) // pointer
    words = np.frombuffer(content[skipped:], dtype=f"{table.order}u{pointer}", count=count).astype(np.int64)
    row = 4 + _HASH // pointer
    if len(words) < row:
        return
    name, length, start, size = (words[at : len(words) - row + 1 + at] for at in range(4))
    low, high = program.space.ranges[0].address, program.space.ranges[-1].address + program.space.ranges[-1].size
    likely = (length > 0) & (length < _LONGEST_NAME) & (size > 0) & (size < high - low)
    likely &= (name >= low) & (name < high) & (start >= low) & (start < high)
    for at in range(4, row):
        # A word of a hash is neither small nor an address, but once in thousands.
        value = words[at : len(words) - row + 1 + at]
        likely &= (value < 0) | (value > high)
    left = len(content) + len(program.elf.view)
    for place in np.flatnonzero(likely).tolist():
        # Files do not overlap: who has rows for more bytes than there are made them up.
        left -= int(size[place]) + int(length[place])
        if left < 0:
            return
        at = skipped + place * pointer
        found = _confirmed(program, (int(name[place]), int(length[place])), (int(start[place]), int(size[place])),
                           bytes(content[at + 4 * pointer : at + 4 * pointer + _HASH]))  # fmt: skip
        if found:
            yield Embedded(found, int(start[place]), int(size[place]), address + at)


def _confirmed(program: AttributedProgram, name: tuple[int, int], content: tuple[int, int], said: bytes) -> str:
    """Give the name, if it is one of an embedded file and the hash is that of the content."""
    text = bytes(program.space.read_on(name[0])[: name[1]])
    body = program.space.read_on(content[0])[: content[1]]
    if len(text) != name[1] or len(body) != content[1] or not _NAME.fullmatch(text):
        return ""
    known = program.module.minor < _HASHED or said in _hashes(body)
    return text.decode(errors="replace") if known else ""


def _hashes(body: memoryview) -> tuple[bytes, bytes]:
    """Hash a file as the compiler does: small ones in one way, others in another."""
    plain, marked = hashlib.sha256(), hashlib.sha256(b"\1")
    for at in range(0, len(body), _WINDOW):
        plain.update(body[at : at + _WINDOW])
        marked.update(body[at : at + _WINDOW])
    first = plain.digest()
    return bytes([first[0] ^ 0xFF]) + first[1:_HASH], marked.digest()[:_HASH]
