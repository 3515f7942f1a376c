"""An image's accounts: names to numbers, as its own /etc/passwd and /etc/group have them.

Sources: passwd(5), group(5); OCI image-spec v1.1.1, config.md "User".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidUsage
from wherry.sandbox.layer_stack import LayerStack

LARGEST = 1 << 20
"""Bytes of an account file that we read."""

_HIGHEST = (1 << 32) - 2
_PASSWD, _GROUP = 7, 4


@dataclass(frozen=True, slots=True)
class ContainerUser:
    """Who a program runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary ones."""
    home: str


@dataclass(frozen=True, slots=True)
class AccountFiles:
    """The text of /etc/passwd and /etc/group; empty where the image has none."""

    passwd: str = ""
    group: str = ""

    def find(self, user: str) -> ContainerUser:
        """Find whom `user`, `user:group`, `uid`, `uid:gid` or any mix of them means; nothing means root.

        A number needs no line: its group is 0 then and its home `/`. Supplementary groups come from /etc/group,
        but only where no group is named.

        Raises:
            InvalidUsage: a name has no line, or a number is not an id.
        """
        name, colon, group = user.partition(":")
        uid, gid, login, home = self._user(name or "0")
        if colon and group:
            return ContainerUser(uid, self._group(group), (), home)
        return ContainerUser(uid, gid, self._memberships(login), home)

    def _user(self, wanted: str) -> tuple[int, int, str, str]:
        number = id_number(wanted, "user")
        for fields in _lines(self.passwd, _PASSWD):
            uid, gid = _id(fields[2]), _id(fields[3])
            if uid is not None and gid is not None and (fields[0] == wanted or uid == number):
                return uid, gid, fields[0], fields[5] or "/"
        if number is None:
            raise _unknown("user", wanted, "/etc/passwd")
        return number, 0, "", "/root" if number == 0 else "/"

    def _group(self, wanted: str) -> int:
        number = id_number(wanted, "group")
        for fields in _lines(self.group, _GROUP):
            gid = _id(fields[2])
            if gid is not None and fields[0] == wanted:
                return gid
        if number is None:
            raise _unknown("group", wanted, "/etc/group")
        return number

    def _memberships(self, login: str) -> tuple[int, ...]:
        if not login:
            return ()
        found = (_id(fields[2]) for fields in _lines(self.group, _GROUP) if login in fields[3].split(","))
        return tuple(gid for gid in found if gid is not None)


def read_accounts(layers: Sequence[Path]) -> AccountFiles:
    """Read an image's accounts from its unpacked layers, base first; links never lead out of them.

    Raises:
        InvalidUsage: a file can't be read.
    """
    view = LayerStack([str(layer) for layer in layers])
    try:
        passwd, group = (view.read(path, LARGEST).decode(errors="replace") for path in ("/etc/passwd", "/etc/group"))
    except OSError as error:
        raise InvalidUsage(
            f"the image's {error.filename}: {error.strerror}",
            hint="use a numeric user, such as --user 65532:65532",
        ) from error
    return AccountFiles(passwd, group)


def _lines(table: str, fields: int) -> Iterator[list[str]]:
    for line in table.splitlines():
        found = line.strip().split(":")
        if len(found) >= fields and not line.startswith("#"):
            yield found


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= _HIGHEST else None  # noqa: PLR2004 - digits of the highest id


def id_number(text: str, kind: str) -> int | None:
    """Read a number that is meant as an id; None where the text is a name.

    Raises:
        InvalidUsage: it is larger than any id.
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    number = _id(text)
    if number is None:
        raise InvalidUsage(f"{kind} {text}: the highest ID is {_HIGHEST}", hint=f"write another {kind} in its place")
    return number


def _unknown(kind: str, name: str, file: str) -> InvalidUsage:
    return InvalidUsage(
        f"{kind} {name!r}: not found in the image's {file}", hint="use a numeric ID, such as --user 65532"
    )
