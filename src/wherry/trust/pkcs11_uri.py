"""Names of keys in tokens: `pkcs11:token=release;object=signing?module-path=/usr/lib/softhsm/libsofthsm2.so`.

Source: RFC 7512 (The PKCS #11 URI Scheme), sections 2.3 and 2.4; cosign v2.6.5, pkg/cosign/pkcs11key/util.go, for the
attributes that it takes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote_to_bytes

from wherry.errors import InvalidUsage

SCHEME = "pkcs11:"
LONGEST = 4096
_PATH = frozenset({"token", "manufacturer", "serial", "model", "object", "id", "slot-id", "type"})
_QUERY = frozenset({"module-path", "pin-source"})
_ENCODED = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")
_HINT = "write it as 'pkcs11:token=TOKEN;object=LABEL?module-path=/path/of/the/module.so'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """Which key of which token."""

    token: str = ""
    """Its label."""
    serial: str = ""
    slot: int | None = None
    label: str = ""
    """Of the key."""
    id: bytes = b""
    """Of the key."""
    module: str = ""
    """Path of the library that speaks to the token; empty: the environment names it."""
    pin_source: str = ""
    """A file with the PIN; empty: it is asked for."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI; attributes that only describe a token are read over.

        Raises:
            InvalidUsage: it is none, names no key, or has a PIN in it.
        """
        if not text.startswith(SCHEME) or len(text) > LONGEST:
            raise _wrong("not a PKCS #11 URI")
        path, _, query = text.removeprefix(SCHEME).partition("?")
        said = dict(_attributes(path, ";", _PATH)) | dict(_attributes(query, "&", _QUERY))
        label, number = _text(said, "object"), said.get("id", b"")
        if not label and not number:
            raise _wrong("names no key")
        if said.get("type", b"private") not in {b"private", b"public"}:
            raise _wrong("is not about a key")
        slot = _text(said, "slot-id")
        if slot and not re.fullmatch(r"[0-9]{1,18}", slot):
            raise _wrong("slot-id is not a number")
        return cls(
            token=_text(said, "token"),
            serial=_text(said, "serial"),
            slot=int(slot) if slot else None,
            label=label,
            id=number,
            module=_text(said, "module-path"),
            pin_source=_text(said, "pin-source").removeprefix("file:"),
        )


def _attributes(text: str, separator: str, known: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    seen = set()
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise InvalidUsage(
                "a PIN on the command line can be read by anyone who can list processes",
                hint="set COSIGN_PKCS11_PIN, or give pin-source=file:/PATH",
            )
        if name not in known or not equals or name in seen:
            again = "is there twice" if name in seen else "is unknown"
            raise _wrong(f"attribute {name[:40]!r} {again}")
        if not _ENCODED.fullmatch(value):
            raise _wrong(f"attribute {name} is not percent-encoded")
        seen.add(name)
        yield name, unquote_to_bytes(value)


def _text(said: Mapping[str, bytes], name: str) -> str:
    try:
        found = said.get(name, b"").decode()
    except UnicodeDecodeError:
        raise _wrong(f"attribute {name} is not UTF-8") from None
    if "\0" in found:
        raise _wrong(f"attribute {name} has a zero byte")
    return found


def _wrong(problem: str) -> InvalidUsage:
    return InvalidUsage(f"pkcs11: {problem}", hint=_HINT)
