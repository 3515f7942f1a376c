"""The session of the command line, with its streams and its terminal. Tests build their own."""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

from wherry.app.session import Session
from wherry.errors import InvalidUsage, WherryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wherry.app.progress import Reporter
    from wherry.cli.ahead import EarlyCompiler
    from wherry.host.process import Command, Runner

_LONG_WORD = re.compile(r"""[^\s/:"']{160,}""")
"""In a message; a digest of SHA-512 has 128 letters."""
_SHOWN = 60
_COLUMNS = 80
"""Of a terminal that does not tell its width."""


class World(Session):
    """The session of a command: its process's environment, terminal and clock; their only reader."""

    may_fork = True

    def __init__(  # noqa: PLR0913 - tests build their own
        self,
        stdout: IO[str],
        stderr: IO[str],
        environment: Mapping[str, str],
        cwd: Path,
        clock: Callable[[], float] = time.time,
        *,
        stdin: IO[str] | None = None,
        call: tuple[str, ...] = (),
    ) -> None:
        """Take the streams, the environment and the folder of a process.

        Args:
            stdout: for results.
            stderr: for people.
            environment: the whole of it.
            cwd: where relative paths start.
            clock: seconds since the epoch, UTC.
            stdin: None: this process's.
            call: the words of the command line; empty where there is none.
        """
        self.stdout, self.stderr = stdout, stderr
        self.failed = self.debug = self.verbose = False
        self.as_json = False
        """Whether the command was asked for JSON: then an error is JSON too, if nothing else was printed."""
        self.annotates = False
        """Whether errors and findings are shown as annotations of GitHub Actions too."""
        self.said = False
        self._reporter: Reporter | None = None
        self.stdin: IO[str] = stdin or sys.stdin
        self.call = call
        self.compiler: EarlyCompiler | None = None
        self.replayed: tuple[str, str] = "", ""
        """The journal of the history, and what a replay of this call adds to it; empty where none is kept."""
        self.kept: list[str] | None = None
        """The results printed since it was set to none; gone where more than results was printed."""
        home = Path(environment.get("HOME") or Path.home())
        super().__init__(store=cwd, cache=cwd, cwd=cwd, environment=environment, home=home, clock=clock)
        self.configure(store=None, cache=None)

    @classmethod
    def of_process(cls) -> Self:
        """The world this process was started in."""
        from wherry.cli.console import open_streams

        return cls(*open_streams(), dict(os.environ), Path.cwd(), call=tuple(sys.argv[1:]))

    def configure(self, *, store: str | None, cache: str | None) -> None:
        """Take the places that were named on the command line, else those of the environment."""
        places = Session.of(self.environment, cwd=self.cwd)
        self.store_folder = (self.cwd / store).absolute() if store else places.store_folder
        self.cache_folder = (self.cwd / cache).absolute() if cache else places.cache_folder

    @property
    def columns(self) -> int | None:
        """Width of the terminal that stdout is; None where it is none: then nothing is shortened."""
        if not self.stdout.isatty():
            return None
        if (given := self.environment.get("COLUMNS", "")).isdecimal() and int(given):
            return int(given)
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns or _COLUMNS
        except (OSError, ValueError):
            return _COLUMNS

    def show(self, lines: "Iterable[str]") -> None:
        """Print lines for people; on a terminal, long ones break between words."""
        from wherry.report.terminal import wrapped

        for line in wrapped(lines):
            self.say(line)

    def be_verbose(self) -> None:
        """Print each program that is started from now on, with its time and its exit code; values of -X are hidden."""
        if not self.verbose:
            self.verbose = True
            self.use(self.runner)

    def use(self, runner: "Runner") -> None:
        """Start programs by this runner from now on; where it is verbose, each is printed."""
        from wherry.host.process import TracedRunner

        self.runner = TracedRunner(runner, self._trace) if self.verbose else runner

    def _trace(self, command: "Command", seconds: float, code: int) -> None:
        from wherry.analysis.build_secrets import shown_flags

        words = _harmless(shlex.join(map(shown_flags, command.argv)))
        self.note(f"+ {words}  ({command.cwd}; {seconds:.2f} s; exit {code})")

    @property
    def colour(self) -> bool:
        """Whether stderr takes colours: a terminal, and neither NO_COLOR nor TERM=dumb."""
        return self._paints(self.stderr)

    @property
    def colour_out(self) -> bool:
        """The same of stdout, for what is a table to people and JSON to scripts."""
        return self._paints(self.stdout)

    def _paints(self, stream: IO[str]) -> bool:
        return stream.isatty() and not self.environment.get("NO_COLOR") and self.environment.get("TERM") != "dumb"

    def reporter(self, mode: str = "auto") -> "Reporter":
        """Give what shows progress on stderr: `auto`, `plain`, `json` or `quiet`; use it in a `with` statement."""
        from wherry.report.progress import progress_for

        self._reporter = progress_for(mode, self.stderr, self.environment, self.clock)
        return self._reporter

    def show_preparing(self) -> None:
        """Show on a terminal, from now on, what takes a while before a container starts, such as unpacking layers."""
        if self.stderr.isatty():
            self.progress = self.reporter()

    def waits(self, line: str) -> None:
        """See `Session.waits`: among the lines of progress while they are shown."""
        if self._reporter is not None and not self._reporter.closed:
            self._reporter.line(line)
        else:
            self.note(line)

    def warn(self, line: str) -> None:
        """See `Session.warn`: among the lines of progress while they are shown."""
        if self._reporter is not None and not self._reporter.closed:
            self._reporter.warn(line)
        else:
            self.note(f"warning: {line}")

    def say(self, line: str) -> None:
        """Print a result."""
        self.said = True
        self.stdout.write(line + "\n")
        if self.kept is not None:
            self.kept.append(line)

    def put(self, document: bytes, output: str | None) -> None:
        """Print a document, or write it to a file with a line end; `-` is stdout.

        Raises:
            CannotWrite: the file cannot be written; what was there before is still there.
        """
        if output is None or output == "-":
            self.say(document.decode())
            return
        from wherry.store.files import replacing

        with replacing(self.cwd / output) as file:
            file.write(document + b"\n")

    @property
    def binary_out(self) -> IO[bytes]:
        """Stdout for bytes; what was said before goes first."""
        self.stdout.flush()
        binary = getattr(self.stdout, "buffer", None)
        if binary is None or self.stdout.isatty():
            raise InvalidUsage("cannot write an archive to a terminal", hint="redirect stdout, or name a file with -o")
        return cast("IO[bytes]", binary)

    @property
    def binary_in(self) -> IO[bytes]:
        """Stdin for bytes."""
        binary = getattr(self.stdin, "buffer", None)
        if binary is None or self.stdin.isatty():
            raise InvalidUsage("stdin is a terminal", hint="name a file, or pipe one in")
        return cast("IO[bytes]", binary)

    def note(self, line: str) -> None:
        """Print a line for people."""
        self.kept = None
        self.stderr.write(line + "\n")
        self.stderr.flush()

    def fail(self, error: WherryError) -> None:
        """Print an error and what to do about it."""
        self.failed = True
        red, bold, plain = ("\x1b[31m", "\x1b[1m", "\x1b[0m") if self.colour else ("", "", "")
        self.note(f"{red}{bold}error:{plain} {_readable(error.message)}")
        if error.hint:
            self.note(f"{bold}hint:{plain} {_readable(error.hint)}")
        if self.annotates:
            from wherry.report.github import error_annotations

            for line in error_annotations(error, self.cwd, self.workspace):
                self.note(_harmless(line))
        self.say_error(error)

    def say_error(self, error: WherryError) -> None:
        """Print an error as JSON, where JSON was asked for and nothing was printed."""
        if self.as_json and not self.said:
            self.say(_document(error))

    @property
    def workspace(self) -> Path | None:
        """The checkout of a workflow of GitHub Actions."""
        named = self.environment.get("GITHUB_WORKSPACE")
        return Path(named) if named else None

    def close(self, code: int) -> int:
        """Write out the results that are left; give the exit code.

        Args:
            code: what the command ended with; it stands where the results are written.
        """
        from wherry.cli.console import GONE, CannotPrint, close_results

        error = close_results(self.stdout)
        if isinstance(error, BrokenPipeError):
            return GONE
        if error is not None and not self.failed:
            self.fail(CannotPrint(error))
            return CannotPrint.exit_code
        return code


def _document(error: WherryError) -> str:
    """Write an error as the document that `--json` prints (`wherry help exit-codes`)."""
    import json
    from dataclasses import asdict

    return json.dumps(
        {
            "error": {
                "message": _harmless(error.message),
                "hint": _harmless(error.hint),
                "exitCode": error.exit_code,
                "places": [asdict(place) for place in error.places],
            }
        }
    )


def _harmless(text: str) -> str:
    """Take out what a terminal would obey, and users and passwords of URLs: a message may quote what others wrote."""
    from wherry.source.git_address import without_credentials

    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for letter in without_credentials(text)
    )


def _readable(text: str) -> str:
    """Make a message harmless, and cut words in it that fill lines."""
    return _LONG_WORD.sub(lambda word: f"{word[0][:_SHOWN]}…", _harmless(text))
