"""The same call once more: where nothing changed, it is answered before anything heavy is loaded.

Calls of `wherry build` and `resolve`, of `lint` without findings, of `images`, of `inspect`, `size` and `scan` for
images of the local store, of `scan` for programs, and of `push`, `pull` and `copy` between the local store and
registries on this machine.

Loads nothing but what the interpreter has loaded: a whole answer takes less time than loading the rest of wherry. A
call is known by its words, its folder and the environment that counts; its file in the cache has what it printed, and
the stamp (size, times, inode, mode) of each file and folder that it depends on: the Dockerfile or the module, all that
is copied or compiled, layouts, the store's index and blobs, our own code. It is replayed only where none has another
stamp, git gives the same commit and says the same about changes, and each tag in a registry still resolves to the same
digest. After a start of the machine nothing is replayed until blobs were hashed again, as `store/soundness.py` has it.
"""

import marshal
import os
import sys
import time

try:
    from _blake2 import blake2b  # the module around it loads OpenSSL
except ImportError:
    from hashlib import blake2b

from wherry.app.traced import is_traced
from wherry.source.stamps import stamp_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from wherry.source.stamps import Stamped

    Chunk = tuple[int, Sequence[Stamped]]
    """How the stamps were taken (`LINKS` or `FILES`), and some of them."""
    Checkout = tuple[str, str, str, bool]
    """A checkout's root; its commit, its branch, and whether anything is modified."""

FOLDER = "calls"
"""Below the cache."""
FORMAT = 7
COMMANDS = frozenset({"build", "push", "pull", "copy", "resolve", "images", "inspect", "size", "lint", "scan"})
_TRACED = frozenset({"build", "resolve"})
"""Those that give spans, where they are asked for: then they run, so that there are some."""
LINKS = 0
"""Stamps of the paths themselves (`stamps.stamp_of`)."""
FILES = 1
"""Stamps of what the paths point to (`inputs.stamp_of`: size, mtime, ctime, inode), as a Go build takes them."""
_NAMES = frozenset(
    {
        "HOME", "PATH", "SOURCE_DATE_EPOCH", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "CONTAINERS_REGISTRIES_CONF",
        "SSL_CERT_FILE", "CC", "CXX", "AR", "FC",
    }
)  # fmt: skip
_PREFIXES = ("WHERRY_", "XDG_", "LD_", "PYTHON", "GO", "CGO_", "KO", "GIT_", "PKG_CONFIG")
_BOOT = "/proc/sys/kernel/random/boot_id"
AGE = "\0age\0"
"""In what was printed: seconds since the moment that a record names."""
CHECK = 16
"""Bytes of the checksum that a record starts with."""
_TIMEOUT = 10.0
_WRITTEN = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
_HEAD = 1 << 14
"""Bytes of the head of an answer that are read at most."""
_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
)


class RegistryTag:
    """A tag of a registry on this machine, which speaks plain HTTP, and the digest that it has to point to."""

    def __init__(self, host: str, port: int, repository: str, tag: str, digest: str) -> None:
        self.place = host, port
        self.words = repository, tag, digest

    def leads(self) -> bool:
        """Ask; whatever is no plain yes is a no."""
        import _socket  # the module around it takes longer to load than a registry to answer

        repository, tag, digest = self.words
        host, port = self.place
        line = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        try:
            line.settimeout(_TIMEOUT)
            line.connect(("127.0.0.1" if host == "localhost" else host, port))
            line.sendall(
                f"HEAD /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: wherry\r\n"
                f"Accept: {_ACCEPT}\r\nConnection: close\r\n\r\n".encode()
            )
            head = b""
            while b"\r\n\r\n" not in head and len(head) < _HEAD and (chunk := line.recv(_HEAD)):
                head += chunk
        except OSError:
            return False
        finally:
            line.close()
        first, *fields = head.split(b"\r\n")
        return b" 200 " in first + b" " and any(
            field.lower() == f"docker-content-digest: {digest}".encode() for field in fields
        )


class Status:
    """A `git status` at work."""

    def __init__(self, root: str, environment: "Mapping[str, str]") -> None:
        """Start it in a checkout's root.

        Raises:
            OSError: it can't be started.
        """
        from wherry.source.git_status import STATUS, git_environment

        self._lines, writer = os.pipe()
        try:
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writer, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ]
            words = [STATUS[0], "-C", root, *STATUS[1:]]
            self._pid = os.posix_spawnp(words[0], words, git_environment(environment, root), file_actions=actions)
        finally:
            os.close(writer)

    def says(self, checkout: "tuple[str, str, bool]") -> bool:
        """Wait for it, and report whether it says the same as it did."""
        from wherry.source.git_status import checked_out

        answer = b"".join(iter(lambda: os.read(self._lines, 1 << 16), b""))
        return os.waitpid(self._pid, 0)[1] == 0 and checked_out(answer) == checkout


def main() -> int | None:
    """Replay the call that this process is, if that is possible; None: it must run."""
    began = time.monotonic()
    try:
        words = sys.argv[1:]
        command = command_of(words)
        # A table is as wide as the terminal, which may be another one now.
        if command not in COMMANDS or (command == "images" and os.isatty(1)):
            return None
        if command in _TRACED and is_traced(os.environ):
            return None
        key = key_of(words, os.environ)
        cache = cache_of(os.environ)
        if not key or not cache:
            return None
        with open(f"{cache}/{file_of(key)}", "rb") as file:  # noqa: PTH123 - pathlib takes longer to load than all this
            check_owner(file)
            printed, noted, kept = _answer(file, key)
        os.utime(f"{cache}/{file_of(key)}")  # tells the collector that it is in use
    except (OSError, ValueError, EOFError, TypeError, LookupError):
        return None
    _note(noted.encode(errors="surrogateescape"))
    code = put(printed.encode(errors="surrogateescape"))
    if kept[0]:
        _record(*kept, time.monotonic() - began)
    return code


def _record(journal: str, rest: str, seconds: float) -> None:
    """Leave a line in the history; where that can't be written, there is none."""
    from wherry.history.append import append, line_of

    try:
        append(journal, line_of(rest, time.time(), seconds))
    except OSError:
        return


def command_of(words: "Sequence[str]") -> str:
    """Name the command of a call; empty where there is none, or an option before it that a replay could not heed."""
    at = 0
    while at < len(words) and words[at].startswith("--store"):
        at += 2 if words[at] == "--store" else 1
    return words[at] if at < len(words) else ""


def check_owner(file: "BinaryIO") -> None:
    """Make sure that a record is the user's own: root may be called with the HOME of someone else.

    Raises:
        LookupError: another user owns it, or may write to it.
    """
    found = os.fstat(file.fileno())
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise LookupError


def put(printed: bytes) -> int:
    """Write an answer; what can't be written is handled as `console` handles it."""
    try:
        while printed:
            printed = printed[os.write(1, printed) :]
    except BrokenPipeError:
        return 141
    except OSError as error:
        _note(f"error: write failure on standard output: {error.strerror}\n".encode())
        return 128
    return 0


def _note(text: bytes) -> None:
    try:
        os.write(2, text)
    except OSError:  # for people, and there are none
        return


def _answer(file: "BinaryIO", key: str) -> "tuple[str, str, tuple[str, str]]":
    """Give what was printed and noted, and what goes into the history.

    Raises:
        LookupError: it does not hold any more.
    """
    check = file.read(CHECK)
    if check != _check_of(file):  # marshal may crash on other bytes than it wrote
        raise LookupError
    file.seek(CHECK)
    head = marshal.load(file)  # noqa: S302 - our own, from the user's cache, and of this very interpreter
    if head["format"] != FORMAT or head["key"] != key or head["boot"] != boot():
        raise LookupError
    checkout = head["checkout"]
    status = Status(checkout[0], os.environ) if checkout else None  # it works while we look at files
    for _ in range(head["chunks"]):
        how, entries = marshal.load(file)  # noqa: S302 - as above
        if not (_files_hold(entries) if how == FILES else _links_hold(entries)):
            raise LookupError
    if status is not None and not status.says(tuple(checkout[1:])):
        raise LookupError
    if not all(RegistryTag(*words).leads() for words in head["asked"]):
        raise LookupError
    now = time.time()
    if head["due"] and not head["made"] <= now < head["due"]:
        raise LookupError
    return head["printed"].replace(AGE, str(int(now - head["since"]))), head["noted"], tuple(head["kept"])


def _links_hold(entries: "Iterable[Stamped]") -> bool:
    return all(stamp_of(path) == stamp for path, stamp in entries)


def _files_hold(entries: "Iterable[Stamped]") -> bool:
    look = os.stat
    for path, stamp in entries:
        try:
            found = look(path)
        except OSError:
            if stamp is not None:
                return False
        else:
            if (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino) != stamp:
                return False
    return True


def write(  # noqa: PLR0913 - each is a part of the record
    cache: str,
    key: str,
    chunks: "Iterable[Chunk]",
    *,
    printed: str,
    noted: str,
    asked: "Sequence[tuple[str, int, str, str, str]]",
    checkout: "Checkout | None" = None,
    due: float = 0,
    since: float = 0,
    kept: "tuple[str, str]" = ("", ""),
) -> None:
    """Keep what a call gave.

    Args:
        cache: its folder.
        key: of the call.
        chunks: the stamps that have to hold.
        printed: to stdout; `AGE` in it is replaced by the seconds since `since`.
        noted: to stderr.
        asked: tags of registries, and what they have to resolve to.
        checkout: what git has to say.
        due: when it holds no more, in seconds since the epoch; 0: never by itself.
        since: in seconds since the epoch.
        kept: the journal of the history, and what a replay adds to it.

    Raises:
        OSError: the disk refuses.
    """
    os.makedirs(f"{cache}/{FOLDER}", exist_ok=True)  # noqa: PTH103 - as above
    place = f"{cache}/{file_of(key)}"
    parts = f"{place}.{os.getpid()}"
    counted = 0
    with open(os.open(parts, _WRITTEN, 0o600), "wb") as file:  # noqa: PTH123 - as above
        for how, entries in chunks:
            marshal.dump((how, list(entries)), file)
            counted += 1
    head = {
        "format": FORMAT, "key": key, "chunks": counted, "printed": printed, "noted": noted, "asked": list(asked),
        "checkout": checkout, "boot": boot(), "made": time.time() if due else 0, "due": due, "since": since,
        "kept": kept,
    }  # fmt: skip
    try:
        made = os.open(f"{parts}.whole", _WRITTEN, 0o600)
        with open(made, "w+b") as whole, open(parts, "rb") as file:  # noqa: PTH123 - as above
            whole.write(bytes(CHECK))
            marshal.dump(head, whole)
            while block := file.read(1 << 20):
                whole.write(block)
            whole.seek(CHECK)
            check = _check_of(whole)
            whole.seek(0)
            whole.write(check)
        os.replace(f"{parts}.whole", place)  # noqa: PTH105 - as above
    finally:
        os.unlink(parts)  # noqa: PTH108 - as above


def key_of(words: "Sequence[str]", environment: "Mapping[str, str]") -> str:
    """Name a call by all that may decide what it means; empty where it is of a kind that is not remembered."""
    if "-" in words:
        return ""
    counted = sorted(_counted(words, environment))
    meant = repr((FORMAT, list(words), os.getcwd(), counted, sys.prefix, sys.version, os.geteuid()))  # noqa: PTH109 - as above
    return hash_of(meant.encode(errors="surrogateescape")).hex()  # a proxy's password must not be written to a file


def hash_of(text: bytes, size: int = 32) -> bytes:
    """Hash bytes to so many."""
    return blake2b(text, digest_size=size).digest()


def _check_of(file: "BinaryIO") -> bytes:
    """Hash a file from here on."""
    state = blake2b(digest_size=CHECK)
    while block := file.read(1 << 20):
        state.update(block)
    return state.digest()


def _counted(words: "Sequence[str]", environment: "Mapping[str, str]") -> "Iterator[tuple[str, str]]":
    """Give what counts of the environment: what we read, and what `--build-arg NAME` names; secrets don't."""
    named = {words[at + 1] for at, word in enumerate(words[:-1]) if word == "--build-arg"}
    named |= {word.removeprefix("--build-arg=") for word in words}
    for name, value in environment.items():
        if name in _NAMES or name in named or name.startswith(_PREFIXES) or name.lower().endswith("_proxy"):
            yield name, value


def boot() -> str:
    """Name this run of the machine; empty where the system has no name for it."""
    try:
        with open(_BOOT) as file:  # noqa: PTH123 - as above
            return file.read().strip()
    except OSError:
        return ""


def cache_of(environment: "Mapping[str, str]") -> str:
    """Name the cache as `World.cache_folder` does; empty where it isn't said by the environment."""
    if named := environment.get("WHERRY_CACHE"):
        return named
    if root := environment.get("XDG_CACHE_HOME"):
        return f"{root}/wherry"
    home = environment.get("HOME")
    return f"{home}/.cache/wherry" if home else ""


def file_of(key: str) -> str:
    """Name a call's file."""
    return f"{FOLDER}/{key[:32]}"
