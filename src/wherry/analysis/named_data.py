"""Variables that symbols name: address, size and package of each; also as a record of a stripped program.

Imported late: it needs numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np

from wherry.analysis.spans import Ints
from wherry.elf.reader import SHF_ALLOC, SHF_EXECINSTR, Elf
from wherry.elf.symbols import STT_FUNC, Symbols
from wherry.errors import InvalidDocument
from wherry.golang.names import package_of
from wherry.typed import from_msgpack

_NO_OBJECT = (".*", "·f")
_FORMAT = 1
_MOST = 1 << 24
"""Variables of a record that we read; large programs have a hundred thousand."""


class _Record(msgspec.Struct, frozen=True):
    """The form in which variables are kept: columns of differences, which compress well."""

    format: int
    program: str
    """The digest of the program they are of."""
    packages: tuple[str, ...]
    gaps: bytes
    """int64, from each variable's address to the next one's."""
    sizes: bytes
    """int64."""
    owners: bytes
    """int32, by number in `packages`."""


@dataclass(frozen=True, slots=True)
class NamedData:
    """Variables, in the order of their addresses."""

    start: Ints
    size: Ints
    package: Ints
    """By number in `packages`."""
    packages: Sequence[str]

    def __len__(self) -> int:
        return len(self.start)

    def encoded(self, program: str) -> bytes:
        """Write a record.

        Args:
            program: the digest of the program without symbols.
        """
        import zstandard

        gaps = np.diff(self.start, prepend=0).astype("<i8").tobytes()
        columns = gaps, self.size.astype("<i8").tobytes(), self.package.astype("<i4").tobytes()
        record = _Record(_FORMAT, program, tuple(self.packages), *columns)
        return zstandard.ZstdCompressor(level=19).compress(msgspec.msgpack.encode(record))

    @classmethod
    def parse(cls, content: bytes, program: str, name: str) -> Self:
        """Read a record.

        Args:
            content: its bytes.
            program: the digest of the program that it has to be of.
            name: what the reader knows it by.

        Raises:
            InvalidDocument: it is no such record, or of another program.
        """
        import zstandard

        try:
            plain = zstandard.ZstdDecompressor().decompress(content, max_output_size=20 * _MOST)
            record = from_msgpack(plain, _Record)
        except (zstandard.ZstdError, msgspec.DecodeError) as error:
            raise InvalidDocument(name, f"not a symbol data record: {error}") from error
        if record.format != _FORMAT or record.program != program:
            raise InvalidDocument(name, f"it belongs to {record.program}, format {record.format}; expected {program}")
        wide, count = 8, len(record.owners) // 4
        if len(record.gaps) != wide * count or len(record.sizes) != wide * count or len(record.owners) != 4 * count:
            raise InvalidDocument(name, "its columns differ in length")
        owners = np.frombuffer(record.owners, "<i4").astype(np.int64)
        if count and not 0 <= owners.min() <= owners.max() < len(record.packages):
            raise InvalidDocument(name, "a variable has a package that is not listed")
        start = np.cumsum(np.frombuffer(record.gaps, "<i8"))
        size = np.frombuffer(record.sizes, "<i8").astype(np.int64)
        if count and (
            min(int(start.min()), int(size.min())) < 0 or int(start.max()) > 1 << 62 or int(size.max()) > 1 << 48
        ):
            raise InvalidDocument(name, "a variable is outside the address space")
        return cls(start, size, owners, record.packages)


def named_data(elf: Elf) -> NamedData:
    """Read the variables that a symbol table names with a package."""
    symbols = Symbols.of(elf)
    some = np.flatnonzero((symbols.size > 0) & (symbols.type != STT_FUNC))
    inside = np.zeros(len(some), dtype=bool)
    for section in elf.sections:
        if section.flags & SHF_ALLOC and not section.flags & SHF_EXECINSTR and section.stored:
            value = symbols.value[some]
            inside |= (value >= section.address) & (value < section.address + section.stored)
    some = some[inside & (symbols.size[some] < len(elf.view))]
    names = [symbols.text(row) for row in some.tolist()]
    packages = ["" if name.endswith(_NO_OBJECT) else package_of(name) for name in names]
    numbers = {package: at for at, package in enumerate(dict.fromkeys(filter(None, packages)))}
    owned = np.fromiter((bool(package) for package in packages), bool, len(packages))
    some = some[owned]
    package = np.fromiter((numbers[one] for one in packages if one), np.int64, len(some))
    order = np.lexsort((symbols.size[some], symbols.value[some]))
    start, size = symbols.value[some][order].astype(np.int64), symbols.size[some][order].astype(np.int64)
    return NamedData(start, size, package[order], tuple(numbers))
