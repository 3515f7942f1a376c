"""What a traced run of a program asked for, as values: files, programs, sockets, signals, system calls."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FileOutcome(StrEnum):
    """What came of asking for a file."""

    OPENED = "opened"
    EXECUTED = "executed"
    LOOKED_AT = "looked-at"
    """Its status, its rights or where it points was asked, and it is there."""
    MADE = "made"
    MISSING = "missing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ObservedFile:
    """A path, and what came of asking for it."""

    path: str
    outcome: FileOutcome
    program: str
    """Who asked first."""
    call: str
    """By which system call, the first time."""
    error: str = ""
    """The error's name, such as `ENOENT`."""
    count: int = 1
    last: int = 0
    """Where it stands in the order of all events; the highest is the last."""


@dataclass(frozen=True, slots=True)
class ObservedSocket:
    """An address that a program used."""

    use: str
    """`listen`, `bind` (no `listen` followed: UDP) or `connect`."""
    address: str
    """Such as `0.0.0.0:8080`, `[::]:8080` or `unix:/run/x.sock`."""
    program: str
    error: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class RunObservation:
    """All of a run."""

    files: tuple[ObservedFile, ...] = ()
    """By path and outcome, in the order in which they were first asked for."""
    sockets: tuple[ObservedSocket, ...] = ()
    signals: Mapping[str, int] = field(default_factory=dict)
    """How often each came, by name; SIGURG, by which Go interrupts its own goroutines, is left out."""
    calls: frozenset[tuple[int, int]] = frozenset()
    """System calls that were made, by AUDIT_ARCH_… and number; empty where they were not traced."""
    processes: int = 0
    left: int = 0
    """Processes that still ran when the first one ended, and so ended with it."""
    dropped: int = 0
    """Paths that were not kept, since there were too many."""

    def of(self, *outcomes: FileOutcome) -> Iterator[ObservedFile]:
        """Give the files of some outcomes."""
        return (file for file in self.files if file.outcome in outcomes)

    def failed(self) -> list[ObservedFile]:
        """Give the files that were asked for in vain, the last first."""
        found = self.of(FileOutcome.MISSING, FileOutcome.REFUSED)
        return sorted(found, key=lambda file: file.last, reverse=True)

    @property
    def listening(self) -> tuple[str, ...]:
        """The addresses that it listened on."""
        return tuple(one.address for one in self.sockets if one.use == "listen" and not one.error)
