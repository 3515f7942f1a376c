"""What a program tells that it need not: paths of the build machine, flags, values, secrets.

Sources: those of `leak_paths.py`, `leak_records.py`, `secrets.py` and `debug_text.py`.
"""

import mmap
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from wherry.analysis import leak_paths, leak_records
from wherry.analysis.debug_text import debug_texts
from wherry.analysis.leak_paths import Listed, Roots
from wherry.analysis.searching import BLOCK, Hit, hits
from wherry.analysis.secrets import RULES, SecretRule, masked, shown
from wherry.elf.dynamic import Dynamic
from wherry.elf.reader import MAGIC, SHF_EXECINSTR, Buffer, Elf
from wherry.errors import InvalidDocument
from wherry.finding import Finding, Severity
from wherry.golang import buildinfo, pclntab
from wherry.golang.buildinfo import BuildInfo
from wherry.golang.pclntab import Pclntab

_MOST_INFLATED = 256 << 20
"""Bytes of inflated DWARF that are looked at in one file: ten times what a program of 150 MB has."""
_MOST_HITS = 200_000
_MOST_PATHS = 100_000
_PROBLEMS = 8
_MOST_VARIABLES = 1000
_VARIABLE = re.compile(r"(?!runtime\.)[\w./%-]+\.\w+")
_LONGEST_VARIABLE = 400
_HOMES = (b"/home/", b"/Users/", b"/root/", b"C:\\Users\\", b"/var/lib/jenkins/", b"/github/workspace/", b"/builds/")
_NO_NAMES = (
    rb"(?:usr|etc|var|opt|tmp|proc|sys|dev|s?bin|lib|lib64|run|mnt|srv|pkg|src|config|info|data|users?|login|api)"
)
_HOME = re.compile(
    rb"(?:/(?:home|Users)/(?!"
    + _NO_NAMES
    + rb"/)[A-Za-z0-9._-]{1,64}/|(?<![\w.-])/root/(?!"
    + _NO_NAMES
    + rb"/)|C:\\Users\\[\w. -]{1,64}\\|/var/lib/jenkins/|/github/workspace/"
    rb"|/builds/[\w.-]+/[\w.-]+/)[\w.@+~-]+(?:[/\\][\w.@+~-]+)*"
)
"""Go lays strings side by side: what only looks like a home, as `/home` beside `/usr/lib`, is passed over."""
_C_ENDS = (b".h\0", b".hh\0", b".hpp\0", b".hxx\0", b".c\0", b".cc\0", b".cpp\0", b".cxx\0", b".inc\0", b".inl\0")
_PATH_LETTERS = re.compile(rb"[\w.@+~/ -]{3,400}")
_LISTED_PATH = re.compile(rb"[\x00\x01](/[\w.@+~-]+(?:/[\w.@+~ -]+)+)(?=\x00)")
_TABLES = (".debug_", ".zdebug_", ".rela", ".rel.")
_SKIPPED = frozenset((*pclntab.SECTIONS, ".symtab", ".strtab", ".shstrtab", ".typelink", ".dynsym", ".eh_frame"))
"""Numbers, and names that are judged by their tables."""
_PCLNTAB = re.compile(rb"(?:\xf1\xff\xff\xff\0\0|\xff\xff\xff\xf1\0\0)[\x01\x02\x04][\x04\x08]")
RULE_NAMES: Final = (
    "untrimmed-paths", "source-paths", "line-paths", "c-paths", "data-paths", "run-path", "flag-paths", "flag-text",
    "x-secret", "x-values", "replaced-by-folder", "revision", "looked-for", "unread", *(rule.name for rule in RULES),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leaks:
    """What was found in one program."""

    go: str
    """Its Go's version; empty where that is not known."""
    findings: tuple[Finding, ...]
    """The worst first."""


def leaks_of(buffer: Buffer, name: str, wanted: tuple[str, ...] = ()) -> Leaks:
    """Look for what a program tells.

    Args:
        buffer: the whole file, best a memory map.
        name: what the reader knows it by.
        wanted: texts to look for beside what is known, such as a customer's name.

    Cost: about 0.3 s for a program of 150 MB, and a few megabytes.
    """
    search = _Search(memoryview(buffer).toreadonly(), name, buffer if isinstance(buffer, mmap.mmap) else None)
    info = search.info
    tables = (*search.file_tables(), *search.debug_tables())
    roots = Roots.of((path for table in tables for path in table.paths), info)
    found = chain(
        leak_paths.untrimmed(roots, tables),
        leak_records.recorded(info) if info else (),
        search.variables(recorded=bool(info and info.settings.get("-ldflags"))),
        leak_paths.run_paths(search.run_paths()),
        search.texts(roots, wanted),
    )
    findings = [*found, *search.unread()]
    order = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
    return Leaks(info.go_version if info else "", tuple(sorted(findings, key=lambda one: order.index(one.severity))))


@dataclass
class _Search:
    """A file that is being looked through."""

    view: memoryview
    name: str
    map: mmap.mmap | None
    """The same file where it is a map, so that what was read can be let go."""
    problems: list[str] = field(default_factory=list)
    """What could not be read, and why."""

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
        start = section.offset if section else self._find(re.compile(re.escape(buildinfo.MAGIC)), 16)
        if start is None:
            return None
        try:
            return BuildInfo.parse(self.view[start:], self.name)
        except InvalidDocument as error:
            self.problems.append(masked(error.problem))
            return None

    def _find(self, pattern: re.Pattern[bytes], alignment: int) -> int | None:
        return next((one.start() for one in pattern.finditer(self.view) if one.start() % alignment == 0), None)

    def file_tables(self) -> Iterator[Listed]:
        """List the source files of the pclntab, found by its section or by how it starts."""
        sections = [self.elf.section(name) for name in pclntab.SECTIONS] if self.elf else []
        section = next((one for one in sections if one), None)
        content = self.elf.content(section) if self.elf and section else self.view[:0]
        if section is None:
            start = self._find(_PCLNTAB, 16)
            content = self.view[start:] if start is not None else content
        if not content:
            return
        try:
            names = Pclntab.parse(content, self.name).file_names()
            yield Listed(f"{section.name if section else 'pclntab'}, table of files", _first(names))
        except InvalidDocument as error:
            self.problems.append(error.problem)

    def debug_tables(self) -> Iterator[Listed]:
        """List the paths of DWARF."""
        left = _MOST_INFLATED
        for part in debug_texts(self.elf) if self.elf else ():
            paths: dict[str, None] = {}
            tail = b"\0"
            try:
                for block in part.stream(left):
                    left -= len(block)
                    text = tail + block
                    paths.update((found[1].decode(errors="replace"), None) for found in _LISTED_PATH.finditer(text))
                    tail = text[-512:]
                    if len(paths) > _MOST_PATHS:
                        break
            except InvalidDocument as error:
                self.problems.append(error.problem)
            if left <= 0:
                self.problems.append(f"{part.section.name}: more than {_MOST_INFLATED >> 20} MiB of DWARF; not read on")
                return
            if paths:
                yield Listed(part.section.name, tuple(paths))

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
        if self.elf is None or section is None or recorded:
            return
        wanted = _variables(bytes(self.elf.content(section)))
        if wanted:
            from wherry.analysis.leak_symbols import texts_at

            yield from leak_records.values(list(texts_at(self.elf, wanted)), "symbol table")

    def texts(self, roots: Roots, wanted: tuple[str, ...]) -> Iterator[Finding]:
        """Judge the strings of the data."""
        folders = tuple(f"{folder}/".encode() for _, folder in roots.named())
        looked = tuple(text.encode() for text in wanted)
        rules: dict[bytes, list[SecretRule]] = {}
        for rule in RULES:
            for anchor in rule.anchors:
                rules.setdefault(anchor, []).append(rule)
        secrets: dict[SecretRule, list[tuple[str, str]]] = {}
        rows: tuple[list[tuple[str, str]], ...] = [], [], []
        homes, sources, own = rows
        seen = set[tuple[str, int]]()
        words = {*rules, *_HOMES, *_C_ENDS, *folders, *looked}
        for base, hit in self._hits(words):
            place = self._place(base + hit.offset)
            for rule in rules.get(hit.word, ()):
                found = rule.found(hit.context, hit.at)
                key = (rule.name, base + hit.offset - hit.at + found.start()) if found else ("", 0)
                if found and key not in seen:
                    seen.add(key)
                    secrets.setdefault(rule, []).append((place, shown(found).decode(errors="replace")))
            if hit.word in looked:
                own.append((place, hit.word.decode()))
            elif hit.word in _C_ENDS and (path := _c_path(hit)):
                sources.append((place, path))
            elif hit.word in folders or hit.word in _HOMES:
                found = (_PATH_LETTERS if hit.word in folders else _HOME).match(hit.context, hit.at)
                if found:
                    homes.append((place, found.group().decode(errors="replace")))
        yield from (_secret(rule, rows) for rule, rows in secrets.items())
        known = {path for _, path in sources}
        yield from leak_paths.headers(sources)
        yield from leak_paths.constants([row for row in homes if row[1] not in known])
        yield from _looked_for(own)

    def _hits(self, words: set[bytes]) -> Iterator[tuple[int, Hit]]:
        left = _MOST_HITS
        for start, end in self._ranges():
            for hit in hits(self._blocks(start, end), words, left):
                left -= 1
                yield start, hit
        if left <= 0:
            self.problems.append(f"more than {_MOST_HITS} texts look like what is searched for; not read on")

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
        """Tell what could not be read."""
        if self.problems:
            yield Finding(
                "unread",
                Severity.WARNING,
                self.name,
                "parts of the file could not be read, so what they tell is not told here",
                _some(dict.fromkeys(self.problems)),
                "a file that was cut short has to be fetched again; of a packed one look at it before it is packed",
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


def _some(problems: Iterable[str]) -> tuple[str, ...]:
    rows = tuple(problems)
    return (*rows[:_PROBLEMS], *((f"and {len(rows) - _PROBLEMS} more",) if len(rows) > _PROBLEMS else ()))


def _first(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(name for name, _ in zip(names, range(_MOST_PATHS), strict=False))


def _c_path(hit: Hit) -> str:
    """Give the absolute path that ends here; none where it is another text."""
    start = hit.context.rfind(b"\0", max(0, hit.at - 512), hit.at) + 1
    path = hit.context[start : hit.at + len(hit.word) - 1]
    return path.decode() if start and path.startswith(b"/") and _PATH_LETTERS.fullmatch(path) else ""


def _secret(rule: SecretRule, found: list[tuple[str, str]]) -> Finding:
    return Finding(
        rule.name,
        Severity.WARNING if rule.name in {"secret-url", "secret-password"} else Severity.ERROR,
        found[0][0],
        f"what looks like {rule.what}",
        leak_paths.listed([(place, "".join(map(_printable, text))) for place, text in found]),
        "change it, for whoever has the binary has it; let the program read it from a file or the environment; "
        "look for it in constants, embedded files and -X",
    )


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else " "


def _looked_for(found: list[tuple[str, str]]) -> Iterator[Finding]:
    if found:
        yield Finding(
            "looked-for",
            Severity.WARNING,
            found[0][0],
            f"{len(found)} places have a text that was looked for",
            leak_paths.listed(found),
            "search the source, the embedded files and the -X flags for it",
        )
