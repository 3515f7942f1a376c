"""What a program tells that it need not: paths of the build machine, flags, values, secrets.

Sources: those of `leak_paths.py`, `leak_records.py`, `secrets.py` and `debug_text.py`.
"""

import mmap
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from wherry.analysis import leak_paths, leak_records
from wherry.analysis.debug_text import debug_texts
from wherry.analysis.leak_paths import Listed, Roots
from wherry.analysis.leak_texts import Strings, looked_for
from wherry.analysis.searching import BLOCK, Hit, hits
from wherry.analysis.secrets import RULES, masked
from wherry.elf.dynamic import Dynamic
from wherry.elf.reader import MAGIC, SHF_EXECINSTR, Buffer, Elf
from wherry.errors import InvalidDocument
from wherry.finding import Finding, Severity
from wherry.golang import buildinfo, pclntab
from wherry.golang.buildinfo import BuildInfo
from wherry.golang.pclntab import Pclntab

_MOST_INFLATED = 256 << 20
"""Bytes of inflated DWARF read in one file: ten times what a program of 150 MB has."""
_MOST_HITS = 200_000
_MOST_PATHS = 100_000
_MOST_VARIABLES = 1000
_VARIABLE = re.compile(r"(?!runtime\.)[\w./%-]+\.\w+")
_LONGEST_VARIABLE = 400
_LISTED_PATH = re.compile(rb"[\x00\x01](/[\w.@+~-]+(?:/[\w.@+~ -]+)+)(?=\x00)")
_TABLES = (".debug_", ".zdebug_", ".rela", ".rel.")
_SKIPPED = frozenset((*pclntab.SECTIONS, ".symtab", ".strtab", ".shstrtab", ".typelink", ".dynsym", ".eh_frame"))
"""Numbers, and names that are judged by their tables."""
_PCLNTAB_ALIGNMENT = 8
"""In the file; ELF's and PE's sections have more, Mach-O's have not."""
_MOST_TRIED = 8
_PCLNTAB = re.compile(rb"(?:\xf1\xff\xff\xff\0\0|\xff\xff\xff\xf1\0\0)[\x01\x02\x04][\x04\x08]")
RULE_NAMES: Final = (
    "untrimmed-paths", "line-paths", "c-paths", "data-paths", "run-path", "flag-paths", "flag-text",
    "x-secret", "x-values", "replaced-by-folder", "revision", "looked-for", "unread",
    "image-token", "image-secret", *(rule.name for rule in RULES),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leaks:
    """What was found in one program."""

    go: str
    """Its Go's version; empty where that is not known."""
    findings: tuple[Finding, ...]
    """The worst first."""
    unseen: tuple[str, ...] = ()
    """What could be there and can't be found."""


def leaks_of(buffer: Buffer, name: str, wanted: tuple[str, ...] = ()) -> Leaks:
    """Look for what a program tells.

    Args:
        buffer: the whole file, best a memory map.
        name: what the reader knows it by.
        wanted: additional texts to search for, such as a customer's name.

    Cost: half a second for a program of 150 MB with DWARF, and some 20 MB in addition to the memory map.
    """
    search = _Search(memoryview(buffer).toreadonly(), name, buffer if isinstance(buffer, mmap.mmap) else None)
    info = search.info
    tables = (*search.file_tables(), *search.debug_tables())
    roots = Roots.of((path for table in tables for path in table.paths), info)
    found = chain(
        leak_paths.source_files(roots, tables),
        leak_records.recorded(info) if info else (),
        search.variables(recorded=bool(info and info.settings.get("-ldflags"))),
        leak_paths.run_paths(search.run_paths()),
        search.texts(roots, {path for table in tables for path in table.paths}),
        search.looked_for(wanted),
    )
    findings = [*found, *search.unread()]
    worst_first = sorted(findings, key=lambda one: list(Severity).index(one.severity), reverse=True)
    return Leaks(info.go_version if info else "", tuple(worst_first), tuple(search.unseen))


@dataclass
class _Search:
    """A file that is being looked through."""

    view: memoryview
    name: str
    map: mmap.mmap | None
    """The same file where it is a map, so that what was read can be let go."""
    problems: list[str] = field(default_factory=list)
    """What could not be read, and why."""
    unseen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.elf = self._elf()
        sections = self.elf.sections if self.elf else ()
        self._sections = sorted((one.offset, one.offset + one.stored, one.name) for one in sections if one.stored)
        self.info = self._info()

    def _elf(self) -> Elf | None:
        if bytes(self.view[:4]) != MAGIC:
            return None
        try:
            return Elf.parse(self.view, self.name)
        except InvalidDocument as error:
            self.problems.append(f"{error.problem}; searched as plain bytes")
            return None

    def _info(self) -> BuildInfo | None:
        section = self.elf.section(buildinfo.SECTION) if self.elf else None
        start = section.offset if section else buildinfo.find(self.view)
        if start is None:
            return None
        try:
            return BuildInfo.parse(self.view[start:], self.name)
        except InvalidDocument as error:
            self.problems.append(masked(error.problem))
            return None

    def file_tables(self) -> Iterator[Listed]:
        """List the source files of the pclntab, found by its section or by how it starts."""
        problem = ""
        for name, content in self._pclntabs():
            try:
                names = Pclntab.parse(content, self.name).file_names()
            except InvalidDocument as error:
                problem = problem or error.problem
            else:
                yield Listed(f"{name}, table of files", _first(names))
                return
        if problem:
            self.problems.append(problem)

    def _pclntabs(self) -> Iterator[tuple[str, memoryview]]:
        """Give what may be the pclntab: its section, or in a file without one whatever starts as it does."""
        sections = [self.elf.section(name) for name in pclntab.SECTIONS] if self.elf else []
        for section in sections:
            if section and self.elf:
                yield section.name, self.elf.content(section)
                return
        found = (one.start() for one in _PCLNTAB.finditer(self.view) if one.start() % _PCLNTAB_ALIGNMENT == 0)
        yield from (("pclntab", self.view[start:]) for start in islice(found, _MOST_TRIED))

    def debug_tables(self) -> Iterator[Listed]:
        """List the paths of DWARF."""
        left, room = _MOST_INFLATED, _MOST_PATHS
        for part in debug_texts(self.elf) if self.elf else ():
            paths: dict[str, None] = {}
            tail = b"\0"
            try:
                for block in part.stream(left):
                    left -= len(block)
                    text = tail + block
                    paths.update((found[1].decode(errors="replace"), None) for found in _LISTED_PATH.finditer(text))
                    tail = text[-512:]
                    if len(paths) > room:
                        self.problems.append(
                            f"{part.section.name}: more than {_MOST_PATHS} paths in DWARF; the rest is not checked"
                        )
                        break
            except InvalidDocument as error:
                self.problems.append(error.problem)
            if left <= 0:
                self.problems.append(
                    f"{part.section.name}: more than {_MOST_INFLATED >> 20} MiB of DWARF; the rest is not checked"
                )
                return
            room -= len(paths)
            if paths:
                yield Listed(part.section.name, tuple(paths))
            if room < 0:
                return

    def run_paths(self) -> tuple[str, ...]:
        """Give the folders of DT_RPATH and DT_RUNPATH."""
        if self.elf is None:
            return ()
        try:
            dynamic = Dynamic.of(self.elf)
        except InvalidDocument as error:
            self.problems.append(error.problem)
            return ()
        return (*dynamic.rpath, *dynamic.runpath)

    def variables(self, *, recorded: bool) -> Iterator[Finding]:
        """Judge the variables that -X set where only symbols tell them.

        Source: Go 1.26, cmd/link/internal/ld/data.go (`addstrdata`: the text of VARIABLE is named VARIABLE.str).
        """
        section = self.elf.section(".strtab") if self.elf else None
        if self.elf is None or recorded:
            return
        if section is None:
            if self.info:
                self.unseen.append("values set by -X: in a trimmed and stripped program they look like any other text")
            return
        wanted = _variables(bytes(self.elf.content(section)))
        if wanted:
            from wherry.analysis.leak_symbols import texts_at

            yield from leak_records.values(list(texts_at(self.elf, wanted)), "symbol table")

    def texts(self, roots: Roots, listed: Collection[str]) -> Iterator[Finding]:
        """Judge the strings of the data."""
        strings = Strings.of(roots, self.info, listed)
        for base, hit in self._hits(strings.words):
            strings.take(hit, base, self._place(base + hit.offset))
        return strings.findings()

    def looked_for(self, wanted: tuple[str, ...]) -> Iterator[Finding]:
        """Find texts of the user's own; a pass of their own, since in another they would hide what they overlap."""
        found = self._hits({text.encode(errors="surrogateescape") for text in wanted}) if wanted else ()
        return looked_for([(self._place(base + hit.offset), hit.word.decode(errors="replace")) for base, hit in found])

    def _hits(self, words: Collection[bytes]) -> Iterator[tuple[int, Hit]]:
        left = _MOST_HITS
        for start, end in self._ranges():
            for hit in hits(self._blocks(start, end), words, left):
                left -= 1
                yield start, hit
        if left <= 0:
            self.problems.append(f"more than {_MOST_HITS} texts match; the rest is not checked")

    def _blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Give a range in blocks; pages of a map that were read are let go, for a big file's would all stay."""
        for place in range(start, end, BLOCK):
            yield bytes(self.view[place : min(place + BLOCK, end)])
            if self.map is not None and hasattr(mmap, "MADV_DONTNEED"):
                self.map.madvise(mmap.MADV_DONTNEED, place // mmap.PAGESIZE * mmap.PAGESIZE, BLOCK)

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Give the ranges of the file that can hold strings: all, but code and tables that are read otherwise."""
        at = 0
        for section in sorted(self.elf.sections if self.elf else (), key=lambda one: one.offset):
            skipped = section.flags & SHF_EXECINSTR or section.name in _SKIPPED or section.name.startswith(_TABLES)
            if skipped and section.stored and section.offset >= at:
                if section.offset > at:
                    yield at, section.offset
                at = section.offset + section.stored
        if at < len(self.view):
            yield at, len(self.view)

    def _place(self, offset: int) -> str:
        row = bisect_right(self._sections, (offset, len(self.view) + 1, "")) - 1
        inside = row >= 0 and offset < self._sections[row][1]
        return f"{self._sections[row][2]}, offset {offset:#x}" if inside else f"offset {offset:#x}"

    def unread(self) -> Iterator[Finding]:
        """Report what could not be read."""
        if self.problems:
            yield Finding(
                "unread",
                Severity.WARNING,
                self.name,
                "parts of the file could not be read and were not checked",
                leak_paths.some(tuple(dict.fromkeys(self.problems))),
                "fetch a truncated file again; check a packed file before it is packed",
            )


def _variables(names: bytes) -> dict[int, str]:
    """Find the variables that have a text of the linker's, each by where its symbol's name begins; not Go's own."""
    found: dict[int, str] = {}
    for end in re.finditer(rb"\.str\x00", names):
        start = names.rfind(b"\0", max(0, end.start() - _LONGEST_VARIABLE), end.start()) + 1
        name = names[start : end.start()].decode(errors="replace")
        if start and _VARIABLE.fullmatch(name) and len(found) < _MOST_VARIABLES:
            found[start] = name
    return found


def _first(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(islice(names, _MOST_PATHS))
