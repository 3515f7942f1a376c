"""What the compiler that was started ahead made, handed to the build that asks for it; and the plan for the next time.

See `cli/ahead.py`.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from wherry.app.build.go_work import GoRequest
from wherry.app.places import TOML
from wherry.cli import ahead, replay
from wherry.cli.world import World
from wherry.host.process import Command, Outcome, SystemRunner
from wherry.settings.ko_yaml import FILE as KO_YAML

if TYPE_CHECKING:
    from wherry.cli.ahead import EarlyCompiler, Known, Text

_LOOK = 0.1
"""Seconds between two looks at what the compiler printed."""
_PLAIN = frozenset(
    {
        "CGO_ENABLED", "GOOS", "GOARCH", "GOARM", "GOARM64", "GOAMD64", "GO386", "GOMIPS", "GOMIPS64", "GOPPC64",
        "GORISCV64", "GOWASM", "GOTOOLCHAIN", "PWD", "GIT_CONFIG_COUNT", "GIT_OPTIONAL_LOCKS",
        "GIT_CEILING_DIRECTORIES", "GIT_TERMINAL_PROMPT", "LC_ALL",
    }
)  # fmt: skip
"""Variables that a build sets to what is no secret."""


class AheadRunner(SystemRunner):
    """Starts programs, and gives the result of a `go build` that works already to the build that asks for it."""

    def __init__(
        self,
        compiler: "EarlyCompiler | None",
        environment: Mapping[str, str],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what was started.

        Args:
            compiler: what was started, if anything was.
            environment: of this process.
            meanwhile: work that is done while the compiler is waited for.
        """
        super().__init__()
        self._meanwhile = meanwhile
        self._compiler = compiler
        self._environment = environment
        self._lock = Lock()
        self._first: Command | None = None

    def run(self, command: Command) -> Outcome:
        """Run a program to its end, unless it has run already."""
        if command.argv[1:2] != ("build",) or "-o" not in command.argv:
            return super().run(command)
        with self._lock:
            self._first = self._first or command
            compiler = self._compiler if self._compiler and _is_for(self._compiler, command) else None
            if compiler:
                self._compiler = None
        if compiler is None:
            return super().run(command)
        with _followed(f"{compiler.place}/stderr", command.on_line):
            self._meanwhile()
            code, stdout, stderr = compiler.finish()
        if code == 0:
            Path(compiler.program).replace(command.argv[compiler.output])
            return Outcome(code, stdout, stderr, compiler.began)
        return super().run(command)  # what it met may be over; and its words count only where it was asked for

    def keep(self, world: World, requests: Sequence[GoRequest]) -> None:
        """Write down what the same call may start with next time; nothing that could tell a secret."""
        key, cache = replay.key_of(world.call, world.environment), replay.cache_of(world.environment)
        command = self._first
        if command is None or not world.call or not key or cache != str(world.cache_folder):
            return
        known = _plan(command, world, requests, self._environment)
        with suppress(OSError):
            if known is not None and known != _before(cache, key):
                ahead.write(cache, key, known)


@contextmanager
def _followed(path: str, on_line: Callable[[str], None] | None) -> Iterator[None]:
    """Hand over the lines of a file that a program writes, while it writes them, and the rest in the end."""
    if on_line is None:
        yield
        return
    ended = Event()
    with Path(path).open(encoding="utf-8", errors="replace") as file:

        def follow() -> None:
            waiting = ""
            while True:
                last = ended.wait(_LOOK)
                *lines, waiting = (waiting + file.read()).split("\n")
                for line in lines:
                    with suppress(OSError, ValueError):  # where it is shown may have gone away
                        on_line(line)
                if last:
                    return

        thread = Thread(target=follow, name="compiler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _before(cache: str, key: str) -> "Known | None":
    try:
        return ahead.read(cache, key)
    except (OSError, LookupError, ValueError, EOFError, TypeError):
        return None


def _is_for(compiler: "EarlyCompiler", command: Command) -> bool:
    def without_output(words: Sequence[str]) -> list[str]:
        return [word for place, word in enumerate(words) if place != compiler.output]

    return (
        len(command.argv) == len(compiler.words)
        and command.argv[compiler.output - 1] == "-o"
        and without_output(command.argv) == without_output(compiler.words)
        and Path(command.argv[compiler.output]).name == Path(compiler.program).name
        and str(command.cwd) == compiler.folder
        and not command.stdin
        and dict(command.environment) == compiler.environment
    )


def _plan(
    command: Command, world: World, requests: Sequence[GoRequest], environment: Mapping[str, str]
) -> "Known | None":
    arguments, files = ("wherry", *world.call), tuple(_settings_files(world, requests))
    flags = [request.flags.ldflags for request in requests if request.flags.ldflags]
    output = command.argv.index("-o") + 1
    written = (*command.argv[:output], Path(command.argv[output]).name, *command.argv[output + 1 :])
    words = [_word(word, flags, arguments, files) for word in written]
    changed = {
        name: _value(name, value, arguments, files)
        for name, value in command.environment.items()
        if environment.get(name) != value
    }
    known_words, known_values = [word for word in words if word], {name: text for name, text in changed.items() if text}
    if len(known_words) != len(words) or len(known_values) != len(changed):
        return None
    return {
        "words": known_words,
        "output": output,
        "folder": str(command.cwd),
        "set": known_values,
        "left_out": sorted(environment.keys() - command.environment.keys()),
    }


def _word(word: str, flags: Sequence[str], arguments: Sequence[str], files: Sequence[str]) -> "Text | None":
    """Write down a word of the command; what `-X` sets only as a quotation of what the user wrote elsewhere."""
    if "-X" not in word:
        return [word]
    for text in flags:
        before, found, after = word.partition(text)
        if found and "-X" not in before and "-X" not in after:
            return ahead.quoted(word, text, arguments, files)
    return None


def _value(name: str, value: str, arguments: Sequence[str], files: Sequence[str]) -> "Text | None":
    if name in _PLAIN or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_")):
        return [value]
    if not value or value == "off":
        return [value]
    return ahead.quoted(value, value, arguments, files)


def _settings_files(world: World, requests: Sequence[GoRequest]) -> Iterator[str]:
    for start in dict.fromkeys((world.cwd, *(request.package.folder for request in requests))):
        here = Path(os.path.realpath(start))
        for folder in (here, *here.parents):
            yield from (str(folder / name) for name in (TOML, KO_YAML))
            if (folder / "go.mod").is_file():
                break
