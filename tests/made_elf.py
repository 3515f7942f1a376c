"""ELF files made by hand: a few hundred bytes with the dynamic section that a test asks for."""

import struct
from typing import NamedTuple

BASE = 0x400000


class Shape(NamedTuple):
    """Class, byte order and machine of a file."""

    order: str = "<"
    wide: bool = True
    machine: int = 62


NATIVE = Shape()
"""x86-64."""


def made_elf(
    *entries: tuple[int, int], texts: bytes = b"\0", interpreter: str = "", shape: Shape = NATIVE, entry: int = BASE
) -> bytes:
    """Make a file of one loaded segment and a dynamic section; DT_STRTAB and DT_STRSZ are put in.

    Args:
        entries: tags and values of the dynamic section.
        texts: what the values of DT_NEEDED and the like point into.
        interpreter: PT_INTERP, where it is not empty.
        shape: class, byte order and machine.
        entry: where it starts; 0 for a library.
    """
    word = "Q" if shape.wide else "I"
    header = struct.Struct(f"{shape.order}HHI{word * 3}IHHHHHH")
    segment = struct.Struct(shape.order + ("II6Q" if shape.wide else "8I"))
    start = 16 + header.size
    place = start + 3 * segment.size
    strings = place + struct.calcsize(f"{shape.order}{2 * word}") * (len(entries) + 3)
    table = b"".join(
        struct.pack(f"{shape.order}{2 * word}", *tag)
        for tag in [*entries, (5, BASE + strings), (10, len(texts)), (0, 0)]
    )
    path = interpreter.encode() + b"\0" if interpreter else b""
    size = strings + len(texts) + len(path)

    def row(kind: int, offset: int, length: int) -> bytes:
        if shape.wide:
            return segment.pack(kind, 4, offset, BASE + offset, BASE + offset, length, length, 1)
        return segment.pack(kind, offset, BASE + offset, BASE + offset, length, length, 4, 1)

    ident = b"\x7fELF" + bytes([2 if shape.wide else 1, 1 if shape.order == "<" else 2, 1]) + bytes(9)
    head = header.pack(3, shape.machine, 1, entry, start, 0, 0, start, segment.size, 3, 0, 0, 0)
    asks = row(3 if path else 0, size - len(path), len(path))
    return ident + head + row(1, 0, size) + row(2, place, len(table)) + asks + table + texts + path
