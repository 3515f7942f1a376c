"""The functions of a Go binary, as arrays: where each begins, who compiled it, what the runtime keeps about it.

Imported late: it needs numpy. Sources: Go 1.20 to 1.27, runtime/runtime2.go (`_func`), runtime/symtabinl.go
(`inlinedCall`), cmd/link/internal/ld/pcln.go (who is put where, and what is put there once for all).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from wherry.errors import InvalidDocument
from wherry.golang.columns import Ints, members
from wherry.golang.pclntab import Pclntab
from wherry.golang.pcvalue import decode, first_values

INLINE_TREE: Final = 3
"""FUNCDATA_InlTree: the slot of a function's funcdata that tells what was inlined into it."""
NOTHING: Final = 0xFFFFFFFF
"""What stands in a slot that is empty."""

_ROW = 44
"""Bytes of a `_func` before its lists of pcdata and funcdata."""
_MOST_SLOTS = 64
_INLINED = 16
"""Bytes of an `inlinedCall`."""
_INLINE_INDEX = 2
"""PCDATA_InlTreeIndex: the table that tells which code is of which call in the inline tree."""
_NAME_OFFSET, _PCSP, _PCFILE, _PCLINE, _PCDATA_COUNT, _UNIT = 1, 4, 5, 6, 7, 8
_FUNCDATA_COUNT = 43
_LONGEST_PATH = 4096
"""Linux' PATH_MAX."""


@dataclass(frozen=True, slots=True)
class Uses:
    """Which functions use what: two columns, a row a use."""

    function: Ints
    """The function's number in the table."""
    offset: Ints
    """Where what it uses begins, in its table."""


@dataclass(frozen=True)
class Functions:
    """All functions that have code of their own, in the order of their addresses."""

    table: Pclntab
    starts: Ints
    """Bytes from the start of the code to each function; one more row says where the last one ends."""
    rows: Ints
    """Where in the section each function's row begins."""
    row_ends: Ints
    name_offsets: Ints
    units: Ints
    """The compilation unit: where its list of files begins. Go code of a package is one, each assembly file another;
    `NOTHING` for what the linker made."""
    pcdata_counts: Ints
    funcdata_counts: Ints

    @classmethod
    def read(cls, table: Pclntab) -> Self:
        """Read the table of functions and the fixed part of all rows.

        Raises:
            InvalidDocument: a row is outside the section, or the table is not in order.
        """
        words = _words(table, table.functab_at)
        count = table.functions
        if count == 0 or 2 * count + 1 > len(words):
            raise InvalidDocument(table.name, f"pclntab: {count} functions do not fit its {len(table.content)} bytes")
        starts = words[0 : 2 * count + 1 : 2].astype(np.int64)
        rows = words[1 : 2 * count : 2].astype(np.int64)
        _in_order(table, starts, rows)
        first = rows // 4
        pcdata = words[first + _PCDATA_COUNT].astype(np.int64)
        funcdata = _bytes(table)[table.functab_at + rows + _FUNCDATA_COUNT].astype(np.int64)
        ends = rows + _ROW + 4 * (pcdata + funcdata)
        _inside(table, pcdata, funcdata, rows, ends)
        names = words[first + _NAME_OFFSET].astype(np.int64)
        if names.max() >= len(table.funcnames):
            raise InvalidDocument(table.name, "pclntab: a function's name is outside the name table")
        at = table.functab_at
        return cls(table, starts, rows + at, ends + at, names, words[first + _UNIT].astype(np.int64), pcdata, funcdata)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sizes(self) -> Ints:
        """Bytes of code, the alignment behind it among them."""
        return np.diff(self.starts)

    @property
    def end(self) -> int:
        """Where in the section the rows end; funcdata may follow (Go 1.26 and newer)."""
        return int(self.row_ends[-1])

    @cached_property
    def all_names(self) -> tuple[list[str], Ints]:
        """Every name of the table, those that were only inlined too, and where it begins."""
        texts = bytes(self.table.funcnames).split(b"\0")
        texts = texts if texts[-1] else texts[:-1]
        sizes = np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts))
        return [text.decode(errors="replace") for text in texts], np.cumsum(sizes) - sizes

    @cached_property
    def name_numbers(self) -> Ints:
        """Which of all names each function has."""
        return np.searchsorted(self.all_names[1], self.name_offsets, side="right") - 1

    @cached_property
    def names(self) -> list[str]:
        """The functions' names, in the order of the table."""
        texts = self.all_names[0]
        return [texts[number] for number in self.name_numbers.tolist()]

    @cached_property
    def pc_tables(self) -> Uses:
        """Which tables of values each function uses; offsets count from `Pclntab.pcs_at`."""
        words = _words(self.table, self.table.functab_at)
        first = (self.rows - self.table.functab_at) // 4
        function, place = members(self.pcdata_counts)
        numbers = np.arange(len(self))
        functions = np.concatenate([numbers, numbers, numbers, function])
        places = np.concatenate([first + _PCSP, first + _PCFILE, first + _PCLINE, first[function] + _ROW // 4 + place])
        offsets = words[places].astype(np.int64)
        used = (offsets > 0) & (offsets < self.table.functab_at - self.table.pcs_at)
        return Uses(functions[used], offsets[used])

    @cached_property
    def files(self) -> Ints:
        """Give the file of each function's first instruction, by its number in the unit's list; -1: none."""
        words = _words(self.table, self.table.functab_at)
        offsets = words[(self.rows - self.table.functab_at) // 4 + _PCFILE].astype(np.int64)
        return first_values(self.table.content[self.table.pcs_at : self.table.functab_at], offsets)

    def file_names(self) -> list[str]:
        """Give the path of the file in which each function begins; empty where the table has none."""
        table = self.table
        count = (table.files_at - table.units_at) // 4
        lists = np.frombuffer(table.content[table.units_at :], dtype=f"{table.order}u4", count=count).astype(np.int64)
        place = np.where(self.files >= 0, self.units + self.files, count)
        # One more row stands for whatever has no file.
        offsets = np.append(lists, NOTHING)[np.minimum(place, count)]
        texts: dict[int, str] = {}
        for offset in np.unique(offsets).tolist():
            if 0 <= offset < len(table.filenames):
                content = bytes(table.filenames[offset : offset + _LONGEST_PATH])
                texts[offset] = content.partition(b"\0")[0].decode(errors="replace")
        return [texts.get(offset, "") for offset in offsets.tolist()]

    @cached_property
    def funcdata(self) -> tuple[Uses, Ints]:
        """Which funcdata each function uses, by offsets from `go:func.*`; and in which slot."""
        words = _words(self.table, self.table.functab_at)
        first = (self.rows - self.table.functab_at) // 4 + _ROW // 4 + self.pcdata_counts
        function, slot = members(self.funcdata_counts)
        offsets = words[first[function] + slot].astype(np.int64)
        used = offsets != NOTHING
        return Uses(function[used], offsets[used]), slot[used]

    def inlined(self, funcdata: memoryview) -> "Inlined":
        """Report which code was inlined, and the names of the functions it was written in.

        Args:
            funcdata: the bytes from `go:func.*` on.
        """
        uses, slots = self.funcdata
        trees = (slots == INLINE_TREE) & (self.pcdata_counts[uses.function] > _INLINE_INDEX)
        function, tree = uses.function[trees], uses.offset[trees]
        words = _words(self.table, self.table.functab_at)
        indexes = words[(self.rows[function] - self.table.functab_at + _ROW) // 4 + _INLINE_INDEX].astype(np.int64)
        some = indexes > 0
        function, tree, indexes = function[some], tree[some], indexes[some]
        runs = decode(self.table.content[self.table.pcs_at : self.table.functab_at], indexes, self.table.quantum)
        place = (tree[runs.table] + runs.value * _INLINED) // 4 + 1
        numbers = np.frombuffer(funcdata, dtype=f"{self.table.order}u4", count=len(funcdata) // 4)
        known = np.flatnonzero(place < len(numbers))
        name = numbers[place[known]].astype(np.int64)
        known, name = known[name < len(self.table.funcnames)], name[name < len(self.table.funcnames)]
        start, end = (self.starts[function[runs.table[known]]] + column[known] for column in (runs.start, runs.end))
        order = np.argsort(start, kind="stable")
        return Inlined(start[order], end[order], name[order])


@dataclass(frozen=True, slots=True)
class Inlined:
    """Ranges of code that came from elsewhere, by bytes from the start of all code; sorted."""

    start: Ints
    end: Ints
    name: Ints
    """Where in the table of names the function is that the code was written in."""


def _words(table: Pclntab, at: int) -> NDArray[np.uint32]:
    content = table.content[at:]
    return np.frombuffer(content, dtype=f"{table.order}u4", count=len(content) // 4)


def _bytes(table: Pclntab) -> NDArray[np.uint8]:
    return np.frombuffer(table.content, dtype=np.uint8)


def _in_order(table: Pclntab, starts: Ints, rows: Ints) -> None:
    if (np.diff(starts) < 0).any() or (np.diff(rows) < _ROW).any() or (rows % 4).any():
        raise InvalidDocument(table.name, "pclntab: functions are not sorted")
    if rows[0] < 4 * (2 * len(rows) + 1) or table.functab_at + rows[-1] + _ROW > len(table.content):
        raise InvalidDocument(table.name, "pclntab: a function's entry is outside the table")


def _inside(table: Pclntab, pcdata: Ints, funcdata: Ints, rows: Ints, ends: Ints) -> None:
    if max(pcdata.max(), funcdata.max()) > _MOST_SLOTS:
        raise InvalidDocument(table.name, f"pclntab: a function has more than {_MOST_SLOTS} tables")
    if (ends[:-1] > rows[1:]).any() or table.functab_at + ends[-1] > len(table.content):
        raise InvalidDocument(table.name, "pclntab: function entries overlap")
