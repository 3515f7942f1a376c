"""Instructions of amd64: only so much of them as tells where each ends and which address it mentions.

All instructions are stepped through side by side, from the start of every function and from places inside long ones
(a wrong start is mended by itself within a few instructions: the encoding synchronises). Imported late: it needs numpy.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: chapter 2 (prefixes, ModR/M, SIB,
VEX, EVEX) and appendix A (opcode maps).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Octets = NDArray[np.uint8]

_STRIDE: Final = 512
"""Bytes of a long function that are stepped through from one start."""
_LEAD: Final = 64
"""Bytes before it where stepping begins, so that it is in step when it counts."""
_TAIL = 16
"""Bytes after the code that may be read: an instruction has at most 15."""

_MODRM, _IMM8, _IMM16, _IMM32, _WIDE, _GROUP3, _MOFFS = 1, 2, 4, 8, 16, 32, 64
"""What follows an opcode: ModR/M, immediates; WIDE: 8 bytes with REX.W, GROUP3: an immediate only for TEST."""


def _one_byte() -> Octets:
    table = np.zeros(256, np.uint8)
    for row in range(0, 0x40, 8):
        table[row : row + 4] = _MODRM
        table[row + 4], table[row + 5] = _IMM8, _IMM32
    table[[0x63, *range(0x84, 0x90), *range(0xD0, 0xD4), *range(0xD8, 0xE0), 0xFE, 0xFF]] = _MODRM
    table[[0x69, 0x81, 0xC7]] = _MODRM | _IMM32
    table[[0x6B, 0x80, 0x82, 0x83, 0xC0, 0xC1, 0xC6]] = _MODRM | _IMM8
    table[[0x6A, *range(0x70, 0x80), 0xA8, *range(0xB0, 0xB8), 0xCD, 0xD4, 0xD5, *range(0xE0, 0xE8), 0xEB]] = _IMM8
    table[[0x68, 0xA9, 0xE8, 0xE9]] = _IMM32
    table[0xA0:0xA4] = _MOFFS
    table[0xB8:0xC0] = _IMM32 | _WIDE
    table[[0xC2, 0xCA]] = _IMM16
    table[0xC8] = _IMM16 | _IMM8
    table[0xF6] = _MODRM | _IMM8 | _GROUP3
    table[0xF7] = _MODRM | _IMM32 | _GROUP3
    return table


def _two_byte() -> Octets:
    table = np.full(256, _MODRM, np.uint8)
    bare = (*range(0x05, 0x0A), 0x0B, 0x0E, *range(0x30, 0x38), 0x77, 0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA)
    table[[*bare, *range(0xC8, 0xD0)]] = 0
    table[0x80:0x90] = _IMM32
    table[[*range(0x70, 0x74), 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6]] = _MODRM | _IMM8
    return table


_SHAPES: Final = np.concatenate(
    [_one_byte(), _two_byte(), np.full(256, _MODRM, np.uint8), np.full(256, _MODRM | _IMM8, np.uint8)]
)
"""What follows an opcode, by map (one byte, 0F, 0F 38, 0F 3A) and opcode."""
_PREFIX: Final = np.zeros(256, bool)
_PREFIX[[0x66, 0xF2, 0xF3, 0xF0, 0x2E, 0x3E, 0x64, 0x65, 0x26, 0x36, 0x67]] = True
_MOST_PREFIXES = 4


def mentions(code: memoryview, starts: Ints) -> tuple[Ints, Ints]:
    """Find the instructions that mention an address relative to their own.

    Args:
        code: machine code.
        starts: bytes from its first byte to each function; one more says where the last one ends.

    Returns:
        Where such instructions are, and what they mention: bytes from the code's first byte, negative ones too.

    Cost: some 0.3 s for 10 MB, and 100 bytes for each function and each 512 bytes of code.
    """
    octets = np.concatenate([np.frombuffer(code, dtype=np.uint8), np.zeros(_TAIL, np.uint8)])
    position, counted, stop = _lanes(np.clip(starts, 0, len(code)))
    places: list[Ints] = [np.zeros(0, np.int64)]
    targets: list[Ints] = [np.zeros(0, np.int64)]
    while len(position):
        following, relative, target = _step(octets, position)
        some = relative & (position >= counted)
        places.append(position[some])
        targets.append(target[some])
        going = following < stop
        position, counted, stop = following[going], counted[going], stop[going]
    return np.concatenate(places), np.concatenate(targets)


def _lanes(starts: Ints) -> tuple[Ints, Ints, Ints]:
    """Say where stepping begins, from where on it counts, and where it ends."""
    begin, end = starts[:-1], starts[1:]
    pieces = np.maximum(1, -(-(end - begin) // _STRIDE))
    owner = np.repeat(np.arange(len(begin)), pieces)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    counted = begin[owner] + number * _STRIDE
    stop = np.minimum(counted + _STRIDE, end[owner])
    position = np.where(number == 0, counted, counted - _LEAD)
    some = counted < stop
    return position[some], counted[some], stop[some]


def _step(octets: Octets, position: Ints) -> tuple[Ints, NDArray[np.bool_], Ints]:
    """Step over one instruction everywhere: where the next is, and what is mentioned, where anything is."""
    at, short = _behind_prefixes(octets, position)
    at, wide = _behind_rex(octets, at)
    at, table = _map(octets, at)
    opcode = octets[at].astype(np.int64)
    shape = _SHAPES[table * 256 + opcode]
    has = (shape & _MODRM) != 0
    modrm = octets[at + 1]
    tail, relative = _addressing(octets, at + 1, modrm)
    end = at + 1 + np.where(has, tail, 0)
    displacement_end = end
    digit = ((modrm >> 3) & 7).astype(np.uint8)
    end = end + _immediate(shape, digit, short=short, wide=wide)
    relative &= has
    target = end + _signed32(octets, np.minimum(displacement_end, len(octets)) - 4)
    return np.minimum(end, len(octets) - _TAIL), relative, target


def _behind_prefixes(octets: Octets, at: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    short = np.zeros(len(at), dtype=bool)
    for _ in range(_MOST_PREFIXES):
        byte = octets[at]
        prefix = _PREFIX[byte]
        if not prefix.any():
            break
        short |= byte == 0x66  # noqa: PLR2004 - operand size
        at = at + prefix
    return at, short


def _behind_rex(octets: Octets, at: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    byte = octets[at]
    rex = (byte & 0xF0) == 0x40  # noqa: PLR2004 - 0100WRXB
    return at + rex, rex & ((byte & 8) != 0)


def _map(octets: Octets, at: Ints) -> tuple[Ints, Ints]:
    """Find the opcode, and which map it is of."""
    byte = octets[at]
    table = np.zeros(len(at), np.int64)
    escape = byte == 0x0F  # noqa: PLR2004 - the two-byte map
    second = octets[at + 1]
    three = escape & ((second == 0x38) | (second == 0x3A))  # noqa: PLR2004 - the three-byte maps
    table[escape] = 1
    table[three] = np.where(second[three] == 0x38, 2, 3)  # noqa: PLR2004 - as above
    at = at + escape + three
    vex2, vex3, evex = byte == 0xC5, byte == 0xC4, byte == 0x62  # noqa: PLR2004 - VEX and EVEX
    table[vex2] = 1
    longer = vex3 | evex
    if longer.any():
        table[longer] = np.clip(second[longer] & 7, 1, 3)
    return at + 2 * vex2 + 3 * vex3 + 4 * evex, table


def _addressing(octets: Octets, at: Ints, modrm: Octets) -> tuple[Ints, NDArray[np.bool_]]:
    """Report how many bytes ModR/M and what belongs to it take, and whether it is relative to the instruction."""
    mode, register = modrm >> 6, modrm & 7
    memory = mode != 3  # noqa: PLR2004 - a register
    sib = memory & (register == 4)  # noqa: PLR2004 - an index follows
    relative = (mode == 0) & (register == 5)  # noqa: PLR2004 - RIP
    no_base = sib & (mode == 0) & ((octets[at + 1] & 7) == 5)  # noqa: PLR2004 - no base
    wide = (mode == 2) | relative | no_base  # noqa: PLR2004 - 32 bits
    return 1 + sib + np.where(wide, 4, np.where(mode == 1, 1, 0)), relative


def _immediate(shape: Octets, digit: Octets, *, short: NDArray[np.bool_], wide: NDArray[np.bool_]) -> Ints:
    has = ((shape & _GROUP3) == 0) | (digit < 2)  # noqa: PLR2004 - TEST
    size = np.where((shape & _IMM8) != 0, 1, 0) + np.where((shape & _IMM16) != 0, 2, 0)
    size += np.where((shape & _IMM32) != 0, np.where(short, 2, 4), 0)
    size = np.where(((shape & _WIDE) != 0) & wide, 8, size)
    return np.where(has, size, 0) + np.where((shape & _MOFFS) != 0, 8, 0)


def _signed32(octets: Octets, at: Ints) -> Ints:
    value = octets[at].astype(np.int64)
    for place, shift in ((1, 8), (2, 16), (3, 24)):
        value |= octets[at + place].astype(np.int64) << shift
    return value - ((value & 0x80000000) << 1)
