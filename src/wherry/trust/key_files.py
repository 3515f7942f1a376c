"""Private keys in files: cosign's encrypted form, read and written, and plain PEM.

The encrypted form is PEM around JSON: scrypt makes a key of the password, and NaCl's secretbox (XSalsa20-Poly1305)
holds the PKCS #8 key. The file says what scrypt costs; one that asks for more than `MOST_WORK` is refused, since
opening it would take the machine's memory.
Sources: cosign v3.1.3, pkg/cosign/keys.go; go-securesystemslib v0.11.0, encrypted/encrypted.go; RFC 7914 (scrypt).
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from wherry.errors import NotPermitted
from wherry.trust.keys import LONGEST, InvalidKey, PrivateKey

MOST_WORK = 1 << 21
"""Largest N·r·p of a file that is opened: 256 MB of memory; cosign writes 2^19."""
_N, _R, _P = 65_536, 8, 1
_SALT, _NONCE, _KEY = 32, 24, 32
_SIGSTORE, _COSIGN = "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"
_PLAIN = frozenset({"PRIVATE KEY", "EC PRIVATE KEY"})
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----\s+([^-]*)-----END \1-----")


class WrongPassword(NotPermitted):
    """A password does not open a key."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: the password does not open the key", hint="set COSIGN_PASSWORD, or type it when asked"
        )


class _Scrypt(msgspec.Struct, frozen=True):
    cost: Annotated[int, msgspec.Meta(ge=2)] = msgspec.field(name="N")
    block: Annotated[int, msgspec.Meta(ge=1)] = msgspec.field(name="r")
    parallel: Annotated[int, msgspec.Meta(ge=1)] = msgspec.field(name="p")


class _Derivation(msgspec.Struct, frozen=True):
    name: Literal["scrypt"]
    params: _Scrypt
    salt: bytes


class _Cipher(msgspec.Struct, frozen=True):
    name: Literal["nacl/secretbox"]
    nonce: bytes


class _Box(msgspec.Struct, frozen=True):
    kdf: _Derivation
    cipher: _Cipher
    ciphertext: bytes


def is_encrypted(text: bytes) -> bool:
    """Report whether a key file needs a password."""
    return _SIGSTORE.encode() in text[:LONGEST] or _COSIGN.encode() in text[:LONGEST]


def read_key(text: bytes, name: str, password: Callable[[], bytes]) -> PrivateKey:
    """Read a private key.

    Args:
        text: the whole file.
        name: what the user knows it by; it starts the message.
        password: asked only where the file is encrypted.

    Raises:
        InvalidKey: it is not a private key in a form that is read, or asks for too much work.
        WrongPassword: the password does not open it.
    """
    if len(text) > LONGEST:
        raise InvalidKey(name, f"more than {LONGEST} bytes, so not a key")
    found = _PEM.search(text)
    if not found:
        raise InvalidKey(name, "not a private key in PEM", hint="make one: wherry keys new")
    kind = found[1].decode()
    if kind in {_SIGSTORE, _COSIGN}:
        return PrivateKey.of_der(_opened(found[2], name, password), name)
    if kind in _PLAIN and b"ENCRYPTED" not in found[2]:
        return _plain(found[0], name)
    if "PUBLIC KEY" in kind or "CERTIFICATE" in kind:
        raise InvalidKey(name, f"holds a {kind.lower()}, not a private key", hint="give the private key")
    raise InvalidKey(
        name,
        f"{kind.lower()} files are not supported",
        hint="convert it: openssl pkcs8 -topk8 -nocrypt -in KEY -out plain.pem, then `wherry keys import plain.pem`",
    )


def write_key(key: PrivateKey, password: bytes) -> bytes:
    """Write a private key in cosign's encrypted form."""
    from nacl.secret import SecretBox

    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    params = _Scrypt(_N, _R, _P)
    sealed = SecretBox(_derived(password, salt, params)).encrypt(key.der, nonce).ciphertext
    box = _Box(_Derivation("scrypt", params, salt), _Cipher("nacl/secretbox", nonce), sealed)
    return _pem(_SIGSTORE, msgspec.json.encode(box))


def write_plain_key(key: PrivateKey) -> bytes:
    """Write a private key in plain PEM."""
    return _pem("PRIVATE KEY", key.der)


def _pem(kind: str, body: bytes) -> bytes:
    text = base64.b64encode(body).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""]).encode()


def _plain(pem: bytes, name: str) -> PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return PrivateKey.of(load_pem_private_key(pem, None), name)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidKey(name, "not a private key in PEM", hint="make one: wherry keys new") from None


def _opened(body: bytes, name: str, password: Callable[[], bytes]) -> bytes:
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    box = _box(body, name)
    try:
        return SecretBox(_derived(password(), box.kdf.salt, box.kdf.params)).decrypt(box.ciphertext, box.cipher.nonce)
    except CryptoError:
        raise WrongPassword(name) from None


def _box(body: bytes, name: str) -> _Box:
    try:
        box = msgspec.json.decode(base64.b64decode(b"".join(body.split()), validate=True), type=_Box)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidKey(name, f"a damaged key file: {error}", hint="use a backup, or make a new key") from None
    params = box.kdf.params
    work = params.cost * params.block * params.parallel
    if work > MOST_WORK or params.cost & (params.cost - 1):
        raise InvalidKey(
            name,
            f"scrypt with N={params.cost}, r={params.block}, p={params.parallel} is not a cost that is paid"
            f" (N is a power of two, and N·r·p at most {MOST_WORK})",
            hint="cosign and wherry write N=65536, r=8, p=1; if it is your key, encrypt it again with these",
        )
    if len(box.cipher.nonce) != _NONCE or not 1 <= len(box.kdf.salt) <= LONGEST or not box.ciphertext:
        raise InvalidKey(name, "a damaged key file: nonce, salt or ciphertext has a wrong length")
    return box


def _derived(password: bytes, salt: bytes, params: _Scrypt) -> bytes:
    memory = 128 * params.block * (params.cost + params.parallel + 2)
    return hashlib.scrypt(
        password,
        salt=salt,
        n=params.cost,
        r=params.block,
        p=params.parallel,
        maxmem=memory + (1 << 20),
        dklen=_KEY,
    )
