"""The pclntab: the names and files of all functions, kept in every Go binary, stripped or not.

Source: Go 1.20 to 1.27, runtime/symtab.go (`pcHeader`), debug/gosym/pclntab.go.
"""

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from wherry.errors import InvalidDocument

SECTIONS: Final = (".gopclntab", ".data.rel.ro.gopclntab")
"""What the section is called; the second in a PIE of Go before 1.26."""
MAGIC: Final = 0xFFFFFFF1
"""Go 1.20 and newer."""

_GO_1_18 = 0xFFFFFFF0
_OLDER = {_GO_1_18: "Go 1.18 or 1.19", 0xFFFFFFFA: "Go 1.16 or 1.17", 0xFFFFFFFB: "Go before 1.16"}
_FIXED = 8
_WORDS = 8
"""nfunc, nfiles, textStart (0 from 1.26 on), and the offsets of funcname, cu, file, pc and function tables."""
_NAME = re.compile(rb"[^\x00]{1,65536}")


@dataclass(frozen=True, slots=True)
class Pclntab:
    """Where the tables are in the section; they were checked to be inside it, in order."""

    name: str
    content: memoryview
    order: str
    """`<` or `>`, as struct writes it."""
    pointer: int
    """Bytes of an address: 4 or 8."""
    quantum: int
    """Bytes that places in the code are counted by."""
    functions: int
    files: int
    text: int
    """The address that functions' places count from; 0 from Go 1.26 on, where only the module data has it."""
    funcname_at: int
    """Where in the section the table of functions' names begins; the others follow it in this order."""
    units_at: int
    """The compilation units' tables of files."""
    files_at: int
    pcs_at: int
    """The tables of values by place in the code: stack, file, line, inlining."""
    functab_at: int
    """The table of functions, and the rows it points at."""

    @classmethod
    def parse(cls, section: bytes | memoryview | mmap.mmap, name: str) -> Self:
        """Read the header.

        Args:
            section: the bytes of the section.
            name: what the reader knows the binary by.

        Raises:
            InvalidDocument: it is of a Go older than 1.20 or none at all, or a table is outside it.
        """
        content = memoryview(section)
        order, pointer = _shape(content, name)
        row = struct.Struct(f"{order}{_WORDS}{'Q' if pointer == 8 else 'I'}")  # noqa: PLR2004 - bytes of a pointer
        if len(content) < _FIXED + row.size:
            raise InvalidDocument(name, f"pclntab: {len(content)} bytes; its header alone has {_FIXED + row.size}")
        functions, files, text, funcname, cu, filetab, pctab, pcln = row.unpack_from(content, _FIXED)
        if not _FIXED + row.size <= funcname <= cu <= filetab <= pctab <= pcln <= len(content):
            raise InvalidDocument(name, f"pclntab: its tables are not in order within its {len(content)} bytes")
        if functions > len(content) or files > len(content):
            raise InvalidDocument(name, f"pclntab: {functions} functions and {files} files in {len(content)} bytes")
        return cls(
            name, content, order, pointer, content[6] or 1, functions, files, text, funcname, cu, filetab, pctab, pcln
        )

    @property
    def funcnames(self) -> memoryview:
        """The names of functions, each with a NUL behind it."""
        return self.content[self.funcname_at : self.units_at]

    @property
    def filenames(self) -> memoryview:
        """The paths of files, each with a NUL behind it."""
        return self.content[self.files_at : self.pcs_at]

    def function_names(self) -> Iterator[str]:
        """Give the names of all functions, inlined ones too, in the order of the table; each once."""
        return _names(self.funcnames)

    def file_names(self) -> Iterator[str]:
        """Give the paths of all source files, as the binary has them (with -trimpath: import paths)."""
        return _names(self.filenames)

    def has_function(self, name: str) -> bool:
        """Report whether a function is linked in, be it only inlined into others.

        Cost: one search over the names, about a millisecond for a megabyte.
        """
        return self.has_any((name,))

    def has_any(self, names: tuple[str, ...]) -> bool:
        """Report whether one of several functions is linked in."""
        wanted = b"|".join(re.escape(name.encode()) for name in names)
        return re.search(rb"(?:\A|\x00)(?:" + wanted + rb")\x00", self.funcnames) is not None


def name_table(section: bytes | memoryview | mmap.mmap, name: str = "pclntab") -> memoryview:
    """Give the names of all functions, inlined ones too, each with a NUL behind it; Go 1.18 and 1.19 are read too.

    Raises:
        InvalidDocument: it is of a Go older than 1.18 or none at all, or the table is outside it.

    Source: Go 1.18, runtime/symtab.go (`pcHeader`): the header is that of Go 1.20.
    """
    content = memoryview(section)
    if len(content) > _FIXED and content[7] in {4, 8}:
        order = "<" if content[3] == 0xFF else ">"  # noqa: PLR2004 - the highest byte of every magic
        row = struct.Struct(f"{order}I4x{_WORDS}{'Q' if content[7] == 8 else 'I'}")  # noqa: PLR2004 - as above
        if len(content) >= row.size:
            magic, _, _, _, funcname, cu, *_ = row.unpack_from(content)
            if magic == _GO_1_18 and row.size <= funcname <= cu <= len(content):
                return content[funcname:cu]
    return Pclntab.parse(content, name).funcnames


def function_names(section: bytes | memoryview, name: str = "pclntab") -> Iterator[str]:
    """Give the names of all functions of a section; as `Pclntab.function_names`."""
    return Pclntab.parse(section, name).function_names()


def has_function(section: bytes | memoryview, function: str, name: str = "pclntab") -> bool:
    """Report whether a function is linked in; as `Pclntab.has_function`."""
    return Pclntab.parse(section, name).has_function(function)


def _shape(content: memoryview, name: str) -> tuple[str, int]:
    """Find byte order and pointer size, and that the Go is one we know."""
    if len(content) < _FIXED:
        raise InvalidDocument(name, f"pclntab: {len(content)} bytes; its header alone has more")
    order = "<" if content[3] == 0xFF else ">"  # noqa: PLR2004 - the highest byte of every magic
    (magic,) = struct.unpack_from(order + "I", content)
    if magic != MAGIC:
        if magic in _OLDER:
            raise InvalidDocument(
                name,
                f"pclntab: the format of {_OLDER[magic]} is not supported; it must be Go 1.20 or newer",
                hint="build it with a newer Go",
            )
        raise InvalidDocument(
            name,
            f"pclntab: unknown format {magic:#010x}; wherry reads up to Go 1.27",
            hint="use a newer wherry; if the binary is obfuscated (garble), build it without",
        )
    if content[7] not in {4, 8}:
        raise InvalidDocument(name, f"pclntab: pointer size {content[7]}; it must be 4 or 8")
    return order, content[7]


def _names(table: memoryview) -> Iterator[str]:
    for found in _NAME.finditer(table):
        yield found.group().decode(errors="replace")
