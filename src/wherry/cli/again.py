"""The same call of `wherry build` once more: where nothing changed, it is answered before anything heavy is loaded.

Loads nothing but what the interpreter has at hand: a whole answer takes less than loading the rest of us would. A call
is known by its words, its folder and the environment that counts; its file in the cache has what it printed, and the
stamp (size, times, inode, mode) of each file and folder that it hung on: the Dockerfile, the ignore file, all that is
copied, layouts, the store's index and blobs, our own code. Only where none has another stamp, and each tag in a
registry leads where it led, it is answered from here.
"""

import marshal
import os
import sys
from hashlib import sha256

from wherry.source.stamps import stamp_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from wherry.source.stamps import Stamped

FOLDER = "calls"
"""Below the cache."""
FORMAT = 1
_NAMES = frozenset({"HOME", "PATH", "SOURCE_DATE_EPOCH", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"})
_PREFIXES = ("WHERRY_", "XDG_", "LD_", "PYTHON")
_TIMEOUT = 10.0
_HEAD = 1 << 14
"""Bytes of the head of an answer that are read at most."""
_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
)


class Asked:
    """A tag of a registry on this machine, which speaks plain HTTP, and the digest that it has to lead to."""

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


def main() -> int | None:
    """Answer the call that this process is, if it can be; None: somebody has to work."""
    try:
        if len(sys.argv) < 2 or sys.argv[1] != "build":  # noqa: PLR2004 - the command's name
            return None
        key = key_of(sys.argv[1:], os.environ)
        cache = cache_of(os.environ)
        if not key or not cache:
            return None
        with open(f"{cache}/{file_of(key)}", "rb") as file:  # noqa: PTH123 - pathlib takes longer to load than all this
            printed, noted = _answer(file, key)
        os.utime(f"{cache}/{file_of(key)}")  # tells the collector that it is in use
        os.write(2, noted.encode(errors="surrogateescape"))
        os.write(1, printed.encode(errors="surrogateescape"))
    except (OSError, ValueError, EOFError, TypeError, LookupError):
        return None
    return 0


def _answer(file: "BinaryIO", key: str) -> "tuple[str, str]":
    """Give what was printed and noted.

    Raises:
        LookupError: it does not hold any more.
    """
    head = marshal.load(file)  # noqa: S302 - our own, from the user's cache, and of this very interpreter
    if head["format"] != FORMAT or head["key"] != key:
        raise LookupError
    for _ in range(head["chunks"]):
        for path, stamp in marshal.load(file):  # noqa: S302 - as above
            if stamp_of(path) != stamp:
                raise LookupError
    if not all(Asked(*words).leads() for words in head["asked"]):
        raise LookupError
    return head["printed"], head["noted"]


def write(
    cache: str,
    key: str,
    chunks: "Iterable[Sequence[Stamped]]",
    *,
    printed: str,
    noted: str,
    asked: "Sequence[tuple[str, int, str, str, str]]",
) -> None:
    """Keep what a call gave.

    Raises:
        OSError: the disk refuses.
    """
    os.makedirs(f"{cache}/{FOLDER}", exist_ok=True)  # noqa: PTH103 - as above
    place = f"{cache}/{file_of(key)}"
    parts = f"{place}.{os.getpid()}"
    counted = 0
    with open(parts, "wb") as file:  # noqa: PTH123 - as above
        for chunk in chunks:
            marshal.dump(list(chunk), file)
            counted += 1
    head = {
        "format": FORMAT, "key": key, "chunks": counted, "printed": printed, "noted": noted, "asked": list(asked),
    }  # fmt: skip
    try:
        with open(f"{parts}.whole", "wb") as whole, open(parts, "rb") as file:  # noqa: PTH123 - as above
            marshal.dump(head, whole)
            while block := file.read(1 << 20):
                whole.write(block)
        os.replace(f"{parts}.whole", place)  # noqa: PTH105 - as above
    finally:
        os.unlink(parts)  # noqa: PTH108 - as above


def key_of(words: "Sequence[str]", environment: "Mapping[str, str]") -> str:
    """Name a call by all that may decide what it means; empty where it is of a kind that is not remembered."""
    if "-" in words:
        return ""
    counted = sorted(_counted(words, environment))
    meant = repr((list(words), os.getcwd(), counted, sys.prefix, sys.version, os.geteuid()))  # noqa: PTH109 - as above
    return sha256(meant.encode(errors="surrogateescape")).hexdigest()  # a proxy's password is no file's business


def _counted(words: "Sequence[str]", environment: "Mapping[str, str]") -> "Iterator[tuple[str, str]]":
    """Give what counts of the environment: what we read, and what `--build-arg NAME` names; secrets don't."""
    named = {words[at + 1] for at, word in enumerate(words[:-1]) if word == "--build-arg"}
    named |= {word.removeprefix("--build-arg=") for word in words}
    for name, value in environment.items():
        if name in _NAMES or name in named or name.startswith(_PREFIXES) or name.lower().endswith("_proxy"):
            yield name, value


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
