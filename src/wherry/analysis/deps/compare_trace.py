"""A traced run against what is declared, and against the image: opened, missing, never opened, of no use."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wherry.analysis.deps.document import PlatformDeps, ProgramDeps
from wherry.analysis.deps.facts import ElfFacts
from wherry.analysis.deps.image_root import ImageRoot
from wherry.analysis.deps.observed import FileOutcome, ObservedFile, RunObservation
from wherry.analysis.deps.trace_document import (
    TracedFile,
    TracedSocket,
    UnopenedFile,
    UnusedFiles,
    UnusedGroup,
)
from wherry.analysis.image.kinds import MEANING, unneeded
from wherry.layer.entry import encode_path

_RUNTIME = ("/proc", "/sys", "/dev")
_WRITTEN = frozenset({"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"})
"""Files that a container's runtime writes."""
_ELSEWHERE = frozenset({"resolver", "hosts"})
"""Kinds of files that programs ask for and that a runtime gives."""


@dataclass(frozen=True, slots=True)
class ComparedTrace:
    """A run next to what is declared."""

    executed: tuple[TracedFile, ...]
    opened: tuple[TracedFile, ...]
    made: tuple[TracedFile, ...]
    missing: tuple[TracedFile, ...]
    refused: tuple[TracedFile, ...]
    libraries: tuple[str, ...]
    sockets: tuple[TracedSocket, ...]
    unopened: tuple[UnopenedFile, ...]
    undeclared: tuple[str, ...]
    unused: UnusedFiles
    used: tuple[str, ...]
    """Real paths of all files that the run had a use for, or that are reachable from those."""


@dataclass(slots=True)
class TraceComparison:
    """Compares one run with one image."""

    root: ImageRoot
    declared: PlatformDeps
    seen: RunObservation
    mounts: Sequence[str] = ()
    """Where something of this machine is mounted."""
    _kinds: dict[str, str] = field(default_factory=dict)
    """What declares a real path, of the programs that ran."""
    _programs: dict[str, ProgramDeps] = field(default_factory=dict)
    """Those that ran, by their real path."""
    _used: set[str] = field(default_factory=set)

    def compared(self) -> ComparedTrace:
        """Compare."""
        self._start()
        names = {real for file in self.seen.of(FileOutcome.OPENED) if (real := self._real(file.path))}
        undeclared = sorted(name for name in names if not self._declared_as(name) and name != "/")
        asked = {
            real for file in self.seen.of(FileOutcome.LOOKED_AT, FileOutcome.REFUSED) if (real := self._real(file.path))
        }
        self._used |= names | asked
        libraries = sorted(name for name in self._used if self._is_library(name))
        return ComparedTrace(
            executed=tuple(self._files(self.seen.of(FileOutcome.EXECUTED))),
            opened=tuple(self._files(self.seen.of(FileOutcome.OPENED))),
            made=tuple(self._files(self.seen.of(FileOutcome.MADE))),
            missing=tuple(self._files(self._failed(FileOutcome.MISSING))),
            refused=tuple(self._files(self._failed(FileOutcome.REFUSED))),
            libraries=tuple(map(_shown, libraries)),
            sockets=tuple(
                TracedSocket(use=one.use, address=one.address, program=one.program, count=one.count, error=one.error)
                for one in self.seen.sockets
            ),
            unopened=tuple(self._unopened(names | asked)),
            undeclared=tuple(map(_shown, undeclared)),
            unused=self._unused(),
            used=tuple(sorted(self._used & set(self.root.files()))),
        )

    def _start(self) -> None:
        """Find which programs of the image ran, and what they declare; the kernel opens their interpreters itself."""
        by_path = {self.root.find(one.path) or one.path: one for one in self.declared.programs}
        for file in self.seen.of(FileOutcome.EXECUTED):
            real = self.root.find(file.path)
            if real is None:
                continue
            self._used.add(real)
            self._kinds[real] = "program"
            if (program := by_path.get(real)) is not None:
                self._programs[real] = program
        for program in self._programs.values():
            for one in program.interpreters:
                self._declare(one.path, "interpreter", used=True)
            for library in program.libraries:
                self._declare(library.path, "library")
            for ask in program.asks:
                self._declare(ask.path, ask.kind)

    def _declare(self, path: str, kind: str, *, used: bool = False) -> None:
        real = self.root.find(path) if path else None
        if real is None:
            return
        self._kinds.setdefault(real, kind)
        if used:
            self._used.add(real)

    def _failed(self, outcome: FileOutcome) -> Iterator[ObservedFile]:
        return (file for file in self.seen.failed() if file.outcome is outcome)

    def _files(self, files: Iterable[ObservedFile]) -> Iterator[TracedFile]:
        for file in files:
            given, real = self._given(file.path), self._real(file.path)
            yield TracedFile(
                path=_shown(file.path),
                real=_shown(real) if real != file.path else "",
                program=_shown(file.program),
                count=file.count,
                error=file.error,
                declared=self._declared_as(real or file.path),
                given=given,
            )

    def _declared_as(self, path: str) -> str:
        if path in self._kinds:
            return self._kinds[path]
        above = path
        while above := above.rpartition("/")[0]:
            if above in self._kinds:  # a folder that packages ask for, such as that of the time zones
                return self._kinds[above]
        return ""

    def _real(self, path: str) -> str:
        """Give the file or folder of the image that a path names; empty: none."""
        return "" if self._given(path) else self.root.find(path) or ""

    def _given(self, path: str) -> str:
        if any(_is_below(path, mount) for mount in self.mounts):
            return "mount"
        if path in _WRITTEN or any(_is_below(path, folder) for folder in _RUNTIME):
            return "runtime"
        return ""

    def _is_library(self, path: str) -> bool:
        facts = self.root.facts(path)
        return isinstance(facts, ElfFacts) and facts.dynamic.present and path not in self._programs

    def _unopened(self, names: set[str]) -> Iterator[UnopenedFile]:
        """Give what programs that ran declare and nothing opened; of a folder, nothing below it."""
        for program in self._programs.values():
            for library in program.libraries:
                if library.path and (self.root.find(library.path) or library.path) not in names | self._used:
                    yield UnopenedFile(path=library.path, declared="library", program=program.path)
            for ask in program.asks:
                real = self.root.find(ask.path) if ask.path else None
                if real and ask.kind not in _ELSEWHERE and not any(_is_below(name, real) for name in names):
                    yield UnopenedFile(path=ask.path, declared=ask.kind, program=program.path)

    def _unused(self) -> UnusedFiles:
        """Add up the files that nothing opened and nothing that ran declares."""
        groups: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        sizes = self.root.files()
        reachable = [path for path, kind in self._kinds.items() if kind]
        whole = tuple(f"{path.rstrip('/')}/" for path in reachable)
        linked = {self.root.number(path) for path in self._used | set(reachable)}
        total = count = 0
        for path, (number, size) in sizes.items():
            if path in self._used or number in linked or path.startswith(whole) or path in self._kinds:
                self._used.add(path)
                continue
            group = groups[_group(path)]
            group[0] += 1
            group[1] += size
            count += 1
            total += size
        found = [UnusedGroup(name=name, files=files, bytes=size) for name, (files, size) in groups.items()]
        return UnusedFiles(
            files=count,
            bytes=total,
            of_files=len(sizes),
            of_bytes=sum(_once(sizes)),
            groups=tuple(sorted(found, key=lambda one: (-one.bytes, one.name))),
        )


def _shown(path: str) -> str:
    """Give a path as text that every encoding takes; bytes that are no UTF-8 are replaced."""
    return encode_path(path).decode(errors="replace")


def _once(sizes: Mapping[str, tuple[int, int]]) -> Iterable[int]:
    return dict(sizes.values()).values()


def _group(path: str) -> str:
    kind = unneeded(encode_path(path)[1:])
    if kind is not None:
        return MEANING[kind]
    parts = path.split("/")
    return "/".join(parts[:3]) if len(parts) > 3 else "/".join(parts[:-1]) or "/"  # noqa: PLR2004 - such as /usr/lib


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
