"""Claims on data, constants and strings: first exact ones of the linker, then by references to an address.

Imported late: it needs numpy. Sources: Go 1.20 to 1.27, cmd/link/internal/ld/data.go (the order of read-only data),
cmd/link/internal/ld/inittask.go, runtime/proc.go (`initTask`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wherry.analysis.owners import LINKER, SHARED, STANDARD, UNKNOWN, Modules
from wherry.analysis.program import AttributedProgram
from wherry.analysis.references import References, code_references, pointers
from wherry.analysis.spans import NOBODY, Blobs, Confidence, Ints, SpanKind, Spans, unique
from wherry.elf.reader import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, Section
from wherry.golang import pclntab

_NOT_DATA = (*pclntab.SECTIONS, ".rel", ".dyn", ".interp", ".hash", ".gnu.", ".got", ".plt", ".eh_frame", ".note")
_FUNCTION_VALUES = ".go.func"
_ROUNDS = 8
"""How many steps are followed from data to the data it points at."""
_TASK_FIXED = 8
_MOST_TASKS = 1 << 16
_LINKERS = ("gcdata", "gcbss", "textsections", "pkghashes")
"""Fields of the module data that point to tables of unrecorded size."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """Referenced addresses with the owner of the reference, one row a reference."""

    target: Ints
    owner: Ints
    function: Ints

    def joined(self, other: "Mentions") -> "Mentions":
        """Put two together."""
        pairs = ((self.target, other.target), (self.owner, other.owner), (self.function, other.function))
        return Mentions(*(np.concatenate(pair) for pair in pairs))


def data_sections(program: AttributedProgram) -> list[Section]:
    """List the loaded sections that have neither code, nor the pclntab, nor what a linker alone reads."""
    return [
        one
        for one in program.elf.sections
        if one.flags & SHF_ALLOC and not one.flags & SHF_EXECINSTR and one.stored and not one.name.startswith(_NOT_DATA)
    ]


def ranges_of(sections: Sequence[Section]) -> Ints:
    """Give first and end address of sections, two columns."""
    return np.array([(one.address, one.address + one.stored) for one in sections], dtype=np.int64).reshape(-1, 2)


def code_mentions(program: AttributedProgram, targets: Ints) -> Mentions:
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


def exact_spans(program: AttributedProgram) -> Iterator[Spans]:
    """Claim what the module data names with its size: itself, lists of the linker's, tasks of initialisation."""
    module, pointer = program.module, program.functions.table.pointer
    yield Spans.one(module.address, module.address + module.size, LINKER, SpanKind.DATA)
    for name, width in (("typelinks", 4), ("itablinks", pointer), ("inittasks", pointer)):
        start, count = module.get(name), module.get(f"{name}_len")
        if start and 0 < count < _MOST_TASKS << 8:
            yield Spans.one(start, start + width * count, LINKER, SpanKind.DATA)
    yield _tasks(program)


def _tasks(program: AttributedProgram) -> Spans:
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
    return Spans.of(task, task + _TASK_FIXED + pointer * count, owner, SpanKind.DATA)


def function_values(program: AttributedProgram, low: int, high: int) -> Spans:
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
    return Spans.of(place, place + table.pointer, program.function_owners[function], SpanKind.RODATA)


def symbol_spans(program: AttributedProgram) -> Spans:
    """Claim data by symbols, where the binary or its twin has them."""
    named = program.named
    numbers = np.array([program.package_owner(package) for package in named.packages], np.int64)
    some = np.zeros(len(named), dtype=bool)
    for low, high in ranges_of(data_sections(program)).tolist():
        some |= (named.start >= low) & (named.start < high)
    start = named.start[some]
    return Spans.of(start, start + named.size[some], numbers[named.package[some]], SpanKind.DATA)


def mentioned_spans(
    program: AttributedProgram, mentions: Mentions, taken: Spans, strings: tuple[int, int], named: Spans
) -> Spans:
    """Claim what is left for those who mention it, and what that points at, step by step.

    Args:
        program: the program.
        mentions: what code mentions.
        taken: spans with an owner already; none is claimed again, and what comes before one ends there.
        strings: first and end address of the strings.
        named: variables that symbols name, for what they point at.
    """
    sections = data_sections(program)
    targets = ranges_of(sections)
    word = np.dtype(f"{program.functions.table.order}u{program.functions.table.pointer}")
    # What .noptrdata has is not a pointer, however much a number may look like an address.
    links = [
        pointers(program.space.read_on(one.address)[: one.stored], one.address, word, targets)
        for one in sections
        if one.name != ".noptrdata"
    ]
    links_ = References(
        np.concatenate([one.place for one in links] or [np.zeros(0, np.int64)]),
        np.concatenate([one.target for one in links] or [np.zeros(0, np.int64)]),
    )
    # An object that nothing mentions yet is taken for the end of the one before it. So each round starts again from
    # what code mentions, with the borders that the last one found.
    room = _Room.of(program, taken, links_.target[_pointing(links_.place, taken, named)], named=bool(len(named)))
    mentions = mentions.joined(_followed(named, links_))
    objects = _objects(program, mentions, room, strings)
    for _ in range(_ROUNDS):
        before = objects
        objects = _objects(program, mentions.joined(_followed(objects, links_)), room, strings)
        if len(before) == len(objects) and (before.owner == objects.owner).all():
            break
    return _measured(program, objects, named, links_, strings)


def _pointing(places: Ints, taken: Spans, named: Spans) -> NDArray[np.bool_]:
    """Report which words may be pointers: those in types and embedded files are others' business, or none."""
    return ~_inside(taken, places) | _inside(named, places)


def _inside(spans: Spans, addresses: Ints) -> NDArray[np.bool_]:
    if not len(spans):
        return np.zeros(len(addresses), dtype=bool)
    row = np.searchsorted(spans.start, addresses, side="right") - 1
    found: NDArray[np.bool_] = (row >= 0) & (spans.end[row] > addresses)
    return found


def _measured(
    program: AttributedProgram, objects: Spans, named: Spans, links: References, strings: tuple[int, int]
) -> Spans:
    """Set the length of strings that named variables point to from the word after the pointer: then they are exact."""
    text = (links.target >= strings[0]) & (links.target < strings[1]) & _inside(named, links.place)
    place, target = links.place[text], links.target[text]
    if not len(target) or not len(objects):
        return objects
    length = program.words(place + program.functions.table.pointer)
    row = np.searchsorted(objects.start, target, side="right") - 1
    row = np.maximum(row, 0)
    fits = (objects.start[row] == target) & (length > 0) & (length <= objects.end[row] - target)
    fits &= objects.owner[row] != SHARED
    end, confidence = objects.end.copy(), objects.confidence.copy()
    end[row[fits]] = 0
    np.maximum.at(end, row[fits], target[fits] + length[fits])
    confidence[row[fits]] = Confidence.EXACT
    return Spans(objects.start, end, objects.owner, objects.kind, confidence, objects.function)


def _followed(objects: Spans, links: References) -> Mentions:
    """Return what objects point to, as references of the object's owner."""
    row = np.searchsorted(objects.start, links.place, side="right") - 1
    inside = (row >= 0) & (objects.end[row] > links.place) if len(objects) else np.zeros(len(row), dtype=bool)
    row = row[inside]
    owner, function = objects.owner[row].astype(np.int64), objects.function[row].astype(np.int64)
    return Mentions(links.target[inside], owner, function)


@dataclass(frozen=True, slots=True)
class _Room:
    """Where objects that are mentioned can be."""

    taken: Spans
    written: Ints
    """First and end address of sections with variables that no symbol names, two columns."""
    borders: Ints
    """Where an object ends that no mention ends: at what is taken, at what some data points at, at a section's end."""

    @classmethod
    def of(cls, program: AttributedProgram, taken: Spans, pointed: Ints, *, named: bool) -> "_Room":
        sections = data_sections(program)
        written = [
            one for one in sections if one.flags & SHF_WRITE and not one.name.startswith(".data.rel.ro") and not named
        ]
        ends = ranges_of(sections)[:, 1]
        borders = np.append(unique(np.concatenate([taken.start, ends, pointed])), np.iinfo(np.int64).max)
        return cls(taken, ranges_of(written), borders)

    def free(self, addresses: Ints) -> NDArray[np.bool_]:
        """Report which addresses are of no object yet."""
        return ~_inside(self.taken, addresses)

    def variables(self, addresses: Ints) -> NDArray[np.bool_]:
        """Report which addresses are of variables."""
        found = np.zeros(len(addresses), dtype=bool)
        for low, high in self.written.tolist():
            found |= (addresses >= low) & (addresses < high)
        return found


def _objects(program: AttributedProgram, mentions: Mentions, room: _Room, strings: tuple[int, int]) -> Spans:
    """Make objects of mentions: each reaches to the next one, or to a border."""
    free = room.free(mentions.target)
    target, owner = mentions.target[free], mentions.owner[free]
    blobs = Blobs.used(target, owner, mentions.function[free], int(room.borders[-2:][0]), SHARED)
    ranks = program.ranks
    first = np.argsort(ranks)[Blobs.lowest(target, ranks[owner])]
    stops = np.minimum(blobs.end, room.borders[np.searchsorted(room.borders, blobs.start, side="right")])
    variables = room.variables(blobs.start)
    # Who else mentions a variable imports the package that has it. Of equal strings the linker keeps one for all.
    written = ~((blobs.start >= strings[0]) & (blobs.start < strings[1]))
    owners = np.where((blobs.owner == SHARED) & written, first, blobs.owner)
    # A package mentions variables of those that it imports, too, and its code does not tell which are its own. Go's own
    # packages import none but one another, so there the module is sure.
    foreign = variables & ~_go_own(program)[first]
    owners = np.where(foreign, np.where(blobs.owner == SHARED, SHARED, UNKNOWN), owners)
    confidence = np.where(owners == SHARED, Confidence.SHARED, Confidence.INFERRED).astype(np.int64)
    confidence[owners == UNKNOWN] = Confidence.UNKNOWN
    function = np.where((owners == SHARED) | (owners == UNKNOWN), NOBODY, blobs.function)
    return Spans.of(blobs.start, stops, owners, SpanKind.DATA, confidence, function)


def _go_own(program: AttributedProgram) -> NDArray[np.bool_]:
    """Tell by owner which are packages of Go's own, or no packages."""
    modules = Modules.of(program.info)
    names = program.owners.names
    own = (name.startswith("(") or modules.module_of(name) == STANDARD for name in names)
    found = np.fromiter(own, bool, len(names))
    found[[SHARED, UNKNOWN]] = False
    return found
