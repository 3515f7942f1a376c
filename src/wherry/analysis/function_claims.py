"""Who claims the bytes of functions, and of the tables that the linker made about them.

Imported late: it needs numpy. Sources: Go 1.20 to 1.27, cmd/link/internal/ld/pcln.go (what the pclntab's tables
have, and what is in them once for all).
"""

from collections.abc import Iterator

import numpy as np

from wherry.analysis.owners import LINKER, SHARED
from wherry.analysis.program import AttributedProgram
from wherry.analysis.spans import NOBODY, Blobs, Confidence, Ints, SpanKind, Spans, concatenated
from wherry.golang.functions import Uses

_PCHEADER = 8
_BUCKET, _BUCKET_ROW = 4096, 20
"""Bytes of code that a row of findfunctab stands for, and bytes of the row."""
_NO_FILE = 0xFFFFFFFF


def code_spans(program: AttributedProgram) -> Spans:
    """Claim the machine code, a span a function; the alignment behind a function is its own."""
    starts = program.functions.starts + program.text
    confidence = _known(program)
    return Spans.of(
        starts[:-1], starts[1:], program.function_owners, SpanKind.CODE, confidence, np.arange(len(program.functions))
    )


def _known(program: AttributedProgram) -> Ints:
    return np.where(program.guessed, Confidence.INFERRED, Confidence.EXACT).astype(np.int64)


def table_spans(program: AttributedProgram) -> Iterator[Spans]:
    """Claim the tables of the pclntab, and the funcdata wherever it is."""
    table, at = program.functions.table, program.pclntab_at
    header = _PCHEADER + 8 * table.pointer
    yield Spans.one(at, at + header, LINKER, SpanKind.PCLNTAB)
    yield _name_spans(program)
    yield from _file_spans(program)
    yield _used(
        program, program.functions.pc_tables, table.functab_at - table.pcs_at, at + table.pcs_at, SpanKind.PCLNTAB
    )
    yield _row_spans(program)
    yield _funcdata_spans(program)
    yield _findfunc_span(program)


def _name_spans(program: AttributedProgram) -> Spans:
    functions = program.functions
    texts, starts = functions.all_names
    sizes = np.fromiter((len(text.encode(errors="replace")) + 1 for text in texts), np.int64, len(texts))
    ends = np.append(starts[1:], starts[-1:] + sizes[-1:])
    first = np.full(len(texts), NOBODY)
    first[functions.name_numbers[::-1]] = np.arange(len(functions))[::-1]
    at = program.pclntab_at + functions.table.funcname_at
    return Spans.of(starts + at, ends + at, program.name_owners, SpanKind.PCLNTAB, function=first)


def _file_spans(program: AttributedProgram) -> Iterator[Spans]:
    """Claim each unit's list of files, and the files' names by the folder they are in."""
    functions, at = program.functions, program.pclntab_at
    table = functions.table
    words = np.frombuffer(table.content[table.units_at : table.files_at], dtype=f"{table.order}u4",
                          count=(table.files_at - table.units_at) // 4).astype(np.int64)  # fmt: skip
    units = np.array(sorted(program.unit_owners), dtype=np.int64)
    units = units[(units >= 0) & (units < len(words))]
    if len(units):
        owners = np.array([program.unit_owners[int(unit)] for unit in units])
        ends = np.append(units[1:], len(words))
        yield Spans.of(units * 4 + table.units_at + at, ends * 4 + table.units_at + at, owners, SpanKind.PCLNTAB)
        row = np.searchsorted(units, np.arange(len(words)), side="right") - 1
        used = (words != _NO_FILE) & (words < len(table.filenames)) & (row >= 0)
        blobs = Blobs.used(
            words[used], owners[row[used]], np.full(int(used.sum()), NOBODY), len(table.filenames), SHARED
        )
        yield _by_folder(program, blobs).spans(table.files_at + at, SpanKind.PCLNTAB)


def _by_folder(program: AttributedProgram, blobs: Blobs) -> Blobs:
    """Attribute file names to the package in that directory, if the binary contains it."""
    names = program.functions.table.filenames
    owner, confidence = blobs.owner.copy(), blobs.confidence.copy()
    for row, (start, end) in enumerate(zip(blobs.start.tolist(), blobs.end.tolist(), strict=True)):
        folder = bytes(names[start:end]).rstrip(b"\0").decode(errors="replace").rpartition("/")[0]
        found = program.folders.package(folder)
        if found is not None:
            owner[row], confidence[row] = found, Confidence.EXACT
    return Blobs(blobs.start, blobs.end, owner, confidence, blobs.function)


def _row_spans(program: AttributedProgram) -> Spans:
    functions, at = program.functions, program.pclntab_at
    numbers = np.arange(len(functions))
    entries = at + functions.table.functab_at + 8 * numbers
    # A row reaches to the next one: what is between them is alignment.
    ends = np.append(functions.rows[1:], functions.end) + at
    return concatenated(
        Spans.of(starts, stops, program.function_owners, SpanKind.PCLNTAB, _known(program), numbers)
        for starts, stops in ((entries, entries + 8), (functions.rows + at, ends))
    )


def _funcdata_spans(program: AttributedProgram) -> Spans:
    functions, gofunc = program.functions, program.module["gofunc"]
    uses, _ = functions.funcdata
    limit = program.funcdata_end - gofunc
    return _used(program, uses, limit, gofunc, SpanKind.FUNCDATA)


def _used(program: AttributedProgram, uses: Uses, limit: int, at: int, kind: SpanKind) -> Spans:
    blobs = Blobs.used(uses.offset, program.function_owners[uses.function], uses.function, limit, SHARED)
    return blobs.spans(at, kind)


def _findfunc_span(program: AttributedProgram) -> Spans:
    start = program.module["findfunc"]
    buckets = -(-(program.module["maxpc"] - program.module["minpc"]) // _BUCKET)
    return Spans.one(start, start + _BUCKET_ROW * buckets, LINKER, SpanKind.PCLNTAB)
