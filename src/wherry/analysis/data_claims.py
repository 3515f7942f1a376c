"""Who claims data, constants and strings: what the linker notes exactly, then whoever mentions an address.

Imported late: it needs numpy. Sources: Go 1.20 to 1.27, cmd/link/internal/ld/data.go (the order of read-only data),
cmd/link/internal/ld/inittask.go, runtime/proc.go (`initTask`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wherry.analysis.owners import LINKER, SHARED
from wherry.analysis.program import Program
from wherry.analysis.references import References, code_references, pointers
from wherry.analysis.spans import NOBODY, Blobs, Confidence, Ints, Kind, Spans, unique
from wherry.elf.reader import SHF_ALLOC, SHF_EXECINSTR, Section
from wherry.elf.symbols import STT_FUNC, Symbols
from wherry.golang import pclntab
from wherry.golang.names import package_of

_NOT_DATA = (*pclntab.SECTIONS, ".rel", ".dyn", ".interp", ".hash", ".gnu.", ".got", ".plt", ".eh_frame", ".note")
_FUNCTION_VALUES = ".go.func"
_ROUNDS = 8
"""How many steps are followed from data to the data it points at."""
_TASK_FIXED = 8
_MOST_TASKS = 1 << 16
_NO_OBJECT = (".*", "·f")
_LINKERS = ("gcdata", "gcbss", "textsections", "pkghashes")
"""Fields of the module data that point at tables whose size it does not tell."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """Addresses that something mentions, with whose it is: a row a mention."""

    target: Ints
    owner: Ints
    function: Ints

    def joined(self, other: "Mentions") -> "Mentions":
        """Put two together."""
        pairs = ((self.target, other.target), (self.owner, other.owner), (self.function, other.function))
        return Mentions(*(np.concatenate(pair) for pair in pairs))


def data_sections(program: Program) -> list[Section]:
    """List the loaded sections that have neither code, nor the pclntab, nor what a linker alone reads."""
    return [
        one
        for one in program.elf.sections
        if one.flags & SHF_ALLOC and not one.flags & SHF_EXECINSTR and one.stored and not one.name.startswith(_NOT_DATA)
    ]


def ranges_of(sections: Sequence[Section]) -> Ints:
    """Give first and end address of sections, two columns."""
    return np.array([(one.address, one.address + one.stored) for one in sections], dtype=np.int64).reshape(-1, 2)


def code_mentions(program: Program, targets: Ints) -> Mentions:
    """Find what the machine code mentions."""
    start, end = program.text, program.text + int(program.functions.starts[-1])
    code = program.space.read_on(start)[: end - start]
    found = code_references(code, start, program.architecture, program.functions.starts, targets)
    function = program.function_at(found.place)
    owner = program.written_by(found.place, function)
    linkers = np.array([place for name in _LINKERS if (place := program.module.get(name))], dtype=np.int64)
    return Mentions(
        np.concatenate([found.target, linkers]),
        np.concatenate([owner, np.full(len(linkers), LINKER)]),
        np.concatenate([function, np.full(len(linkers), NOBODY)]),
    )


def exact_spans(program: Program) -> Iterator[Spans]:
    """Claim what the module data names with its size: itself, lists of the linker's, tasks of initialisation."""
    module, pointer = program.module, program.functions.table.pointer
    yield Spans.one(module.address, module.address + module.size, LINKER, Kind.DATA)
    for name, width in (("typelinks", 4), ("itablinks", pointer), ("inittasks", pointer)):
        start, count = module.get(name), module.get(f"{name}_len")
        if start and 0 < count < _MOST_TASKS << 8:
            yield Spans.one(start, start + width * count, LINKER, Kind.DATA)
    yield _tasks(program)


def _tasks(program: Program) -> Spans:
    """Claim what tells the runtime how to initialise a package, for that package."""
    module, pointer = program.module, program.functions.table.pointer
    number = np.arange(min(module.get("inittasks_len"), _MOST_TASKS))
    task = program.words(module.get("inittasks") + number * pointer)
    count = program.space.words(task + 4, 4)
    first = program.words(task + _TASK_FIXED)
    real = (count > 0) & (count < _MOST_TASKS) & (first >= program.text)
    real &= first < program.text + int(program.functions.starts[-1])
    task, count, first = task[real], count[real], first[real]
    owner = program.function_owners[program.function_at(first)]
    return Spans.of(task, task + _TASK_FIXED + pointer * count, owner, Kind.DATA)


def function_values(program: Program, low: int, high: int) -> Spans:
    """Claim constant pointers to functions, which stand in for functions as values, for the function's package.

    They are in a section of their own since Go 1.27, before that between strings and masks, from low to high.
    """
    table = program.functions.table
    ranges = [(one.address, one.address + one.stored) for one in program.elf.sections if one.name == _FUNCTION_VALUES]
    text = np.array([[program.text, program.text + int(program.functions.starts[-1])]])
    word = np.dtype(f"{table.order}u{table.pointer}")
    rows = [
        pointers(program.space.read_on(start)[: end - start], start, word, text)
        for start, end in [*ranges, (low, high)]
        if end > start
    ]
    place = np.concatenate([one.place for one in rows] or [np.zeros(0, np.int64)])
    value = np.concatenate([one.target for one in rows] or [np.zeros(0, np.int64)])
    function = program.function_at(value)
    entry = program.functions.starts[function] + program.text == value
    place, function = place[entry], function[entry]
    return Spans.of(place, place + table.pointer, program.function_owners[function], Kind.RODATA)


def symbol_spans(program: Program) -> Spans:
    """Claim data by symbols, where the binary has them."""
    symbols = Symbols.of(program.elf)
    sections = ranges_of(data_sections(program))
    some = np.flatnonzero((symbols.size > 0) & (symbols.type != STT_FUNC))
    inside = np.zeros(len(some), dtype=bool)
    for low, high in sections.tolist():
        inside |= (symbols.value[some] >= low) & (symbols.value[some] < high)
    some = some[inside & (symbols.size[some] < len(program.elf.view))]
    owner = np.fromiter((_owner_of_symbol(program, symbols.text(row)) for row in some.tolist()), np.int64, len(some))
    some, owner = some[owner >= 0], owner[owner >= 0]
    return Spans.of(symbols.value[some], symbols.value[some] + symbols.size[some], owner, Kind.DATA)


def _owner_of_symbol(program: Program, name: str) -> int:
    package = "" if name.endswith(_NO_OBJECT) else package_of(name)
    return program.package_owner(package) if package else NOBODY


def mentioned_spans(
    program: Program, mentions: Mentions, taken: Spans, strings: tuple[int, int], named: Spans
) -> Spans:
    """Claim what is left for those who mention it, and what that points at, step by step.

    Args:
        program: the program.
        mentions: what code mentions.
        taken: spans with an owner already; none is claimed again, and what lies before one ends there.
        strings: first and end address of the strings.
        named: variables that symbols name, for what they point at.
    """
    sections = data_sections(program)
    targets = ranges_of(sections)
    word = np.dtype(f"{program.functions.table.order}u{program.functions.table.pointer}")
    # What .noptrdata has is no pointer, however much a number may look like an address.
    links = [
        pointers(program.space.read_on(one.address)[: one.stored], one.address, word, targets)
        for one in sections
        if one.name != ".noptrdata"
    ]
    links_ = References(
        np.concatenate([one.place for one in links] or [np.zeros(0, np.int64)]),
        np.concatenate([one.target for one in links] or [np.zeros(0, np.int64)]),
    )
    # An object that nothing mentions yet is taken for the end of the one before it. So each round starts anew from what
    # code mentions, with the borders that the last one found.
    mentions = mentions.joined(_followed(named, links_))
    objects = _objects(program, mentions, taken, targets, strings)
    for _ in range(_ROUNDS):
        before = objects
        objects = _objects(program, mentions.joined(_followed(objects, links_)), taken, targets, strings)
        if len(before) == len(objects) and (before.owner == objects.owner).all():
            break
    return objects


def _followed(objects: Spans, links: References) -> Mentions:
    """Give what objects point at, as mentioned by whoever has the object."""
    row = np.searchsorted(objects.start, links.place, side="right") - 1
    inside = (row >= 0) & (objects.end[row] > links.place) if len(objects) else np.zeros(len(row), dtype=bool)
    row = row[inside]
    owner, function = objects.owner[row].astype(np.int64), objects.function[row].astype(np.int64)
    return Mentions(links.target[inside], owner, function)


def _objects(program: Program, mentions: Mentions, taken: Spans, ranges: Ints, strings: tuple[int, int]) -> Spans:
    """Make objects of mentions: each reaches to the next one, to what is taken, or to the end of its section."""
    _, ends = ranges.T if len(ranges) else (np.zeros(0, np.int64),) * 2
    row = np.searchsorted(taken.start, mentions.target, side="right") - 1
    free = ~((row >= 0) & (taken.end[row] > mentions.target)) if len(taken) else np.ones(len(row), dtype=bool)
    limit = int(ends.max(initial=0))
    target, owner = mentions.target[free], mentions.owner[free]
    blobs = Blobs.used(target, owner, mentions.function[free], limit, SHARED)
    ranks = program.ranks
    first = Blobs.lowest(target, ranks[owner])
    borders = np.append(unique(np.concatenate([taken.start, ends])), np.iinfo(np.int64).max)
    stops = np.minimum(blobs.end, borders[np.searchsorted(borders, blobs.start, side="right")])
    # Who else mentions a variable imports the package that has it. Of equal strings the linker keeps one for all.
    written = ~((blobs.start >= strings[0]) & (blobs.start < strings[1]))
    owners = np.where((blobs.owner == SHARED) & written, np.argsort(ranks)[first], blobs.owner)
    confidence = np.where(owners == SHARED, Confidence.SHARED, Confidence.INFERRED).astype(np.int64)
    function = np.where(owners == SHARED, NOBODY, blobs.function)
    return Spans.of(blobs.start, stops, owners, Kind.DATA, confidence, function)
