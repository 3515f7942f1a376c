"""Libraries, found as a dynamic linker finds them: by glibc's rules or by musl's.

Sources: glibc 2.41, elf/dl-load.c (`_dl_map_object`), elf/dl-version.c (`match_symbol`), ld.so(8);
musl 1.2.5, ldso/dynlink.c (`load_library`, `fixup_rpath`).
"""

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

from wherry.analysis.deps.facts import ElfFacts
from wherry.analysis.deps.root import ProgramRoot
from wherry.elf.loader_cache import PATH as LOADER_CACHE
from wherry.elf.loader_cache import parse_cache
from wherry.elf.machine import library_folders
from wherry.errors import InvalidDocument

_MUSL = re.compile(r"/ld-musl-([^/]*)\.so\.\d+\Z")
_MUSL_OWN = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")
"""Libraries that musl's dynamic linker is itself (`load_library`, `reserved`)."""
_MUSL_FOLDERS = ("/lib", "/usr/local/lib", "/usr/lib")
_MOST_LIBRARIES = 2000
"""Libraries of one program that are followed."""
_MOST_TRIES = 20_000
"""Paths tried for one program; 300 libraries in 10 folders are 3000."""
_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)\b)")


@dataclass(frozen=True, slots=True)
class ResolvedLibrary:
    """A library that a program needs, and where it is."""

    name: str
    """As DT_NEEDED has it."""
    path: str
    """Where the loader finds it; empty where it does not."""
    by: str
    """How it is found: `rpath`, `runpath`, `LD_LIBRARY_PATH`, `ld.so.cache`, `system`, `path`, `interpreter`,
    `loaded` (it is the soname of a file that is loaded already)."""
    needed_by: str
    """The path of the file that asks for it; the first that does."""
    problem: str = ""
    """Why it is not found, where more is to say than that."""


@dataclass(frozen=True, slots=True)
class ResolvedVersion:
    """A symbol version that a library of the program must define."""

    library: str
    path: str
    version: str
    needed_by: str
    found: bool
    weak: bool


@dataclass(frozen=True, slots=True)
class Closure:
    """All that a program needs to be loaded."""

    libraries: tuple[ResolvedLibrary, ...]
    """In the order they are loaded."""
    versions: tuple[ResolvedVersion, ...]
    notes: tuple[str, ...] = ()
    """What could not be taken into account, such as a broken cache."""


@dataclass(frozen=True)
class _Loaded:
    """A file that is loaded, and what loaded it."""

    path: str
    facts: ElfFacts
    loader: "_Loaded | None" = None

    @property
    def chain(self) -> "Iterator[_Loaded]":
        """Give it, and what loaded it, up to the program."""
        one: _Loaded | None = self
        while one:
            yield one
            one = one.loader


def closure_of(root: ProgramRoot, path: str, program: ElfFacts) -> Closure:
    """Resolve a program's libraries, and theirs, breadth first as both loaders do.

    Args:
        root: where it starts.
        path: where the program is in it; links followed, as `$ORIGIN` goes by /proc/self/exe.
        program: what it asks for.
    """
    rules: _Rules = _Musl(root, program) if _MUSL.search(program.interpreter) else _Glibc(root, program)
    first = _Loaded(path, program)
    waiting, found = deque([first]), dict[str, ResolvedLibrary]()
    loaded = {path: first}
    by_name = rules.loaded_first()
    loaded |= {root.find(one.path) or one.path: one for one in by_name.values()}
    while waiting and len(found) < _MOST_LIBRARIES:
        asker = waiting.popleft()
        for name in asker.facts.dynamic.needed:
            if name in found:
                continue
            if name in by_name:  # it is the soname of one that is loaded already
                found[name] = ResolvedLibrary(name, by_name[name].path, "loaded", asker.path)
                continue
            library = found[name] = rules.resolve(name, asker)
            real = root.find(library.path) if library.path else None
            facts = root.facts(real) if real else None
            if real is None or not isinstance(facts, ElfFacts):
                continue
            if real not in loaded:
                loaded[real] = _Loaded(library.path, facts, asker)
                waiting.append(loaded[real])
            by_name[name] = loaded[real]
            if facts.dynamic.soname:
                by_name.setdefault(facts.dynamic.soname, loaded[real])
    versions = rules.versions(tuple(loaded.values()), by_name)
    return Closure(tuple(found.values()), versions, tuple(rules.notes))


@dataclass
class _Rules(ABC):
    """What the loaders have in common."""

    root: ProgramRoot
    program: ElfFacts
    notes: list[str] = field(default_factory=list)
    tries: int = 0
    """Paths that were tried."""

    def resolve(self, name: str, asker: _Loaded) -> ResolvedLibrary:
        """Find one library."""
        wrong = ""
        for path, by in self._places(name, asker):
            self.tries += 1
            if self.tries > _MOST_TRIES:
                return ResolvedLibrary(name, "", "", asker.path, f"more than {_MOST_TRIES} paths were tried")
            state = self._fits(path)
            if state is None:
                return ResolvedLibrary(name, path, by, asker.path)
            wrong = wrong or (f"{path} {state}" if state else "")
            if state and not self.goes_on:
                break
        return ResolvedLibrary(name, "", "", asker.path, wrong)

    def loaded_first(self) -> dict[str, _Loaded]:
        """Give the dynamic linker itself under its soname: it is loaded before all libraries."""
        real = self.root.find(self.program.interpreter) if self.program.interpreter else None
        facts = self.root.facts(real) if real else None
        if not isinstance(facts, ElfFacts) or not facts.dynamic.soname:
            return {}
        return {facts.dynamic.soname: _Loaded(self.program.interpreter, facts)}

    goes_on = True
    """Whether a file that does not fit is passed over."""

    def versions(self, loaded: tuple[_Loaded, ...], by_name: dict[str, _Loaded]) -> tuple[ResolvedVersion, ...]:
        """Compare versions that are needed with those that are defined."""
        del loaded, by_name
        return ()

    def _fits(self, path: str) -> str | None:
        """Say why a file cannot be loaded; empty where there is none, None where it can."""
        real = self.root.find(path)
        if real is None:
            return ""
        facts = self.root.facts(real)
        if not isinstance(facts, ElfFacts):
            return "is not a library that can be read"
        if facts.architecture != self.program.architecture or facts.order != self.program.order:
            return f"is built for {facts.architecture}"
        return None

    @abstractmethod
    def _places(self, name: str, asker: _Loaded) -> Iterator[tuple[str, str]]:
        """Yield the places where a library is looked for, each with its reason, in order."""

    def _library_path(self, name: str, separators: str) -> Iterator[tuple[str, str]]:
        for folder in re.split(separators, self.root.environment().get("LD_LIBRARY_PATH", "")):
            if folder.startswith("/"):
                yield _joined(folder, name), "LD_LIBRARY_PATH"


@dataclass
class _Glibc(_Rules):
    _cache: Mapping[str, tuple[str, ...]] = field(init=False)
    _system: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._cache = self._read_cache()
        facts = self.root.facts(real) if (real := self.root.find(self.program.interpreter)) else None
        own = facts.system_folders if isinstance(facts, ElfFacts) else ()
        self._system = own or library_folders(self.program.architecture)

    def _places(self, name: str, asker: _Loaded) -> Iterator[tuple[str, str]]:
        if "/" in name:
            yield _expanded(name, asker, self.program), "path"
            return
        if not asker.facts.dynamic.runpath:
            for one in asker.chain:
                if not one.facts.dynamic.runpath:
                    yield from self._own(one.facts.dynamic.rpath, name, one, "rpath")
        yield from self._library_path(name, "[:;]")
        yield from self._own(asker.facts.dynamic.runpath, name, asker, "runpath")
        for path in self._cache.get(name, ()):
            if not asker.facts.only_search or str(PurePosixPath(path).parent) not in self._system:
                yield path, "ld.so.cache"
        if not asker.facts.only_search:
            yield from ((_joined(folder, name), "system") for folder in self._system)

    def _own(self, folders: tuple[str, ...], name: str, of: _Loaded, by: str) -> Iterator[tuple[str, str]]:
        for folder in folders:
            yield _joined(_expanded(folder, of, self.program), name), by

    def _read_cache(self) -> Mapping[str, tuple[str, ...]]:
        content = self.root.text(LOADER_CACHE)
        if content is None:
            return {}
        try:
            return _parsed(content, self.program.order)
        except InvalidDocument as error:
            self.notes.append(str(error.message))
            return {}

    def versions(self, loaded: tuple[_Loaded, ...], by_name: dict[str, _Loaded]) -> tuple[ResolvedVersion, ...]:
        """Compare as `match_symbol` does: a library without any version, and a weak version, pass."""
        found = []
        for one in loaded:
            for need in one.facts.versions.needed:
                library = by_name.get(need.library)
                if library is None:
                    continue
                defined = library.facts.versions.defined
                there = not defined or need.version in defined
                found.append(
                    ResolvedVersion(need.library, library.path, need.version, one.path, there, need.weak)
                )  # fmt: skip
        return tuple(found)


@dataclass
class _Musl(_Rules):
    _folders: tuple[str, ...] = field(init=False)
    goes_on = False

    def __post_init__(self) -> None:
        self._folders = self._system_folders()

    def _places(self, name: str, asker: _Loaded) -> Iterator[tuple[str, str]]:
        interpreter = self.program.interpreter
        if _MUSL_OWN.match(name) or name == PurePosixPath(interpreter).name:
            yield interpreter, "interpreter"
            return
        if "/" in name:
            yield name, "path"
            return
        yield from self._library_path(name, "[:\n]")
        for one in asker.chain:
            by = "runpath" if one.facts.dynamic.runpath else "rpath"
            for folder in one.facts.dynamic.search:
                yield _joined(_expanded(folder, one, self.program), name), by
        yield from ((_joined(folder, name), "system") for folder in self._folders)

    def _system_folders(self) -> tuple[str, ...]:
        """Read /etc/ld-musl-ARCH.path below the folder that the loader's /lib is in."""
        found = _MUSL.search(self.program.interpreter)
        assert found  # noqa: S101 - the rules were chosen by it
        above = self.program.interpreter[: found.start()]
        prefix = above.removesuffix("/lib") if above.endswith("/lib") else above
        text = self.root.text(f"{prefix}/etc/ld-musl-{found[1]}.path")
        if text is None:
            return _MUSL_FOLDERS
        return tuple(line for line in re.split("[:\n]", text.decode(errors="surrogateescape")) if line)


@lru_cache(maxsize=2)
def _parsed(content: bytes, order: str) -> Mapping[str, tuple[str, ...]]:
    """Parse a cache once for all programs of a root."""
    return parse_cache(content, order)


def _expanded(text: str, of: _Loaded, program: ElfFacts) -> str:
    """Replace `$ORIGIN` by the file's folder, `$LIB` as glibc was built; `$PLATFORM` depends on the processor."""
    origin = str(PurePosixPath(of.path).parent)
    triple = library_folders(program.architecture)[0].removeprefix("/")
    words = {"ORIGIN": origin, "LIB": triple, "PLATFORM": "x86_64" if program.architecture == "amd64" else ""}
    return _TOKEN.sub(lambda found: words[found[1] or found[2]], text)


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
