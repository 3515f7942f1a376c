"""Small grammars that the command line and wherry.toml share: ports, added files, pairs, users.

Sources: OCI image-spec v1.1.1, config.md (`User`, `ExposedPorts`, `Env`, `WorkingDir`); Go 1.26, `go help environment`.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from wherry.errors import InvalidUsage
from wherry.platform import ALL, Platform, order

COMPRESSIONS = ("gzip", "zstd", "none")
_PORT = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?P<protocol>tcp|udp|sctp))?", re.IGNORECASE)
_HIGHEST_PORT = 65535
_ADDED = re.compile(
    r"(?P<file>.+?):(?P<path>/[^:]*)(?::(?P<mode>[0-7]{3,4})?(?::(?P<uid>[0-9]{1,10})(?::(?P<gid>[0-9]{1,10}))?)?)?",
    re.DOTALL,
)
_HIGHEST_ID = 2**32 - 2
"""The largest user or group id; one more means "none" to chown(2)."""
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$-]*(?::[A-Za-z0-9_][A-Za-z0-9_.@$-]*)?")
_OF_PLATFORM = frozenset({"GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64"})


@dataclass(frozen=True, slots=True)
class Added:
    """A file of the user's that an image gets."""

    file: str
    """As the user wrote it; relative to where it was written."""
    path: str
    """Where it goes: absolute, without `.` and `..`."""
    mode: int | None = None
    """Permission bits; None: the file's own."""
    uid: int = 0
    gid: int = 0

    @classmethod
    def parse(cls, text: str) -> "Added":
        """Read `FILE:PATH[:MODE[:UID[:GID]]]`; a PATH that ends in `/` is the folder it goes to.

        Raises:
            InvalidUsage: it is invalid, or leads out of the image.
        """
        match = _ADDED.fullmatch(text)
        if not match:
            raise InvalidUsage(f"{text!r} is not FILE:PATH[:MODE[:UID[:GID]]]", hint=_ADD_LIKE)
        path = match["path"]
        if path.endswith("/"):
            path += posixpath.basename(match["file"].rstrip("/"))
        if path == "/" or path.startswith("//") or posixpath.normpath(path) != path or "\0" in text:
            raise InvalidUsage(f"{text!r}: {match['path']} is not a valid file path in the image", hint=_ADD_LIKE)
        uid = int(match["uid"] or 0)
        gid = int(match["gid"] or uid)
        if max(uid, gid) > _HIGHEST_ID:
            raise InvalidUsage(f"{text!r}: ids go up to {_HIGHEST_ID}", hint=_ADD_LIKE)
        return cls(match["file"], path, int(match["mode"], 8) if match["mode"] else None, uid, gid)


_ADD_LIKE = "write it as config.yaml:/etc/app/config.yaml, or with mode and owner config.yaml:/etc/app/:0644:65532"


def parse_platforms(texts: Iterable[str]) -> tuple[Platform, ...]:
    """Read platforms, with commas or in a list; `all` stands for every one wherry knows. Each comes once, in order.

    Raises:
        InvalidUsage: Go does not build for one; the hint has the nearest.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    found: list[Platform] = []
    for word in words:
        found += [replace(one, every=True) for one in ALL] if word == "all" else [Platform.parse(word)]
    return order(found)


def parse_epoch(text: str) -> int | None:
    """Read SOURCE_DATE_EPOCH, seconds since 1970; None where nothing is given.

    Raises:
        InvalidUsage: it is no such number.
    """
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 33:
        raise InvalidUsage(
            f"SOURCE_DATE_EPOCH={text!r}: must be whole seconds since 1970",
            hint="set it to $(git log -1 --format=%ct), or unset it",
        )
    return int(text)


def parse_ports(text: str) -> tuple[str, ...]:
    """Read `8080`, `53/udp` or `8000-8003`, and give each port as `NUMBER/PROTOCOL`.

    Raises:
        InvalidUsage: it is invalid, or not from 1 to 65535.
    """
    match = _PORT.fullmatch(text.strip())
    first = int(match["first"]) if match else 0
    last = int(match["last"] or first) if match else 0
    if not match or not 0 < first <= last <= _HIGHEST_PORT:
        raise InvalidUsage(f"{text!r} is not a port", hint="write it as 8080, 53/udp or 8000-8003")
    protocol = (match["protocol"] or "tcp").lower()
    return tuple(f"{number}/{protocol}" for number in range(first, last + 1))


def parse_pair(text: str, what: str) -> tuple[str, str]:
    """Read `NAME=VALUE`; the value may be empty and may have more `=`.

    Args:
        text: the pair.
        what: what it is a pair of, such as `--label`; it starts the message.

    Raises:
        InvalidUsage: there is no `=`, or no name.
    """
    name, equals, value = text.partition("=")
    if not equals or not name or "\0" in text:
        raise InvalidUsage(f"{what}: {text!r} is not NAME=VALUE", hint=f"write it as {what} NAME=VALUE")
    return name, value


def check_user(text: str) -> str:
    """Check `USER[:GROUP]`, each an id or a name of the image's own accounts.

    Raises:
        InvalidUsage: it is invalid.
    """
    if not _USER.fullmatch(text):
        raise InvalidUsage(f"{text!r} is not USER[:GROUP]", hint="write it as 65532, 65532:65532 or nonroot")
    return text


def check_workdir(text: str) -> str:
    """Check a working directory, and give it in normal form.

    Raises:
        InvalidUsage: it is not absolute, or leads out.
    """
    if not text.startswith("/") or "\0" in text or ".." in text.split("/"):
        raise InvalidUsage(f"{text!r} is not an absolute path", hint="write it as /srv/app")
    return "/" + posixpath.normpath(text).strip("/")


def check_go_variable(name: str) -> str:
    """Check the name of a variable to pass to `go build`.

    Raises:
        InvalidUsage: the platform decides it.
    """
    if name in _OF_PLATFORM:
        raise InvalidUsage(
            f"{name} is set by the platform",
            hint="choose the platform with --platform, such as linux/amd64/v3",
        )
    return name
