"""Who claims type data: types, their names, tables of methods, the garbage collector's masks.

Imported late: it needs numpy. Sources: those of `golang/types.py`; Go 1.20 to 1.27, internal/abi/iface.go (`ITab`).
"""

from dataclasses import dataclass

import numpy as np

from wherry.analysis.owners import SHARED
from wherry.analysis.program import AttributedProgram
from wherry.analysis.spans import NOBODY, Blobs, Confidence, Ints, SpanKind, Spans
from wherry.golang.names import SHAPES
from wherry.golang.typereader import INTERFACE, PROGRAM, Region
from wherry.golang.types import TypeTable, read_types

_NONE = 1 << 40
"""Above every owner's number."""
_NO_PACKAGES = ("", SHAPES)
_DEEPEST = 16
"""Maximum nesting of unnamed types for which an owner is searched."""
_COUNT = 4
"""Bytes of the length before a program that makes a mask."""
_LARGEST_MASK = 1 << 16
_MOST_ITABS = 1 << 20


@dataclass(frozen=True, slots=True)
class TypeClaims:
    """What the type data says of bytes."""

    types: TypeTable
    owners: Ints
    """Who has each type."""
    spans: tuple[Spans, ...]
    end: int
    """The address behind the last type."""


def type_claims(program: AttributedProgram, more: Ints) -> TypeClaims:
    """Claim type data.

    Args:
        program: the program.
        more: addresses that may be of types, in addition to those that the linker lists.
    """
    itabs, concrete = _itabs(program)
    table = _read(program, np.concatenate([concrete, more]))
    start = table.region.address
    owners, confidence = _owners(program, table)
    spans = [Spans.of(table.start + start, table.end + start, owners, SpanKind.TYPES, confidence)]
    if len(table):
        spans += [
            _itab_spans(program, itabs, concrete, table, owners),
            _names(table, owners),
            _masks(program, table, owners),
        ]
    return TypeClaims(table, owners, tuple(spans), start + int(table.end.max(initial=0)))


def _read(program: AttributedProgram, more: Ints) -> TypeTable:
    module, space, table = program.module, program.space, program.functions.table
    start = module["types"]
    content = space.read_on(start)[: module["etypes"] - start]
    region = Region(start, content, table.order, table.pointer)
    roots = [more - start]
    if count := module.get("typelinks_len"):
        links = space.read_on(module["typelinks"])[: 4 * count]
        roots.append(np.frombuffer(links, dtype=f"{table.order}i4", count=len(links) // 4).astype(np.int64))
    return read_types(
        region, module.minor, np.concatenate(roots), dense=module.get("typedesclen"), experiments=module.experiments
    )


def _owners(program: AttributedProgram, table: TypeTable) -> tuple[Ints, Ints]:
    """Find the owner of each type: its package, or for an unnamed type the only package it is made of."""
    low = np.full(len(table), _NONE)
    high = np.full(len(table), NOBODY)
    places, inverse = np.unique(table.package, return_inverse=True)
    texts = table.texts(places)
    numbers = np.array([program.package_owner(text) if text not in _NO_PACKAGES else NOBODY for text in texts])
    if len(table):
        own = numbers[inverse]
        low[own >= 0] = high[own >= 0] = own[own >= 0]
    whole, part = table.parts
    unnamed = (low == _NONE)[whole]
    whole, part = whole[unnamed], part[unnamed]
    for _ in range(_DEEPEST):
        before = low.copy(), high.copy()
        np.minimum.at(low, whole, low[part])
        np.maximum.at(high, whole, high[part])
        if (before[0] == low).all() and (before[1] == high).all():
            break
    one = low == high
    return np.where(one, low, SHARED), np.where(one, Confidence.EXACT, Confidence.SHARED).astype(np.int64)


def _names(table: TypeTable, owners: Ints) -> Spans:
    names, rows, used = table.names()
    at = table.region.address
    blobs = Blobs.used(used, owners[rows], np.full(len(rows), NOBODY), len(names), SHARED)
    return Spans.of(
        names.start[blobs.start] + at, names.end[blobs.start] + at, blobs.owner, SpanKind.TYPES, blobs.confidence
    )


def _masks(program: AttributedProgram, table: TypeTable, owners: Ints) -> Spans:
    rows, addresses = table.mask_uses
    some = (addresses > 0) & (table.mask_size[rows] != 0)
    rows, addresses = rows[some], addresses[some]
    sizes = table.mask_size[rows]
    sizes = np.where(sizes == PROGRAM, _COUNT + program.space.words(addresses, _COUNT), sizes)
    some = sizes <= _LARGEST_MASK
    rows, addresses, sizes = rows[some], addresses[some], sizes[some]
    blobs = Blobs.used(addresses, owners[rows], np.full(len(rows), NOBODY), 1 << 62, SHARED)
    order = np.argsort(addresses, kind="stable")
    first = order[np.searchsorted(addresses[order], blobs.start)]
    ends = np.minimum(blobs.end, blobs.start + sizes[first])
    return Spans.of(blobs.start, ends, blobs.owner, SpanKind.TYPES, blobs.confidence)


def _itabs(program: AttributedProgram) -> tuple[Ints, Ints]:
    """Give the addresses of itabs, and of the types that they are for."""
    module, space, table = program.module, program.space, program.functions.table
    pointer, word = table.pointer, f"{table.order}u{table.pointer}"
    if "itaboffset" in module.fields:
        start = module["types"] + module["itaboffset"]
        content = space.read_on(start)[: module["itabsize"]]
        words = np.frombuffer(content, dtype=word, count=len(content) // pointer).astype(np.int64)
        itabs = np.arange(len(words)) * pointer + start
        return itabs[:-1], words[1:]
    links = space.read_on(module.get("itablinks"))[: pointer * min(module.get("itablinks_len"), _MOST_ITABS)]
    itabs = np.frombuffer(links, dtype=word, count=len(links) // pointer).astype(np.int64)
    return itabs, program.words(itabs + pointer)


def _itab_spans(program: AttributedProgram, itabs: Ints, concrete: Ints, table: TypeTable, owners: Ints) -> Spans:
    """Claim itabs for the package of the concrete type; what is not an itab has no interface as its first word."""
    pointer, start = program.functions.table.pointer, table.region.address
    interface = table.rows_at(program.words(itabs) - start)
    row = table.rows_at(concrete - start)
    real = (interface >= 0) & (row >= 0) & (table.kind[interface] == INTERFACE) & (table.listed[interface] > 0)
    itabs, interface, row = itabs[real], interface[real], row[real]
    size = 2 * pointer + 4 + -4 % pointer + pointer * table.listed[interface]
    return Spans.of(itabs, itabs + size, owners[row], SpanKind.TYPES, _confidence(owners[row]))


def _confidence(owners: Ints) -> Ints:
    return np.where(owners == SHARED, Confidence.SHARED, Confidence.EXACT).astype(np.int64)
