"""The one door for starting programs; the fake beside it."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wherry.errors import HostUnable


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: argv, where, and with which whole environment."""

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished program left: its exit code (negative: the signal), stdout and stderr."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def words(self) -> str:
        """What it said on stderr, or on stdout where stderr is empty, as text."""
        return (self.stderr or self.stdout).decode(errors="replace").strip()


class Runner(Protocol):
    """Whoever starts programs."""

    def run(self, command: Command) -> Outcome:
        """Run a program to its end; an exit code other than 0 is no error here.

        Raises:
            HostUnable: there is no such program, or it may not be started.
        """


class SystemRunner:
    """Starts real programs. They die with us on Ctrl-C, since they share our process group."""

    def run(self, command: Command) -> Outcome:
        """Run a program to its end, its output captured."""
        try:
            done = subprocess.run(  # noqa: S603 - argv is a tuple, no shell reads it
                command.argv,
                cwd=command.cwd,
                env=dict(command.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise HostUnable(
                f"{command.argv[0]}: {error.strerror or error}",
                hint=f"install {Path(command.argv[0]).name}, or put it on PATH",
            ) from error
        return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass
class FakeRunner:
    """Answers from a function and remembers what it was asked; for tests."""

    answer: Callable[[Command], Outcome]
    asked: list[Command] = field(default_factory=list)

    def run(self, command: Command) -> Outcome:
        """Ask the function."""
        self.asked.append(command)
        return self.answer(command)


def which(program: str, path: str) -> str | None:
    """Find a program as a shell would, on the PATH given."""
    import shutil

    return shutil.which(program, path=path)


def tail(words: str, lines: int = 20) -> Sequence[str]:
    """Give the last lines of what a program said."""
    return words.splitlines()[-lines:]
