"""The texts behind names of the symbol table. Imported late: it needs numpy."""

from collections.abc import Iterator, Mapping

import numpy as np

from wherry.elf.reader import Elf
from wherry.elf.symbols import Symbols
from wherry.errors import InvalidDocument

_LONGEST = 4096


def texts_at(elf: Elf, names: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Read the bytes that symbols name, as text.

    Args:
        elf: the file.
        names: by where each begins in the table of names; what is given back is called so.
    """
    symbols = Symbols.of(elf)
    for row in np.flatnonzero(np.isin(symbols.name, list(names))).tolist():
        try:
            text = elf.read(int(symbols.value[row]), min(int(symbols.size[row]), _LONGEST))
        except InvalidDocument:
            continue
        yield names[int(symbols.name[row])], bytes(text).rstrip(b"\0").decode(errors="replace")
