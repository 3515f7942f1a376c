"""Real binaries, broken: bytes, words and whole ranges changed where they hurt, or the file cut short."""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from wherry.analysis.program import AttributedProgram
from wherry.elf.reader import Elf

_WORDS = (0, 1, 2, 7, 8, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)
_LONG = (*_WORDS, 1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 8, (1 << 64) - 1)


@dataclass(frozen=True, slots=True)
class Target:
    """Bytes of the file that are worth breaking."""

    name: str
    start: int
    end: int


def targets_of(binary: bytes) -> list[Target]:
    """Find where the tables of a Go program are: the file's, the pclntab's, the module data, types, symbols."""
    elf = Elf.parse(binary, "the original")
    program = AttributedProgram.of(elf)
    module, table, space = program.module, program.functions.table, program.space
    (phoff, shoff) = struct.unpack_from("<QQ", binary, 32)

    def at(name: str, address: int, size: int) -> Target:
        offset = space.offset(address)
        assert offset is not None
        return Target(name, offset, offset + size)

    found = [
        Target("header", 0, 64),
        Target("segments", phoff, phoff + 56 * len(elf.segments)),
        Target("sections", shoff, shoff + 64 * len(elf.sections)),
        at("pclntab's header", program.pclntab_at, 72),
        at("functab", program.pclntab_at + table.functab_at, 4096),
        at("functions' rows", program.pclntab_at + int(program.functions.rows[0]), 1 << 16),
        at("tables by place", program.pclntab_at + table.pcs_at, 1 << 14),
        at("names", program.pclntab_at + table.funcname_at, 1 << 14),
        at("units", program.pclntab_at + table.units_at, 1 << 12),
        at("module data", module.address, module.size),
        at("types", module["types"], min(1 << 16, module["etypes"] - module["types"])),
        at("funcdata", module["gofunc"], 1 << 12),
    ]
    found += [at(name, module[name], 256) for name in ("typelinks", "itablinks", "inittasks") if module.get(name)]
    for name in (".symtab", ".strtab", ".rela", ".dynamic", ".go.buildinfo", ".note.go.buildid", ".text", ".noptrdata"):
        section = elf.section(name)
        if section:
            found.append(Target(name, section.offset, section.offset + min(section.stored, 1 << 14)))
    return found


def mutations(binary: bytes, seed: int) -> Iterator[tuple[str, bytearray]]:
    """Break a binary again and again; each comes with what was done, so that it can be done once more."""
    targets, dice = targets_of(binary), random.Random(seed)  # noqa: S311 - the same each time is what is asked
    while True:
        changed = bytearray(binary)
        done: list[str] = []
        for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
            target = dice.choice(targets)
            done.append(
                f"{target.name}: {dice.choice((_byte, _word, _word, _long, _long, _fill))(changed, target, dice)}"
            )
        if dice.random() < 0.1:
            size = dice.choice(
                (dice.randrange(len(binary)), dice.randrange(4096), len(binary) - dice.randrange(1, 4096))
            )
            del changed[size:]
            done.append(f"cut to {size} bytes")
        yield f"seed {seed}: {'; '.join(done)}", changed


def _byte(changed: bytearray, target: Target, dice: random.Random) -> str:
    at = dice.randrange(target.start, target.end)
    changed[at] ^= 1 << dice.randrange(8)
    return f"byte {at} is {changed[at]}"


def _word(changed: bytearray, target: Target, dice: random.Random) -> str:
    at, value = dice.randrange(target.start, target.end - 3) & ~3, dice.choice(_WORDS)
    changed[at : at + 4] = struct.pack("<I", value)
    return f"word {at} is {value:#x}"


def _long(changed: bytearray, target: Target, dice: random.Random) -> str:
    at = dice.randrange(target.start, target.end - 7) & ~7
    old = int.from_bytes(changed[at : at + 8], "little")
    value = dice.choice((*_LONG, *((old + by) % (1 << 64) for by in (-8, -1, 1, 8, 4096, 1 << 20, old))))
    changed[at : at + 8] = struct.pack("<Q", value)
    return f"long {at} is {value:#x}"


def _fill(changed: bytearray, target: Target, dice: random.Random) -> str:
    start = dice.randrange(target.start, target.end)
    size = min(dice.randrange(1, 512), target.end - start)
    changed[start : start + size] = dice.choice((bytes(size), b"\xff" * size, dice.randbytes(size)))
    return f"{size} bytes at {start} are others"
