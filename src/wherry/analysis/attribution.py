"""Attribution: every byte of an executable with its owner, its kind, and how the owner is known.

Imported late: it needs numpy. The sums are the file's size, always: what nothing tells is `(unknown)`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wherry.analysis.data_claims import (
    code_mentions,
    data_sections,
    exact_spans,
    function_values,
    mentioned_spans,
    ranges_of,
    symbol_spans,
)
from wherry.analysis.embedded import embedded_files, embedded_spans
from wherry.analysis.function_claims import code_spans, table_spans
from wherry.analysis.mapped import forget
from wherry.analysis.owners import DEBUG, FILE, LINKER, SYMBOLS, UNKNOWN, C, Owners
from wherry.analysis.program import AttributedProgram
from wherry.analysis.spans import NOBODY, Confidence, SpanKind, Spans, concatenated, settle, unique
from wherry.analysis.type_claims import TypeClaims, type_claims
from wherry.elf.reader import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, Elf, Section
from wherry.golang import pclntab

_LINKERS = (
    ".go.buildinfo", ".go.fipsinfo", ".go.module", ".typelink", ".itablink", ".gosymtab", ".rel", ".dyn", ".interp",
    ".hash", ".gnu.", ".got", ".plt", ".init_array", ".fini_array", ".note", ".eh_frame",
)  # fmt: skip
_DEBUG = (".debug_", ".zdebug_", ".gnu_debug")
_LONGEST_PADDING = 64
_WINDOW = 1 << 16
_UNCLAIMED = NOBODY - 1
"""The function of unclaimed bytes, until padding is identified."""


@dataclass(frozen=True)
class Attribution:
    """A file, settled."""

    program: AttributedProgram
    spans: Spans
    """By offset in the file, from 0 to its end without a hole."""
    objects: Spans
    """Variables, tables, texts and embedded files one by one, by address; neighbours of one owner are not joined."""

    @property
    def owners(self) -> Owners:
        """The owners by number."""
        return self.program.owners


def attribute(program: AttributedProgram) -> Attribution:
    """Give every byte of a program's file an owner.

    Cost: a second for 100 MB; memory for the spans, not for the file.
    """
    loaded, objects = _loaded(program)
    parts: list[Spans] = []
    for one in program.space.ranges:
        settled = settle(one.address, one.address + one.size, [*loaded, _default(program.elf, one.address, one.size)])
        parts.append(settled.moved(one.offset - one.address))
    whole = settle(0, len(program.elf.view), [*map(_sorted, [concatenated(parts)]), _unloaded(program.elf)])
    return Attribution(program, _padding(program.elf, whole), objects)


def _sorted(spans: Spans) -> Spans:
    """Segments may share bytes of the file: the first counts."""
    return (
        Spans.of(spans.start, spans.end, spans.owner, SpanKind.OTHER, spans.confidence, spans.function)
        if (spans.start[1:] < spans.end[:-1]).any()
        else spans
    )


def _loaded(program: AttributedProgram) -> tuple[list[Spans], Spans]:
    """Give all claims on memory, those first that count, and the objects among them."""
    sections = data_sections(program)
    mentions = code_mentions(program, ranges_of(sections))
    _forget(program.elf, lambda section: bool(section.flags & SHF_EXECINSTR))
    types = type_claims(program, unique(mentions.target))
    strings = string_range(program, types)
    known = [code_spans(program), *table_spans(program), *types.spans, *exact_spans(program)]
    _forget(program.elf, lambda section: section.name in pclntab.SECTIONS)
    symbols, files = symbol_spans(program), list(embedded_files(program))
    known += [function_values(program, *strings)]
    embedded = embedded_spans(files, symbols)
    taken = _union([one for one in (*known, embedded, symbols) if len(one)])
    found = mentioned_spans(program, mentions, taken, strings, symbols)
    if not len(symbols):
        embedded = embedded_spans(files, found)
    data = [embedded, _kinds(program, symbols, strings), _kinds(program, found, strings)]
    return [*known, *data], _one_by_one(data)


def _one_by_one(layers: list[Spans]) -> Spans:
    """Put spans into one list; a span that overlaps an earlier one starts after it."""
    every = concatenated(layers)
    reach = np.maximum.accumulate(np.concatenate(([np.iinfo(np.int64).min], every.end[:-1])))[: len(every)]
    start = np.maximum(every.start, reach)
    some = every.end > start
    owner, kind, confidence, function = (column[some] for column in every.columns()[2:])
    return Spans(start[some], every.end[some], owner, kind, confidence, function)


def _forget(elf: Elf, which: Callable[[Section], bool]) -> None:
    """Give back the memory of sections that were read through: of a large program it is half of what is used."""
    for section in elf.sections:
        if section.stored and which(section):
            forget(elf, section.offset, section.stored)


def _union(layers: list[Spans]) -> Spans:
    """Merge all claims into one sorted list, ignoring owners."""
    starts = np.concatenate([one.start for one in layers])
    ends = np.concatenate([one.end for one in layers])
    return Spans.of(starts, ends, 0, SpanKind.OTHER)


def _kinds(program: AttributedProgram, spans: Spans, strings: tuple[int, int]) -> Spans:
    """Tell strings, constants and variables apart by where they are."""
    kind = np.full(len(spans), int(SpanKind.DATA))
    for section in data_sections(program):
        inside = (spans.start >= section.address) & (spans.start < section.address + section.stored)
        if not section.flags & SHF_WRITE or section.name.startswith(".data.rel.ro"):
            kind[inside] = SpanKind.RODATA
    low, high = strings
    kind[(spans.start >= low) & (spans.start < high)] = SpanKind.STRINGS
    return Spans(spans.start, spans.end, spans.owner, kind, spans.confidence, spans.function)


def string_range(program: AttributedProgram, types: TypeClaims) -> tuple[int, int]:
    """Report where strings are: behind the types, or at the section's start, before the garbage collector's masks."""
    masks = types.spans[-1] if len(types.spans) > 1 else None
    if masks is None or not len(masks):
        return 0, 0
    high = int(masks.start[0])
    section = next((one for one in program.elf.sections if one.address <= high < one.address + one.stored), None)
    if section is None:
        return 0, 0
    inside = section.address <= types.end <= high
    return (types.end if inside else section.address), high


def _default(elf: Elf, address: int, size: int) -> Spans:
    """Say of a loaded range what only its sections tell."""
    rows: list[tuple[int, int, int, int, int]] = []
    for section in elf.sections:
        if section.flags & SHF_ALLOC and section.type != SHT_NOBITS and section.stored:
            owner, kind, confidence = _by_section(section)
            rows.append((section.address, section.address + section.stored, owner, kind, confidence))
    rows.append((address, address + size, FILE, SpanKind.HEADERS, Confidence.EXACT))
    found = _table(address, address + size, rows)
    function = np.where(found.confidence == Confidence.UNKNOWN, _UNCLAIMED, NOBODY)
    return Spans(found.start, found.end, found.owner, found.kind, found.confidence, function)


def _by_section(section: Section) -> tuple[int, int, int]:
    if section.name.startswith(_LINKERS):
        return LINKER, SpanKind.LINKING, Confidence.EXACT
    if section.name in pclntab.SECTIONS:
        return UNKNOWN, SpanKind.PCLNTAB, Confidence.UNKNOWN
    if section.flags & SHF_EXECINSTR:
        return C, SpanKind.CODE, Confidence.INFERRED
    written = section.flags & SHF_WRITE and not section.name.startswith(".data.rel.ro")
    return UNKNOWN, SpanKind.DATA if written else SpanKind.RODATA, Confidence.UNKNOWN


def _unloaded(elf: Elf) -> Spans:
    """Say of the file what no segment loads: debug data, symbols, tables of the format."""
    rows: list[tuple[int, int, int, int, int]] = []
    for section in elf.sections:
        if section.stored and not section.flags & SHF_ALLOC:
            debug = section.name.startswith(_DEBUG)
            symbols = section.name in {".symtab", ".strtab"}
            owner = DEBUG if debug else SYMBOLS if symbols else FILE
            kind = SpanKind.DEBUG if debug else SpanKind.SYMBOLS if symbols else SpanKind.HEADERS
            rows.append((section.offset, section.offset + section.stored, owner, kind, Confidence.EXACT))
    rows.append((0, len(elf.view), FILE, SpanKind.HEADERS, Confidence.EXACT))
    return _table(0, len(elf.view), rows)


def _table(low: int, high: int, rows: list[tuple[int, int, int, int, int]]) -> Spans:
    """Settle a few rows; the first counts."""
    layers = []
    for start, end, owner, kind, confidence in rows:
        layers.append(
            Spans.one(max(start, low), max(min(end, high), low), owner, SpanKind(kind), Confidence(confidence))
        )
    return settle(low, high, layers)


def _padding(elf: Elf, spans: Spans) -> Spans:
    """Tell alignment from what is unknown: a few zero bytes between things that are known."""
    owner, kind, confidence = spans.owner.copy(), spans.kind.copy(), spans.confidence.copy()
    some = np.flatnonzero((spans.function == _UNCLAIMED) & (spans.sizes < _LONGEST_PADDING))
    some = np.union1d(some, np.flatnonzero((owner == FILE) & (kind == SpanKind.HEADERS)))
    for row in some.tolist():
        start, end = int(spans.start[row]), int(spans.end[row])
        if not any(any(elf.view[at : min(at + _WINDOW, end)]) for at in range(start, end, _WINDOW)):
            owner[row], kind[row], confidence[row] = FILE, SpanKind.PADDING, Confidence.EXACT
    return Spans(spans.start, spans.end, owner, kind, confidence, np.maximum(spans.function, NOBODY))
