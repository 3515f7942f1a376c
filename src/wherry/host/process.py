"""The only module that starts programs, and its fake."""

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from wherry.errors import Cancelled, HostUnable


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: argv, where, and with which whole environment."""

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    stdin: bytes = field(default=b"", repr=False)
    """What it reads; it may be a secret."""
    on_line: Callable[[str], None] | None = field(default=None, compare=False, repr=False)
    """Receives each line of its stderr while it runs, from a thread."""
    keeps_lines: bool = field(default=True, compare=False)
    """Whether those lines are in its outcome, too; not of a program that prints for days."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished program left: its exit code (negative: the signal), stdout and stderr."""

    returncode: int
    stdout: bytes
    stderr: bytes
    began: int = 0
    """When it was started, in nanoseconds since the epoch, where that was before it was asked for; else 0."""

    @property
    def words(self) -> str:
        """What it said on stderr, or on stdout where stderr is empty, as text."""
        return (self.stderr or self.stdout).decode(errors="replace").strip()


class ProcessHandle(Protocol):
    """A program running in the background."""

    def finish(self) -> Outcome:
        """Wait for its end; asked again, it gives the same outcome."""

    def stop(self) -> None:
        """End it where it still runs, and forget what it said; stopping what has ended is not an error."""


class Runner(Protocol):
    """Starts programs."""

    def run(self, command: Command) -> Outcome:
        """Run a program to its end; an exit code other than 0 is not an error here.

        Raises:
            HostUnable: there is no such program, or it may not be started.
        """

    def start(self, command: Command) -> ProcessHandle:
        """Start a program and come back at once; the caller must call `finish` or `stop`.

        Raises:
            HostUnable: as `run`.
        """


_LAST_LINES = 1 << 14
"""Bytes that are kept in any case, for an error."""
_LOOK = 0.1
"""Seconds between two looks whether a program is to be ended."""


class SystemRunner:
    """Starts real programs. They die with us on Ctrl-C, since they share our process group."""

    def __init__(self, cancelled: Callable[[], bool] | None = None) -> None:
        """Take what says that programs are to be ended, where something may."""
        self._cancelled = cancelled

    def run(self, command: Command) -> Outcome:
        """Run a program to its end, its output captured."""
        return self.start(command).finish()

    def start(self, command: Command) -> "RunningProcess":
        """Start a program, its output captured."""
        try:
            process = subprocess.Popen(  # noqa: S603 - argv is a tuple, no shell reads it
                command.argv,
                cwd=command.cwd,
                env=dict(command.environment),
                stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise HostUnable(
                f"{command.argv[0]}: {error.strerror or error}",
                hint=f"install {Path(command.argv[0]).name}, or add it to PATH",
            ) from error
        return RunningProcess(process, command.stdin, self._cancelled, command.on_line, keeps_lines=command.keeps_lines)


class RunningProcess:
    """A real program at work."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        stdin: bytes = b"",
        cancelled: Callable[[], bool] | None = None,
        on_line: Callable[[str], None] | None = None,
        *,
        keeps_lines: bool = True,
    ) -> None:
        self._process = process
        self._lines = _Lines(process, on_line, keeps=keeps_lines) if on_line else None
        self._cancelled = cancelled
        self._stdin = stdin
        self._outcome: Outcome | None = None

    def finish(self) -> Outcome:
        """Wait for its end; where the wait is interrupted, the program is ended first.

        Raises:
            Cancelled: it was to be ended.
        """
        if self._outcome is None:
            try:
                stdout, stderr = self._output()
            except BaseException:
                self.stop()
                raise
            if self._lines is not None:
                stderr = self._lines.all()
            self._outcome = Outcome(self._process.returncode, stdout, stderr or b"")
        return self._outcome

    def _output(self) -> tuple[bytes, bytes]:
        if self._cancelled is None:
            return self._process.communicate(self._stdin or None)
        if self._process.stdin is not None:
            # After a timeout, Python 3.11 no longer writes what `communicate` was given: so a thread of ours does.
            threading.Thread(target=_feed, args=(self._process.stdin, self._stdin), daemon=True).start()
            self._process.stdin = None
        while not self._cancelled():
            with suppress(subprocess.TimeoutExpired):
                return self._process.communicate(timeout=_LOOK)
        raise Cancelled

    def stop(self) -> None:
        """End it and collect what it leaves to the system."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._lines is not None:
            self._lines.all()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


class _Lines:
    """Reads a program's stderr in a thread, line by line, and keeps it; `communicate` no longer sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]", on_line: Callable[[str], None], *, keeps: bool) -> None:
        self._most = None if keeps else _LAST_LINES
        assert process.stderr is not None  # noqa: S101 - it was started with a pipe
        self._pipe, self._on_line = process.stderr, on_line
        process.stderr = None
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read, name="stderr", daemon=True)
        self._thread.start()

    def all(self) -> bytes:
        """Wait for its end; give all of it."""
        self._thread.join()
        return bytes(self._kept)

    def _read(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self._kept += line
                if self._most is not None:
                    del self._kept[: -self._most]
                with suppress(OSError, ValueError):  # where it is shown may have gone away
                    self._on_line(line.decode(errors="replace").rstrip("\n"))


def _feed(pipe: IO[bytes], text: bytes) -> None:
    with suppress(OSError), pipe:
        pipe.write(text)


Trace = Callable[[Command, float, int], None]
"""Receives a program that ended, the seconds it took, and its exit code."""


class TracedRunner:
    """Starts programs by another runner, and reports each one that ended."""

    def __init__(self, runner: Runner, trace: Trace) -> None:
        self._runner, self._trace = runner, trace

    def run(self, command: Command) -> Outcome:
        """Run a program to its end, and report it."""
        began = time.monotonic()
        outcome = self._runner.run(command)
        self._trace(command, time.monotonic() - began, outcome.returncode)
        return outcome

    def start(self, command: Command) -> "TracedProcess":
        """Start a program; it is reported where it is waited for."""
        return TracedProcess(self._runner.start(command), command, self._trace)


class TracedProcess:
    """A program of a `TracedRunner`."""

    def __init__(self, running: ProcessHandle, command: Command, trace: Trace) -> None:
        self._running, self._command, self._trace = running, command, trace
        self._began = time.monotonic()
        self._told = False

    def finish(self) -> Outcome:
        """Wait for its end; report it once."""
        outcome = self._running.finish()
        if not self._told:
            self._told = True
            self._trace(self._command, time.monotonic() - self._began, outcome.returncode)
        return outcome

    def stop(self) -> None:
        """End it; nothing is reported."""
        self._running.stop()


@dataclass(frozen=True, slots=True)
class Finished:
    """A program with a known outcome; the fake of `RunningProcess`."""

    outcome: Outcome

    def finish(self) -> Outcome:
        """Give the outcome."""
        return self.outcome

    def stop(self) -> None:
        """Do nothing: it has ended."""


@dataclass
class FakeRunner:
    """Answers from a function and remembers what it was asked; for tests."""

    answer: Callable[[Command], Outcome]
    asked: list[Command] = field(default_factory=list)

    def run(self, command: Command) -> Outcome:
        """Ask the function."""
        self.asked.append(command)
        outcome = self.answer(command)
        for line in outcome.stderr.decode(errors="replace").splitlines() if command.on_line else ():
            if command.on_line:
                command.on_line(line)
        return outcome

    def start(self, command: Command) -> Finished:
        """Ask the function, at once."""
        return Finished(self.run(command))


def which(program: str, path: str) -> str | None:
    """Find a program as a shell would, on the PATH given."""
    import shutil

    return shutil.which(program, path=path)


def tail(words: str, lines: int = 20) -> Sequence[str]:
    """Give the last lines of what a program said."""
    return words.splitlines()[-lines:]
