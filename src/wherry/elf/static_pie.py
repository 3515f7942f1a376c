"""A PIE of Go made static: a stub of 150 bytes relocates it, so that it needs no dynamic linker.

Go links `-buildmode=pie` without a C compiler, but asks for the system's dynamic linker, which a static base does not
have. All that it would do is to add the load address to some ten thousand words. The stub does that, makes the
relocated constants read-only, and goes to the program's entry. What is not understood is refused, never guessed.

Sources: System V gABI, "Dynamic Section", "Program Header"; x86-64 psABI 1.0 (R_X86_64_RELATIVE); ELF for the Arm
64-bit architecture (R_AARCH64_RELATIVE); Linux 6.1, fs/binfmt_elf.c (an ET_DYN without PT_INTERP is put where the
kernel puts a dynamic linker: at an address that changes with each start); Go 1.26, cmd/link/internal/ld/elf.go.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from wherry.elf.dynamic import dynamic_entries
from wherry.elf.machine import architecture
from wherry.elf.reader import ET_DYN, PT_DYNAMIC, PT_INTERP, PT_LOAD, Elf, Segment
from wherry.errors import InvalidDocument

VERSION: Final = 1
"""Of what is made of the same PIE; raised when that changes."""
_PT_PHDR, _PT_TLS, _PT_GNU_RELRO = 6, 7, 0x6474E552
_READ_EXECUTE, _WRITE = 5, 2
_PAGE = 0x1000
"""What the stub is aligned to in the file."""
_NEEDED, _RELA, _RELA_SIZE, _RELA_ENTRY, _JUMPS = 1, 7, 8, 9, 2
_KNOWN = frozenset({4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 23, _JUMPS, 3, 24, 30, 0x6FFFFEF5, 0x6FFFFFFB, 0x6FFFFFF9})
"""Tags that ask for nothing but what the stub does: tables of symbols and texts, DT_RELA and its sizes, flags."""
_TEXTREL_FLAG = 4
_ROW = struct.Struct("<QQq")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_WORD = 8
_PHOFF, _PHNUM, _ENTRY = 32, 56, 24
_HIGHEST = 1 << 40
"""Linkers give a PIE addresses from 0 on."""


@dataclass(frozen=True, slots=True)
class _Machine:
    code: bytes
    """The stub (stubs/*.S) without its table."""
    relative: int
    """R_…_RELATIVE."""
    page: int
    """The largest page of its kernels."""


_MACHINES: Mapping[str, _Machine] = {
    "amd64": _Machine(
        bytes.fromhex(
            "488d1df9ffffff482b1d5a000000488b355b0000004801de488b0d590000004885c97417488b3e488b46104801d84889"
            "043b4883c61848ffc9ebe4488b3d3e0000004801df488b353c000000ba01000000b80a0000000f05488b053100000048"
            "01d831d2ffe06690"
        ),
        relative=8,
        page=0x1000,
    ),
    "arm64": _Machine(
        bytes.fromhex(
            "09000010ea02005829010acbeb0200586b01098bec0200580c0100b46d0140f96e0940f9ce01098b2e692df86b610091"
            "8c0500d1f9ffff17000200580000098b01020058220080d2481c80d2010000d4ca0100584a01098b000080d240011fd6"
        ),
        relative=1027,
        page=0x10000,
    ),
}
ARCHITECTURES: Final = tuple(_MACHINES)
"""Those that there is a stub for."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes to write into a file, from an offset on; one of them may be behind its end."""

    offset: int
    content: bytes


def static_pie(elf: Elf) -> tuple[Patch, ...]:
    """Say what to write into a PIE, so that it starts without a dynamic linker.

    Raises:
        InvalidDocument: it is not a PIE that Go linked without C, or asks for more than relative relocations.

    Cost: one pass over the relocations; 30 ms for 90,000.
    """
    machine = _MACHINES.get(architecture(elf))
    if machine is None or elf.type != ET_DYN:
        raise InvalidDocument(elf.name, f"not a PIE for {' or '.join(ARCHITECTURES)}")
    if not elf.interpreter:
        raise InvalidDocument(elf.name, "it starts without a dynamic linker already")
    loads = [segment for segment in elf.segments if segment.type == PT_LOAD]
    if not loads or any(one.address + one.size > _HIGHEST for one in loads):
        raise InvalidDocument(elf.name, "its segments are not those of a PIE")
    relocations = _relocations(elf, machine)
    offset = _up(len(elf.view), _PAGE)
    address = _up(max(one.address + one.size for one in loads), 0x10000) + offset % 0x10000
    start, size = _protected(elf, loads, machine.page)
    table = struct.pack("<6Q", address, *relocations, start, size, elf.entry)
    stub = machine.code + table
    own = Segment(PT_LOAD, _READ_EXECUTE, offset, address, len(stub), len(stub), machine.page)
    return (
        Patch(_ENTRY, struct.pack("<Q", address)),
        *_headers(elf, own),
        Patch(offset, stub),
    )


def _relocations(elf: Elf, machine: _Machine) -> tuple[int, int]:
    """Check the dynamic section and each relocation; give where they are and how many."""
    tags = dict(dynamic_entries(elf) or ())
    if _NEEDED in tags:
        raise InvalidDocument(elf.name, "it needs a library (DT_NEEDED)")
    strange = sorted(tag for tag in tags if tag not in _KNOWN)
    if strange or tags.get(_JUMPS) or tags.get(30, 0) & _TEXTREL_FLAG:
        what = f"tag {strange[0]:#x}" if strange else "relocations of jumps or of code"
        raise InvalidDocument(elf.name, f"its dynamic section asks for {what}")
    place, size = tags.get(_RELA, 0), tags.get(_RELA_SIZE, 0)
    if not place or size % _ROW.size or tags.get(_RELA_ENTRY) != _ROW.size:
        raise InvalidDocument(elf.name, "it has no table of relocations (DT_RELA)")
    if any(segment.type == _PT_TLS and segment.stored for segment in elf.segments):
        raise InvalidDocument(elf.name, "it has initialised thread-local variables (PT_TLS)")
    writable = [
        (one.address, one.address + one.size - _WORD)
        for one in elf.segments
        if one.type == PT_LOAD and one.flags & _WRITE
    ]
    for offset, info, _ in _ROW.iter_unpack(elf.read(place, size)):
        if info != machine.relative or not any(first <= offset <= last for first, last in writable):
            raise InvalidDocument(elf.name, f"its relocation at {offset:#x} is not one of a writable word by its base")
    return place, size // _ROW.size


def _protected(elf: Elf, loads: list[Segment], page: int) -> tuple[int, int]:
    """Give the whole pages that are read-only after relocation, and share none with what is written later."""
    relro = next((one for one in elf.segments if one.type == _PT_GNU_RELRO), None)
    if relro is None:
        return 0, 0
    start, end = _up(relro.address, page), relro.address + relro.size
    inside = [one for one in loads if one.address <= relro.address and end <= one.address + one.size]
    if not inside or not inside[0].flags & _WRITE:
        raise InvalidDocument(elf.name, "PT_GNU_RELRO is in no writable segment")
    others = [one.address for one in loads if one is not inside[0] and one.address >= end]
    alone = end == inside[0].address + inside[0].size and all(_up(end, page) <= one for one in others)
    end = _up(end, page) if alone else end // page * page
    return (start, end - start) if end > start else (0, 0)


def _headers(elf: Elf, own: Segment) -> Iterator[Patch]:
    """Write the program headers again: without the dynamic linker, with the stub after the last loaded segment."""
    (phoff,) = struct.unpack_from("<Q", elf.view, _PHOFF)
    kept = [one for one in elf.segments if one.type not in {PT_INTERP, _PT_PHDR}]
    last = max(place for place, one in enumerate(kept) if one.type == PT_LOAD)
    kept.insert(last + 1, own)
    if len(kept) > len(elf.segments) or not any(one.type == PT_DYNAMIC for one in kept):
        raise InvalidDocument(elf.name, "there is no room for one more program header")
    rows = b"".join(map(_row, kept))
    yield Patch(_PHNUM, struct.pack("<H", len(kept)))
    yield Patch(phoff, rows.ljust(len(elf.segments) * _SEGMENT.size, b"\0"))


def _row(one: Segment) -> bytes:
    return _SEGMENT.pack(one.type, one.flags, one.offset, one.address, one.address, one.stored, one.size, one.alignment)


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
