"""The compiler, started by the last build's plan before anything heavy is loaded, and checked while it works.

A call of `wherry build` that cannot be replayed starts with the `go build` that the same call ran last time. Loading
wherry, reading settings and making the plan take about as long as Go takes to compile one file; when the plan asks
for that very command (words, folder and whole environment), its result is there, and else it is ended and was for
nothing. So what is written down here decides no build. `cli/ahead_runner.py` is the other half.

Loads nothing but what the interpreter has at hand, as `cli/replay.py`, by the names of which a call's file is found.
"""

import marshal
import os
import sys
import time

from wherry.cli import replay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypedDict

    Quoted = tuple[int | str, int, int, str]
    """A part of a word of the command line, or of a file: which, from where to where, and the part's hash."""
    Part = str | Quoted
    Text = list[Part]

    class Known(TypedDict):
        """What is known of a call."""

        words: list[Text]
        """Of the command."""
        output: int
        folder: str
        set: dict[str, Text]
        """Variables that differ from the environment's."""
        left_out: list[str]
        """Variables of the environment that the command doesn't have."""


FORMAT = 1
_SIGNALS = (2, 13, 25)
"""SIGINT, by which it is ended; SIGPIPE and SIGXFSZ, which Python ignores: programs get their defaults back."""
_LONGEST = 1 << 20
"""Characters of a settings file that are read at most."""


class EarlyCompiler:
    """A `go build` at work, for a plan that is not made yet."""

    def __init__(self, words: "Sequence[str]", output: int, folder: str, environment: "Mapping[str, str]") -> None:
        """Take a command.

        Args:
            words: the program and its arguments.
            output: which of them names the file that is written.
            folder: where it runs.
            environment: the whole of it.
        """
        self.words, self.output, self.folder, self.environment = tuple(words), output, folder, dict(environment)
        self.began = 0
        self.place = ""
        self._pid = 0
        self._lock = -1
        """Holds the lock of the folder, as `build/link_folders.py` has it."""

    def start(self, cache: str) -> None:
        """Start it, with a file in the cache for what it makes.

        Raises:
            OSError: it can't be started.
        """
        self.place = f"{cache}/link/link-{os.urandom(8).hex()}"
        os.makedirs(f"{cache}/link", exist_ok=True)  # noqa: PTH103 - pathlib takes longer to load than all this
        os.mkdir(self.place, 0o700)  # noqa: PTH102 - as above
        self._lock = _locked(self.place)
        words = list(self.words)
        words[self.output] = self.program
        made = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, f"{self.place}/stdout", made, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, f"{self.place}/stderr", made, 0o600),
        ]
        here = os.getcwd()  # noqa: PTH109 - as above
        self.began = time.time_ns()
        os.chdir(self.folder)  # posix_spawn has no folder of its own, and there is no other thread yet
        try:
            self._pid = os.posix_spawn(words[0], words, self.environment, file_actions=actions, setsigdef=_SIGNALS)
        finally:
            os.chdir(here)

    @property
    def program(self) -> str:
        """The file that it writes."""
        return f"{self.place}/{os.path.basename(self.words[self.output])}"  # noqa: PTH119 - as above

    def finish(self) -> tuple[int, bytes, bytes]:
        """Wait for its end; give its exit code (negative: the signal) and what it printed."""
        status = os.waitpid(self._pid, 0)[1]
        self._pid = 0
        printed = []
        for name in ("stdout", "stderr"):
            with open(f"{self.place}/{name}", "rb") as file:  # noqa: PTH123 - as above
                printed.append(file.read())
        return os.waitstatus_to_exitcode(status), printed[0], printed[1]

    def stop(self) -> None:
        """End it where it still works, and delete what it made."""
        if self._pid:
            os.kill(self._pid, 2)  # SIGINT, which Go takes as a time to delete its folder
            os.waitpid(self._pid, 0)
            self._pid = 0
        if self.place:
            for name in (self.program, f"{self.place}/stdout", f"{self.place}/stderr"):
                _tried(os.unlink, name)
            _tried(os.rmdir, self.place)
            self.place = ""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _locked(folder: str) -> int:
    try:
        import fcntl

        opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return -1
    return opened


def _tried(delete: "Callable[[str], None]", path: str) -> None:
    try:
        delete(path)
    except OSError:
        return


def start() -> "EarlyCompiler | None":
    """Start the `go build` of this call's last time; None where nothing is known of it, or it is no build."""
    try:
        if len(sys.argv) < 2 or sys.argv[1] != "build":  # noqa: PLR2004 - the command's name
            return None
        key, cache = replay.key_of(sys.argv[1:], os.environ), replay.cache_of(os.environ)
        if not key or not cache:
            return None
        known = read(cache, key)
        words = [written(text, sys.argv) for text in known["words"]]
        environment = {name: value for name, value in os.environ.items() if name not in known["left_out"]}
        environment |= {name: written(text, sys.argv) for name, text in known["set"].items()}
        compiler = EarlyCompiler(words, known["output"], known["folder"], environment)
        try:
            compiler.start(cache)
        except OSError:
            compiler.stop()
            return None
    except (OSError, ValueError, EOFError, TypeError, LookupError):
        return None
    return compiler


def written(text: "Text", arguments: "Sequence[str]") -> str:
    """Put a text together again.

    Raises:
        LookupError: a part is not where it was.
    """
    return "".join(part if isinstance(part, str) else _found(part, arguments) for part in text)


def _found(part: "Quoted", arguments: "Sequence[str]") -> str:
    source, first, end, checked = part
    found = (_text_of(source) if isinstance(source, str) else arguments[source])[first:end]
    if _hash(found) != checked:
        raise LookupError
    return found


def _text_of(file: str) -> str:
    with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - as above
        return opened.read(_LONGEST)


def _hash(text: str) -> str:
    return replay.hash_of(text.encode(errors="surrogateescape"), 16).hex()


def quoted(text: str, within: str, arguments: "Sequence[str]", files: "Sequence[str]") -> "Text | None":
    """Write a text down without a part of it that may be a secret: that is quoted from where the user wrote it.

    Args:
        text: the whole of it.
        within: the part.
        arguments: of the command line.
        files: that settings are read from; one that is not there counts as empty.

    Returns:
        None where the part is not in the text, or nowhere the user wrote.
    """
    before, found, after = text.partition(within)
    if not found:
        return None
    for source in (*range(len(arguments)), *files):
        try:
            place = (_text_of(source) if isinstance(source, str) else arguments[source]).find(within)
        except (OSError, ValueError):
            continue
        if place >= 0:
            return [before, (source, place, place + len(within), _hash(within)), after]
    return None


def read(cache: str, key: str) -> "Known":
    """Read what is known of a call.

    Raises:
        OSError, LookupError, ValueError, EOFError, TypeError: nothing is, or it is damaged.
    """
    with open(_file(cache, key), "rb") as file:  # noqa: PTH123 - as above
        replay.check_owner(file)
        text = file.read()
    check, text = text[: replay.CHECK], text[replay.CHECK :]
    if replay.hash_of(text, replay.CHECK) != check:  # marshal may crash on other bytes than its own
        raise LookupError
    whose, known = marshal.loads(text)  # noqa: S302 - our own, from the user's cache, and of this very interpreter
    if whose != (FORMAT, key):
        raise LookupError
    found: Known = known
    return found


def write(cache: str, key: str, known: "Known") -> None:
    """Keep what is known of a call, for its user's eyes only.

    Raises:
        OSError: the disk refuses.
    """
    text = marshal.dumps(((FORMAT, key), dict(known)))
    place = _file(cache, key)
    os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120 - as above
    parts = f"{place}.{os.getpid()}"
    with open(os.open(parts, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - as above
        file.write(replay.hash_of(text, replay.CHECK) + text)
    os.replace(parts, place)  # noqa: PTH105 - as above


def _file(cache: str, key: str) -> str:
    return f"{cache}/{replay.file_of(key)}.go"
