"""Keys in tokens (hardware, or SoftHSM): a PKCS #11 module signs, and the private key never leaves it.

A module is a library that is loaded into this process, so only what signs does that, and a URI comes from the user's
own command line: wherry.toml and policies name public keys.
Sources: PKCS #11 v3.1, sections 5.13 and 6.3 (CKM_ECDSA signs a digest, and gives r and s); RFC 7512.
"""

import hashlib
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from wherry.app.extras import trusting
from wherry.app.session import Session
from wherry.errors import HostUnable, InvalidUsage, NotFound, NotPermitted
from wherry.store.files import read_regular
from wherry.trust.keys import InvalidKey, PublicKey
from wherry.trust.pkcs11_uri import SCHEME, Pkcs11Uri

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

MODULE, PIN = "COSIGN_PKCS11_MODULE_PATH", "COSIGN_PKCS11_PIN"
_LONGEST_PIN = 1024


@dataclass(slots=True)
class TokenKey:
    """A key that a token has; a `Signer`."""

    uri: Pkcs11Uri
    module: str
    pin: Callable[[], str] = field(repr=False)
    name: str
    _turn: Lock = field(default_factory=Lock)
    _keys: "tuple[Any, PublicKey] | None" = field(default=None, repr=False)
    """The private key as the module gives it, and the public one."""

    @property
    def public(self) -> PublicKey:
        """What verifies its signatures."""
        with self._turn:
            return self._opened()[1]

    def sign(self, message: bytes) -> bytes:
        """Have a message signed; the signature is verified before it is used."""
        with self._turn:
            private, public = self._opened()
            module = _package("pkcs11")
            try:
                if private.key_type.name == "EC":
                    digest = hashlib.sha256(message).digest()
                    pair = private.sign(digest, mechanism=module.Mechanism.ECDSA)
                    signature = _package("pkcs11.util.ec").encode_ecdsa_signature(pair)
                else:
                    signature = private.sign(message, mechanism=module.Mechanism.SHA256_RSA_PKCS)
            except module.PKCS11Error as error:
                raise _refused(self.name, error) from error
        if not public.verifies(signature, message):
            raise InvalidKey(self.name, "the token gave a signature that its own public key does not verify")
        return bytes(signature)

    def _opened(self) -> "tuple[Any, PublicKey]":
        if self._keys is None:
            self._keys = self._open()
        return self._keys

    def _open(self) -> "tuple[Any, PublicKey]":
        pkcs11 = _package("pkcs11")
        kinds = pkcs11.ObjectClass
        try:
            library = pkcs11.lib(self.module)
        except (pkcs11.PKCS11Error, RuntimeError) as error:
            raise HostUnable(
                f"{self.module}: cannot be loaded: {error}", hint="give the path of the token's PKCS #11 module"
            ) from error
        try:
            session = self._token(library).open(user_pin=self.pin())
            wanted = {"label": self.uri.label or None, "id": self.uri.id or None}
            private = session.get_key(object_class=kinds.PRIVATE_KEY, **wanted)
            public = session.get_key(object_class=kinds.PUBLIC_KEY, **wanted)
            return private, PublicKey.of(_public(public, self.name), self.name)
        except pkcs11.PKCS11Error as error:
            raise _refused(self.name, error) from error

    def _token(self, library: Any) -> Any:
        ready = _package("pkcs11").TokenFlag.TOKEN_INITIALIZED
        slots = [one for one in library.get_slots(token_present=True) if self.uri.slot in {None, one.slot_id}]
        found = [token for token in (slot.get_token() for slot in slots) if ready in token.flags]
        fitting = [
            token
            for token in found
            if self.uri.token in {"", token.label} and self.uri.serial in {"", token.serial.decode(errors="replace")}
        ]
        if len(fitting) != 1:
            there = ", ".join(sorted(token.label for token in found)) or "none"
            raise NotFound(
                f"{self.name}: {'no such token' if not fitting else 'several tokens fit'}",
                hint=f"name one by token=LABEL; there are: {there}",
            )
        return fitting[0]


def token_key(session: Session, reference: str, password: Callable[[str], bytes]) -> TokenKey:
    """Open a key that a URI names; the token is asked when it is first used.

    Args:
        session: its environment may name the module and the PIN.
        reference: a PKCS #11 URI.
        password: asked for the PIN, where neither the URI nor the environment says where it is.

    Raises:
        InvalidUsage: it is no URI of a key, or names no module.
    """
    uri = Pkcs11Uri.parse(reference)
    module = uri.module or session.environment.get(MODULE, "")
    if not module:
        raise InvalidUsage(
            "pkcs11: no module",
            hint=f"add ?module-path=/PATH/OF/MODULE.so, or set {MODULE}; SoftHSM's is libsofthsm2.so",
        )
    if not Path(module).is_absolute() or not Path(module).is_file():
        raise NotFound(f"{module}: no such PKCS #11 module", hint="give its absolute path")

    def pin() -> str:
        if uri.pin_source:
            content = read_regular((session.cwd / uri.pin_source).resolve(), _LONGEST_PIN)
            if content is None:
                raise NotFound(f"{uri.pin_source}: no such file with a PIN", hint="correct pin-source")
            return content.decode(errors="replace").rstrip("\r\n")
        if PIN in session.environment:
            return session.environment[PIN]
        return os.fsdecode(password(reference))

    return TokenKey(uri, module, pin, reference)


def is_token(reference: str) -> bool:
    """Report whether a reference is a PKCS #11 URI."""
    return reference.startswith(SCHEME)


def _public(key: Any, name: str) -> "PublicKeyTypes":
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    match key.key_type.name:
        case "EC":
            return load_der_public_key(_package("pkcs11.util.ec").encode_ec_public_key(key))
        case "RSA":
            return load_der_public_key(_package("pkcs11.util.rsa").encode_rsa_public_key(key))
    raise InvalidKey(name, "neither ECDSA nor RSA", hint="make an ECDSA P-256 key in the token")


def _package(name: str) -> Any:
    with trusting("a PKCS #11 key"):
        return importlib.import_module(name)


def _refused(name: str, error: Exception) -> NotPermitted | NotFound:
    what = type(error).__name__
    words = f"{name}: {what}{f': {error}' if str(error) else ''}"
    if what in {"NoSuchKey", "MultipleObjectsReturned"}:
        return NotFound(words, hint="name one key by object=LABEL or id=%01; the token needs its public key, too")
    return NotPermitted(words, hint=f"check the PIN ({PIN}, or pin-source=file:/PATH) and the token")
