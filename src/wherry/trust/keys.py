"""Public keys that verify, and private keys that sign: ECDSA P-256 and Ed25519, and what key services have besides.

A private key and a password never appear in `repr`, so neither is in a traceback or a log.
Sources: FIPS 186-5 (ECDSA, Ed25519); RFC 8032, section 5.1 (Ed25519ph, which cosign 3 writes); RFC 5280, section 4.1
(SubjectPublicKeyInfo).
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

from wherry.errors import InvalidDocument

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

LONGEST = 64 << 10
"""Bytes of a key file that are read."""
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_SMALLEST_RSA, _LARGEST_RSA = 2048, 8192
_ED25519_SIGNATURE = 64


class KeyKind(StrEnum):
    """The kinds of keys that wherry makes."""

    ECDSA = "ecdsa-p256"
    ED25519 = "ed25519"


class InvalidKey(InvalidDocument):
    """A file or a text is not a key that can be used."""


class Signer(Protocol):
    """Anything that signs: a key in memory, or a program that has one."""

    @property
    def public(self) -> "PublicKey":
        """What verifies its signatures."""

    def sign(self, message: bytes) -> bytes:
        """Sign a message, which is hashed as the kind of key asks."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What verifies signatures."""

    der: bytes = field(repr=False)
    """SubjectPublicKeyInfo."""
    name: str = field(compare=False)
    """What the user knows it by: a path, `env://NAME`, or what a program calls it."""

    @classmethod
    def parse(cls, text: bytes, name: str) -> Self:
        """Read a public key in PEM.

        Raises:
            InvalidKey: it is none, or of a kind that nothing here verifies.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        if b"PRIVATE KEY-----" in text[:LONGEST]:
            raise InvalidKey(name, "is a private key", hint="give the public key; `wherry keys public KEY` prints it")
        try:
            key = load_pem_public_key(text[:LONGEST])
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidKey(
                name, "not a public key in PEM", hint="give a file that starts with -----BEGIN PUBLIC KEY-----"
            ) from error
        return cls.of(key, name)

    @classmethod
    def of(cls, key: "PublicKeyTypes", name: str) -> Self:
        """Take a key of `cryptography`.

        Raises:
            InvalidKey: it is of a kind that nothing here verifies.
        """
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        fits = isinstance(key, Ed25519PublicKey)
        if isinstance(key, EllipticCurvePublicKey):
            fits = key.curve.name in _CURVES
        if isinstance(key, RSAPublicKey):
            fits = _SMALLEST_RSA <= key.key_size <= _LARGEST_RSA
        if not fits:
            raise InvalidKey(
                name,
                f"{type(key).__name__} keys of this size or curve are not supported",
                hint="use ECDSA P-256 (the default of `wherry keys new`) or Ed25519",
            )
        return cls(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), name)

    @property
    def pem(self) -> str:
        """The key as `cosign public-key` writes it."""
        text = base64.b64encode(self.der).decode()
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    @property
    def hint(self) -> str:
        """What a bundle names the key by: base64 of the SHA-256 of its DER."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    @property
    def fingerprint(self) -> str:
        """The same hash as `sha256:HEX`, for people and policies."""
        return "sha256:" + hashlib.sha256(self.der).hexdigest()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Report whether a signature over a message is by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        key = load_der_public_key(self.der)
        if isinstance(key, Ed25519PublicKey):
            return _ed25519(key.public_bytes_raw(), signature, message)
        checks = _ecdsa(key) if isinstance(key, EllipticCurvePublicKey) else _rsa(key)
        for check in checks:
            try:
                check(signature, message)
            except InvalidSignature:
                continue
            return True
        return False


def _ecdsa(key: "PublicKeyTypes") -> "list[Callable[[bytes, bytes], None]]":
    """Give the checks for a curve: cosign hashes with SHA-256 for any curve, newer programs as long as the curve."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - the caller asked
    longer: dict[str, hashes.HashAlgorithm] = {"secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
    kinds: list[hashes.HashAlgorithm] = [hashes.SHA256()]
    if key.curve.name in longer:
        kinds.append(longer[key.curve.name])

    def check(kind: "hashes.HashAlgorithm") -> "Callable[[bytes, bytes], None]":
        return lambda signature, message: key.verify(signature, message, ec.ECDSA(kind))

    return [check(kind) for kind in kinds]


def _rsa(key: "PublicKeyTypes") -> "list[Callable[[bytes, bytes], None]]":
    """Give the check for RSA: PKCS #1 v1.5 with SHA-256, as key services sign by default."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101 - `of` lets no other through
    return [lambda signature, message: key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())]


def _ed25519(key: bytes, signature: bytes, message: bytes) -> bool:
    """Verify plain Ed25519, and Ed25519ph, which cosign 3 writes; `cryptography` has only the first."""
    from nacl.bindings import (
        crypto_sign_ed25519ph_final_verify,
        crypto_sign_ed25519ph_state,
        crypto_sign_ed25519ph_update,
    )
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    if len(signature) != _ED25519_SIGNATURE:
        return False
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        state = crypto_sign_ed25519ph_state()
        crypto_sign_ed25519ph_update(state, message)
        try:
            return bool(crypto_sign_ed25519ph_final_verify(state, signature, key))
        except BadSignatureError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key in memory; a `Signer`."""

    key: "PrivateKeyTypes" = field(repr=False)
    public: PublicKey

    @classmethod
    def new(cls, kind: KeyKind) -> Self:
        """Make a key by the operating system's random numbers."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        key = ec.generate_private_key(ec.SECP256R1()) if kind is KeyKind.ECDSA else ed25519.Ed25519PrivateKey.generate()
        return cls(key, PublicKey.of(key.public_key(), "the new key"))

    @classmethod
    def of_der(cls, der: bytes, name: str) -> Self:
        """Read a PKCS #8 private key.

        Raises:
            InvalidKey: it is none, or not of a kind that wherry signs with.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        try:
            return cls.of(load_der_private_key(der, None), name)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InvalidKey(name, "what it holds is not a PKCS #8 private key", hint=_CONVERT) from None

    @classmethod
    def of(cls, key: "PrivateKeyTypes", name: str) -> Self:
        """Take a key of `cryptography`.

        Raises:
            InvalidKey: wherry does not sign with this kind.
        """
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        if not isinstance(key, ed25519.Ed25519PrivateKey) and not (
            isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"
        ):
            raise InvalidKey(
                name,
                f"{type(key).__name__.lstrip('_')} keys are not supported for signing",
                hint="sign with ECDSA P-256 or Ed25519, or through a program: NAME://KEY starts sigstore-kms-NAME",
            )
        return cls(key, PublicKey.of(key.public_key(), name))

    @property
    def der(self) -> bytes:
        """The key in PKCS #8, unencrypted."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """Sign; the same message gives the same signature where OpenSSL can (RFC 6979): signing twice adds nothing."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(message)
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)  # noqa: S101 - `of` lets no other through
        try:
            return self.key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm:
            return self.key.sign(message, ec.ECDSA(hashes.SHA256()))


_CONVERT = "convert it: openssl pkcs8 -topk8 -nocrypt -in KEY -out plain.pem, then `wherry keys import plain.pem`"
