"""Symbol tables, as columns.

Imported late: it needs numpy. Source: System V gABI, "Symbol Table".
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from wherry.elf.reader import Elf

STT_OBJECT: Final = 1
STT_FUNC: Final = 2
_LONGEST_NAME = 1 << 12
"""Bytes; a name that goes on is taken for none."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """The rows of .symtab; none where there is none."""

    texts: memoryview
    name: NDArray[np.int64]
    """Where each one's name begins in `texts`."""
    type: NDArray[np.int64]
    section: NDArray[np.int64]
    value: NDArray[np.int64]
    """An address, in an executable."""
    size: NDArray[np.int64]

    @classmethod
    def of(cls, elf: Elf) -> Self:
        """Read the table; what does not fit a whole row is passed over."""
        table, texts = elf.section(".symtab"), elf.section(".strtab")
        wide, order = elf.wide, elf.order
        word = f"{order}u{8 if wide else 4}"
        fields = [("name", f"{order}u4"), ("info", "u1"), ("other", "u1"), ("section", f"{order}u2")]
        place = [("value", word), ("size", word)]
        row = np.dtype([*fields, *place] if wide else [fields[0], *place, *fields[1:]])
        content = elf.content(table) if table else memoryview(b"")
        rows = np.frombuffer(content, dtype=row, count=len(content) // row.itemsize)
        columns = [rows[name].astype(np.int64) for name in ("name", "info", "section", "value", "size")]
        columns[1] &= 15
        return cls(elf.content(texts) if texts else memoryview(b""), *columns)

    def text(self, row: int) -> str:
        """Read a row's name."""
        at = int(self.name[row])
        chunk = bytes(self.texts[at : at + 256])
        if b"\0" not in chunk:
            chunk = bytes(self.texts[at : at + _LONGEST_NAME])
        text, end, _ = chunk.partition(b"\0")
        return text.decode(errors="replace") if end else ""
