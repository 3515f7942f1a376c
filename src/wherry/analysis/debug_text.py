"""The texts of DWARF, inflated as a stream and never whole: paths and compilers' words.

Sources: DWARF 5, 7.26 (".debug_line_str"); System V gABI, "Section Compression"; Go before 1.19, cmd/link
(".zdebug_", where "ZLIB" and a length of 8 bytes come first).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from wherry.analysis.searching import BLOCK, blocks
from wherry.elf.reader import Elf, Section
from wherry.errors import InvalidDocument

SHF_COMPRESSED = 0x800
_ZLIB = 1
_ZSTD = 2
_OLD_HEADER = 12
_NAMES = ("line", "line_str", "str", "gdb_scripts")
"""Where paths are: Go and C compilers keep none of them in the other sections, which are numbers and names."""


@dataclass(frozen=True, slots=True)
class DebugText:
    """A section of texts."""

    section: Section
    elf: Elf

    def stream(self, most: int) -> Iterator[bytes]:
        """Give its bytes, inflated where they are compressed.

        Args:
            most: bytes after which it ends, whatever the section says of itself.

        Raises:
            InvalidDocument: it does not inflate, or ends too soon.
        """
        content = self.elf.content(self.section)
        if self.section.name.startswith(".zdebug_"):
            yield from self._inflated(content[_OLD_HEADER:], most)
        elif not self.section.flags & SHF_COMPRESSED:
            yield from blocks(content[:most])
        else:
            row = struct.Struct(self.elf.order + ("IIQQ" if self.elf.wide else "III"))
            if len(content) < row.size:
                raise InvalidDocument(
                    self.elf.name, f"{self.section.name}: {len(content)} bytes, no compression header"
                )
            kind = row.unpack_from(content)[0]
            if kind == _ZSTD:
                yield from self._zstd(content[row.size :], most)
            elif kind == _ZLIB:
                yield from self._inflated(content[row.size :], most)
            else:
                raise InvalidDocument(self.elf.name, f"{self.section.name}: unknown compression type {kind}")

    def _inflated(self, content: memoryview, most: int) -> Iterator[bytes]:
        inflater = zlib.decompressobj()
        try:
            for block in blocks(content):
                given = inflater.decompress(block, BLOCK)
                while given and most > 0:
                    most -= len(given)
                    yield given
                    given = inflater.decompress(inflater.unconsumed_tail, BLOCK)
                if most <= 0 or inflater.eof:
                    return
        except zlib.error as error:
            raise InvalidDocument(self.elf.name, f"{self.section.name} does not inflate: {error}") from error
        raise InvalidDocument(self.elf.name, f"{self.section.name}: compressed data is truncated")

    def _zstd(self, content: memoryview, most: int) -> Iterator[bytes]:
        import zstandard

        try:
            with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(content) as reader:
                while most > 0 and (given := reader.read(BLOCK)):
                    most -= len(given)
                    yield given
        except zstandard.ZstdError as error:
            raise InvalidDocument(self.elf.name, f"{self.section.name} does not inflate: {error}") from error


def debug_texts(elf: Elf) -> tuple[DebugText, ...]:
    """Name the sections of DWARF that hold texts."""
    wanted = {f"{start}{name}" for start in (".debug_", ".zdebug_") for name in _NAMES}
    return tuple(DebugText(section, elf) for section in elf.sections if section.name in wanted and section.stored)
