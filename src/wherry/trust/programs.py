"""What a scan asks of a program: its build info, and the names of all functions linked into it, stripped or not.

Sources: those of `golang/buildinfo.py` and `golang/pclntab.py`; UPX 4.2, src/conf.h (`UPX_MAGIC_LE32`).
"""

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from wherry.errors import InvalidDocument
from wherry.golang import buildinfo, pclntab
from wherry.golang.buildinfo import BuildInfo

_ELF = b"\x7fELF"
_UPX = b"UPX!"
_UPX_WITHIN = 4096
_PACKERS = ((b"UPX0", b"UPX1"),)
_PCLNTAB = re.compile(rb"(?:[\xf0\xf1]\xff\xff\xff\0\0|\xff\xff\xff[\xf0\xf1]\0\0)[\x01\x02\x04][\x04\x08]")
_MOST_TRIED = 8
_LARGEST_NAMES = 256 << 20
"""Bytes: ten times what Kubernetes' largest programs have."""
_MACHO_PCLNTAB = ("__TEXT,__gopclntab", "__DATA_CONST,__gopclntab", "__DATA,__gopclntab", "__RODATA,__gopclntab")


@dataclass(frozen=True, slots=True)
class Program:
    """A Go program as a scan sees it."""

    name: str
    """What messages call it."""
    info: BuildInfo
    functions: bytes = field(repr=False)
    """The names of all functions, inlined ones too, each with a NUL behind it."""
    unreadable: str = ""
    """Why the names of functions are not known; empty where they are."""


class CannotScan(InvalidDocument):
    """A program has nothing that says which modules are in it: that is not the same as no findings."""

    exit_code = 5

    def __init__(self, name: str, reason: str, hint: str) -> None:
        super().__init__(name, f"cannot be scanned: {reason}", hint=hint)
        self.reason = reason


def read_program(view: memoryview, name: str) -> Program | None:
    """Read a program; None for one that was not built by Go.

    Args:
        view: the whole file, best a memory map.
        name: what messages call it.

    Raises:
        CannotScan: it is packed, or its build info cannot be read.
    """
    found = _tables(view, name)
    if found is None:
        if _is_packed(view):
            raise CannotScan(name, "it is packed by UPX, which hides its modules", "scan it before it is packed, or run `upx -d` on a copy")  # fmt: skip  # noqa: E501
        return None
    start, tables = found
    try:
        info = BuildInfo.parse(view[start:], name)
    except InvalidDocument as error:
        raise CannotScan(name, error.problem, error.hint or "build it again with a newer Go") from error
    problem = "it has no table of functions"
    for table in tables:
        try:
            names = pclntab.name_table(table, name)
            if len(names) > _LARGEST_NAMES:
                return Program(name, info, b"", f"its names of functions take {len(names)} bytes")
            return Program(name, info, bytes(names))
        except InvalidDocument as error:
            problem = error.problem
    return Program(name, info, b"", problem)


def _tables(view: memoryview, name: str) -> tuple[int, Iterator[memoryview]] | None:
    """Find the build info, and what may be the table of functions; None: it has no build info."""
    from wherry.foreign import macho, pe

    start = bytes(view[:4])
    if start == _ELF:
        return _of_elf(view, name)
    if start in macho.MAGICS:
        try:
            parts = {part.name: part for part in macho.parse(view, name).parts}
        except InvalidDocument:
            return _searched(view)
        named = [parts[one] for one in _MACHO_PCLNTAB if one in parts]
        place = next((part.offset for key, part in parts.items() if key.endswith(",__go_buildinfo")), None)
        if place is None or not named:
            return _searched(view)
        return place, iter([view[part.offset : part.offset + part.size] for part in named])
    if start.startswith(pe.MAGIC):
        return _searched(view)
    return None


def _of_elf(view: memoryview, name: str) -> tuple[int, Iterator[memoryview]] | None:
    from wherry.elf.reader import Elf

    try:
        elf = Elf.parse(view, name)
    except InvalidDocument:
        return _searched(view)
    info = elf.section(buildinfo.SECTION)
    named = [section for one in pclntab.SECTIONS if (section := elf.section(one)) is not None]
    if info is None or not named:
        # No section table, or no Go: few programs of a distribution are searched whole, since they have sections.
        return _searched(view) if not elf.sections or info is not None else None
    return info.offset, iter([elf.content(section) for section in named])


def _searched(view: memoryview) -> tuple[int, Iterator[memoryview]] | None:
    """Find both by how they start."""
    buffer = view.obj if isinstance(view.obj, mmap.mmap) and len(view.obj) == len(view) else view
    start = buildinfo.find(buffer)
    if start is None:
        return None
    places = (found.start() for found in _PCLNTAB.finditer(buffer))
    return start, (view[place:] for place in islice(places, _MOST_TRIED))


def _is_packed(view: memoryview) -> bool:
    start, end = bytes(view[:_UPX_WITHIN]), bytes(view[-_UPX_WITHIN:])
    return _UPX in start or _UPX in end or any(all(mark in start for mark in marks) for marks in _PACKERS)
