"""All that is outside: stdout, environment, clock, stores. Tests build their own."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

from wherry.errors import InvalidUsage, WherryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.host.process import Runner
    from wherry.oci.descriptor import Descriptor
    from wherry.registry.open import Registries
    from wherry.store.disk import DiskStore


@dataclass
class World:
    """What a command may touch; the only reader of the process's environment."""

    stdout: IO[str]
    stderr: IO[str]
    environment: Mapping[str, str]
    cwd: Path
    clock: Callable[[], float] = time.time
    """Seconds since the epoch, UTC."""
    stdin: IO[str] = field(default_factory=lambda: sys.stdin)
    insecure: set[str] = field(default_factory=set)
    """Registries named by `--insecure`; it counts until `registries` is first asked for."""
    call: tuple[str, ...] = ()
    """The words of the command line; empty where there is none."""
    _store: str | None = field(default=None, init=False)
    _cache: str | None = field(default=None, init=False)

    @classmethod
    def of_process(cls) -> Self:
        """The world this process was started in."""
        return cls(sys.stdout, sys.stderr, dict(os.environ), Path.cwd(), call=tuple(sys.argv[1:]))

    def configure(self, *, store: str | None, cache: str | None) -> None:
        """Take the places that were named on the command line."""
        self._store, self._cache = store, cache

    @property
    def store_folder(self) -> Path:
        """Where images rest: `--store`, $WHERRY_STORE, or the user's data folder (XDG)."""
        return self._folder(
            self._store or self.environment.get("WHERRY_STORE"), "XDG_DATA_HOME", ".local/share", "store"
        )

    @property
    def cache_folder(self) -> Path:
        """Where results and trees rest: `--cache`, $WHERRY_CACHE, or the user's cache folder (XDG)."""
        return self._folder(self._cache or self.environment.get("WHERRY_CACHE"), "XDG_CACHE_HOME", ".cache", "")

    @cached_property
    def store(self) -> "DiskStore":
        """The local store, made when first written."""
        from wherry.store.disk import DiskStore

        return DiskStore(self.store_folder, fetch=self._fetched)

    @cached_property
    def registries(self) -> "Registries":
        """Registries as the environment and the user's files say they are to be reached."""
        from wherry.cli.network import registries_of

        return registries_of(self, frozenset(self.insecure))

    def _fetched(self, blob: "Descriptor", places: tuple[str, ...]) -> "Iterator[bytes]":
        from wherry.oci.reference import Reference

        return self.registries.source(Reference.parse(places[0], default_tag="")).read(blob)

    @cached_property
    def runner(self) -> "Runner":
        """Whoever starts programs."""
        from wherry.host.process import SystemRunner

        return SystemRunner()

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

    def say(self, line: str) -> None:
        """Print a result."""
        self.stdout.write(line + "\n")

    @property
    def binary_out(self) -> IO[bytes]:
        """Stdout for bytes; what was said before goes first."""
        self.stdout.flush()
        binary = getattr(self.stdout, "buffer", None)
        if binary is None or self.stdout.isatty():
            raise InvalidUsage(
                "an archive can't be shown on a terminal", hint="redirect stdout, or name a file with -o"
            )
        return cast("IO[bytes]", binary)

    @property
    def binary_in(self) -> IO[bytes]:
        """Stdin for bytes."""
        binary = getattr(self.stdin, "buffer", None)
        if binary is None or self.stdin.isatty():
            raise InvalidUsage("no archive comes on stdin", hint="name a file, or pipe one in")
        return cast("IO[bytes]", binary)

    def note(self, line: str) -> None:
        """Tell a person something."""
        self.stderr.write(line + "\n")
        self.stderr.flush()

    def fail(self, error: WherryError) -> None:
        """Print an error and what to do about it."""
        red, bold, plain = ("\x1b[31m", "\x1b[1m", "\x1b[0m") if self.colour else ("", "", "")
        self.note(f"{red}{bold}error:{plain} {_harmless(error.message)}")
        if error.hint:
            self.note(f"{bold}hint:{plain} {_harmless(error.hint)}")

    def close(self) -> None:
        """Flush what is left; a reader that went away is no error."""
        for stream in (self.stdout, self.stderr):
            try:
                stream.flush()
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def _folder(self, named: str | None, variable: str, default: str, leaf: str) -> Path:
        if named:
            return (self.cwd / named).absolute()
        home = Path(self.environment.get("HOME") or Path.home())
        root = self.environment.get(variable) or str(home / default)
        return Path(root) / "wherry" / leaf


def _harmless(text: str) -> str:
    """Take out what a terminal would obey; a message may quote what somebody else wrote."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
