"""Package archives (.deb): where their members are.

Sources: deb(5); ar(5), the common format.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from wherry.errors import InvalidDocument

_MAGIC = b"!<arch>\n"
_HEADER = 60
_END = b"`\n"
_MOST = 16


@dataclass(frozen=True, slots=True)
class ArMember:
    """A member's name, and where its bytes are."""

    name: str
    offset: int
    size: int


def ar_members(file: BinaryIO, name: str) -> Iterator[ArMember]:
    """List the members of an archive; their bytes are not read.

    Raises:
        InvalidDocument: it is no archive, has too many members, or is cut short.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise InvalidDocument(name, "not a package archive", hint=_HINT)
    at = len(_MAGIC)
    for _ in range(_MOST):
        if at >= size:
            return
        file.seek(at)
        header = file.read(_HEADER)
        digits = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != _END or not digits.isdigit():
            raise InvalidDocument(name, f"damaged header at byte {at}", hint=_HINT)
        length = int(digits)
        if at + _HEADER + length > size:
            raise InvalidDocument(name, "cut short", hint=_HINT)
        yield ArMember(header[:16].rstrip(b" ").removesuffix(b"/").decode(errors="replace"), at + _HEADER, length)
        at += _HEADER + length + length % 2
    if at < size:
        raise InvalidDocument(name, f"more than {_MOST} members", hint=_HINT)


_HINT = "fetch the package again"
