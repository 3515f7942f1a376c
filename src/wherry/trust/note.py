"""Signed notes: a text, and lines with signatures by named keys (Ed25519).

Source: golang.org/x/mod v0.30, sumdb/note; C2SP signed-note.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from wherry.errors import InvalidDocument

LARGEST = 1 << 20
"""Bytes of a note that is read."""
_ED25519 = 1
_KEY, _HASH, _HASH_LETTERS = 32, 4, 8
_MOST_SIGNATURES = 100
_SPLIT = b"\n\n"
_PREFIX = "\N{EM DASH} "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class InvalidNote(InvalidDocument):
    """A note is malformed, signed by no key that is known, or its signature is wrong."""


class WrongNoteKey(InvalidDocument):
    """The text of a verifier key is none."""


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key that verifies notes, `NAME+HASH+BASE64`."""

    name: str
    hash: int
    """The first four bytes of the SHA-256 of name and key, which signature lines name the key by."""
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key.

        Raises:
            WrongNoteKey: it is malformed, its hash is wrong, or its algorithm is not Ed25519.
        """
        name, _, rest = text.partition("+")
        written, _, encoded = rest.partition("+")
        key = _decoded(encoded)
        if len(written) != _HASH_LETTERS or not re.fullmatch("[0-9a-fA-F]+", written) or not key or not _is_name(name):
            raise WrongNoteKey(f"key {text[:80]!r}", "malformed verifier id", hint="write it as NAME+HASH+KEY")
        if int(written, 16) != key_hash(name, key):
            raise WrongNoteKey(f"key {text[:80]!r}", "invalid verifier hash", hint="copy the key again, all of it")
        if key[0] != _ED25519:
            raise WrongNoteKey(f"key {text[:80]!r}", "unknown verifier algorithm", hint="use an Ed25519 key")
        if len(key) != 1 + _KEY:
            raise WrongNoteKey(f"key {text[:80]!r}", "malformed verifier id", hint="write it as NAME+HASH+KEY")
        return cls(name, int(written, 16), key[1:])

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Report whether a signature is of this text, by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note with at least one signature that holds."""

    text: str
    signers: tuple[tuple[str, int], ...]
    """Name and hash of each key that signed it, once."""
    others: tuple[tuple[str, int], ...] = ()
    """The same of signatures by keys that are not known; they say nothing."""


def key_hash(name: str, key: bytes) -> int:
    """Give the hash that names a key; `key` starts with the byte of its algorithm."""
    return int.from_bytes(hashlib.sha256(name.encode() + b"\n" + key).digest()[:_HASH], "big")


def check_text(text: str) -> None:
    """Refuse a text that no note can have.

    Raises:
        InvalidNote: it does not end a line, or has control characters.
    """
    if not text.endswith("\n") or _CONTROL.search(text):
        raise InvalidNote("note", "malformed note")


def open_note(message: bytes, keys: Sequence[NoteKey], name: str = "note") -> SignedNote:
    """Read a note, and verify its signatures by known keys.

    Args:
        message: all of it.
        keys: those that are trusted; one that stands there twice verifies nothing.
        name: what the reader knows the note by.

    Raises:
        InvalidNote: it is malformed; a signature by a known key is wrong; there is none by a known key.
    """
    malformed = InvalidNote(name, "malformed note")
    try:
        decoded = message.decode() if len(message) <= LARGEST else ""
    except UnicodeDecodeError:
        raise malformed from None
    text, blank, signatures = decoded.rpartition(_SPLIT.decode())
    if not blank or not signatures.endswith("\n") or _CONTROL.search(decoded):
        raise malformed
    text += "\n"
    lines = signatures.split("\n")[:-1]
    if len(lines) > _MOST_SIGNATURES:
        raise malformed
    good: dict[tuple[str, int], None] = {}
    others: dict[tuple[str, int], None] = {}
    for line in lines:
        signer, number, signature = _signature(line, malformed)
        known = [key for key in keys if (key.name, key.hash) == (signer, number)]
        if len(known) > 1:
            raise InvalidNote(name, f"ambiguous key {signer}+{number:08x}")
        if not known:
            others[signer, number] = None
        elif (signer, number) not in good:
            if not known[0].verifies(text.encode(), signature):
                raise InvalidNote(name, f"invalid signature for key {signer}+{number:08x}")
            good[signer, number] = None
    if not good:
        raise InvalidNote(name, "note has no verifiable signatures")
    return SignedNote(text, tuple(good), tuple(others))


def _signature(line: str, malformed: InvalidNote) -> tuple[str, int, bytes]:
    if not line.startswith(_PREFIX):
        raise malformed
    name, _, encoded = line.removeprefix(_PREFIX).partition(" ")
    signature = _decoded(encoded)
    if not _is_name(name) or len(signature) <= _HASH:
        raise malformed
    return name, int.from_bytes(signature[:_HASH], "big"), signature[_HASH:]


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
