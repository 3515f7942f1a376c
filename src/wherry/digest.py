"""Digests: the name of a blob is the hash of its bytes.

Source: OCI image-spec v1.1.1, descriptor.md "Digests".
"""

import hashlib
import re
from typing import TYPE_CHECKING, Self

from wherry.errors import WherryError

if TYPE_CHECKING:
    from hashlib import _Hash

_GRAMMAR = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_REGISTERED = {"sha256": re.compile(r"[a-f0-9]{64}"), "sha512": re.compile(r"[a-f0-9]{128}")}


class InvalidDigest(WherryError):
    """A text is not a digest, or one of an algorithm we cannot compute."""

    exit_code = 65  # EX_DATAERR


class Digest(str):
    """An `algorithm:encoded` text; always well-formed, since only `of` and `parse` make one."""

    __slots__ = ()

    @classmethod
    def of(cls, blob: bytes | bytearray | memoryview) -> Self:
        """Hash bytes in memory, with sha256."""
        return cls("sha256:" + hashlib.sha256(blob).hexdigest())

    @classmethod
    def from_hash(cls, state: "_Hash") -> Self:
        """Name what a hashlib object has seen so far."""
        return cls(f"{state.name}:{state.hexdigest()}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check a text against the digest grammar.

        Raises:
            InvalidDigest: it does not fit the grammar, or has the wrong length for a registered algorithm.
        """
        if not _GRAMMAR.fullmatch(text):
            raise InvalidDigest(f"{text[:100]!r} is not a digest", hint="write it as sha256:<64 hex digits>")
        algorithm, _, encoded = text.partition(":")
        registered = _REGISTERED.get(algorithm)
        if registered and not registered.fullmatch(encoded):
            raise InvalidDigest(
                f"{text[:100]!r} is not a {algorithm} digest",
                hint=f"give {'64' if algorithm == 'sha256' else '128'} lower-case hex digits after {algorithm}:",
            )
        return cls(text)

    @property
    def algorithm(self) -> str:
        """The hash's name, such as `sha256`."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The hash itself, in hex."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve digits, enough for a person to tell two apart."""
        return self.encoded[:12]

    def hasher(self) -> "_Hash":
        """Start a hash of this digest's algorithm.

        Raises:
            InvalidDigest: the algorithm is unsupported (sha256 and sha512 are).
        """
        if self.algorithm not in _REGISTERED:
            raise InvalidDigest(
                f"{self}: {self.algorithm} digests are not supported",
                hint="store the image again with sha256 digests",
            )
        return hashlib.new(self.algorithm)
