"""Keys by the references that users write: a file, `env://NAME`, `pkcs11:…`, or `NAME://KEY` through a plug-in.

A plug-in is one of cosign's: the program `sigstore-kms-NAME` gets the protocol version and its arguments as JSON, the
message on stdin, and answers in JSON; a key service is behind it.
Source: sigstore v1.10.8, pkg/signature/kms/cliplugin (README.md, common/interface.go).
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from wherry.app.extras import trusting
from wherry.app.pkcs11_keys import is_token, token_key
from wherry.app.session import Session
from wherry.errors import CannotWrite, HostUnable, InvalidUsage, NotFound
from wherry.host.process import Command
from wherry.store.files import read_regular
from wherry.trust.key_files import is_encrypted, read_key, write_key, write_plain_key
from wherry.trust.keys import LONGEST, InvalidKey, KeyKind, PrivateKey, PublicKey, Signer
from wherry.typed import from_json

Password = Callable[[str], bytes]
"""Asked for the password of a key, by the name that the user knows it by; only where one is needed."""
_PLUGIN = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})://(.+)", re.DOTALL)
_SHA256 = 5
"""Go's number of SHA-256 (crypto.SHA256), which the protocol uses."""
_PROTOCOL = "v1"


class _Key(msgspec.Struct, frozen=True, rename={"pem": "publicKeyPEM"}):
    pem: bytes


class _Signature(msgspec.Struct, frozen=True):
    signature: bytes


class _PluginAnswer(msgspec.Struct, frozen=True, rename="camel"):
    error_message: str = ""
    public_key: _Key | None = None
    sign_message: _Signature | None = None


def signer_of(session: Session, reference: str, password: Password) -> Signer:
    """Open what signs.

    Args:
        session: where relative paths start; its environment is that of `env://NAME` and of plug-ins.
        reference: a path, `env://NAME`, a PKCS #11 URI, or `NAME://KEY`.
        password: gives the password of an encrypted key.

    Raises:
        NotFound: there is no such file or variable.
        InvalidKey, WrongPassword: it is no key, or not opened.
        HostUnable: the plug-in is not installed, or says no.
    """
    with trusting("signing"):
        if is_token(reference):
            return token_key(session, reference, password)
        plugin = _plugin(session, reference)
        if plugin is not None:
            return plugin
        return read_key(_text(session, reference), reference, lambda: password(reference))


def public_key_of(session: Session, reference: str, password: Password | None = None) -> PublicKey:
    """Read what verifies: a public key, or where a password may be asked for, that of a private key.

    Raises:
        NotFound, InvalidKey, WrongPassword, HostUnable: as `signer_of`.
    """
    with trusting("verifying"):
        if is_token(reference):
            if password is None:
                raise InvalidUsage(
                    "pkcs11: verifying loads no module",
                    hint=f"print the public key once, and verify by that: wherry keys public '{reference}' > KEY.pub",
                )
            return token_key(session, reference, password).public
        plugin = _plugin(session, reference)
        if plugin is not None:
            return plugin.public
        text = _text(session, reference)
        if password is not None and (is_encrypted(text) or b"PRIVATE KEY" in text):
            return read_key(text, reference, lambda: password(reference)).public
        return PublicKey.parse(text, reference)


def new_key(
    session: Session, prefix: str, kind: KeyKind, password: bytes | None, *, force: bool = False
) -> tuple[Path, Path, PublicKey]:
    """Make a key pair: PREFIX.key, which its owner alone can read, and PREFIX.pub.

    Args:
        session: where relative paths start.
        prefix: path; an ending `.key` or `.pub` of it is taken off first.
        kind: ECDSA P-256, which every verifier takes, or Ed25519.
        password: encrypts the private key; None: it is written in plain PEM.
        force: whether files that are there are replaced.

    Raises:
        CannotWrite: a file is there, or cannot be written.
    """
    with trusting("making keys"):
        return _stored(session, prefix, PrivateKey.new(kind), password, force=force)


def import_key(
    session: Session, file: str, prefix: str, ask: Password, password: bytes | None, *, force: bool = False
) -> tuple[Path, Path, PublicKey]:
    """Write a private key in PEM as a key pair of cosign's; arguments as `new_key`.

    Raises:
        NotFound, InvalidKey, WrongPassword, CannotWrite: it cannot be read, or its copy not be written.
    """
    with trusting("importing keys"):
        key = read_key(_text(session, file), file, lambda: ask(file))
        return _stored(session, prefix, key, password, force=force)


def _stored(
    session: Session, prefix: str, key: PrivateKey, password: bytes | None, *, force: bool
) -> tuple[Path, Path, PublicKey]:
    check_file_name(prefix)
    name = re.sub(r"(?<=[^/])\.(key|pub)$", "", prefix)
    private, public = session.cwd / f"{name}.key", session.cwd / f"{name}.pub"
    for file in (private, public):
        if not force and os.path.lexists(file):
            raise CannotWrite(f"{file}: is there already", hint="choose another name with -o, or replace it by --force")
        if file.is_dir():
            raise CannotWrite(f"{file}: is a directory", hint="choose another name with -o")
    text = write_plain_key(key) if password is None else write_key(key, password)
    _write(private, text, 0o600)
    _write(public, key.public.pem.encode(), 0o644)
    return private, public, key.public


def check_file_name(name: str) -> None:
    """Refuse a name that a terminal would obey when it is printed.

    Raises:
        InvalidUsage: it has control characters.
    """
    if not name.isprintable():
        raise InvalidUsage(f"-o {name!r}: control characters in a file name", hint="use letters, digits, - and _")


def _write(file: Path, text: bytes, mode: int) -> None:
    """Write a file that never has other rights than its own, not even for a moment."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(text)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CannotWrite(
            f"{file}: {error.strerror}", hint="choose a directory that can be written to, with -o"
        ) from error


def _text(session: Session, reference: str) -> bytes:
    if reference.startswith("env://"):
        name = reference.removeprefix("env://")
        if name not in session.environment:
            raise NotFound(f"{reference}: the variable is not set", hint=f"export {name} with the key in PEM")
        return os.fsencode(session.environment[name])
    if "-----BEGIN" in reference:
        raise InvalidUsage(
            "a key on the command line can be read by anyone who can list processes",
            hint="give a file, or put the key in a variable and give env://NAME",
        )
    text = read_regular((session.cwd / reference).resolve(), LONGEST)
    if text is None:
        raise NotFound(f"{reference}: no such key file", hint="make one: wherry keys new")
    return text


@dataclass(slots=True)
class PluginKey:
    """A key that a program has; a `Signer`."""

    session: Session = field(repr=False)
    program: str
    resource: str
    name: str
    _public: PublicKey | None = None

    @property
    def public(self) -> PublicKey:
        """What verifies its signatures; asked for once."""
        if self._public is None:
            answer = self._ask({"methodName": "publicKey", "publicKey": {"publicKeyOptions": _OPTIONS}})
            if answer.public_key is None:
                raise InvalidKey(self.name, f"{Path(self.program).name} gave no public key")
            self._public = PublicKey.parse(answer.public_key.pem, self.name)
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Have a message signed; the signature is verified before it is used."""
        method = {"methodName": "signMessage", "signMessage": {"signOptions": _OPTIONS}}
        answer = self._ask(method, message)
        if answer.sign_message is None or not self.public.verifies(answer.sign_message.signature, message):
            raise InvalidKey(
                self.name,
                f"{Path(self.program).name} gave a signature that its own public key does not verify",
                hint="ask for a key that signs SHA-256 digests: ECDSA P-256, or RSA with PKCS #1 v1.5",
            )
        return answer.sign_message.signature

    def _ask(self, method: Mapping[str, object], message: bytes = b"") -> _PluginAnswer:
        options = {
            "protocolVersion": _PROTOCOL,
            "keyResourceID": self.resource,
            "hashFunc": _SHA256,
            "rpcOptions": {},
        }
        words = (self.program, _PROTOCOL, json.dumps({"initOptions": options, **method}))
        outcome = self.session.runner.run(Command(words, self.session.cwd, self.session.environment, message))
        program = Path(self.program).name
        try:
            answer = from_json(outcome.stdout[:LONGEST], _PluginAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HostUnable(
                f"{self.name}: {program} exited with {outcome.returncode} and did not answer in its protocol: "
                f"{outcome.words[-300:] or error}",
                hint=f"run {program} {_PROTOCOL} by hand; it is a plug-in of cosign's",
            ) from error
        if answer.error_message:
            raise HostUnable(
                f"{self.name}: {program}: {answer.error_message[:300]}", hint="this message is from the plug-in"
            )
        return answer


_OPTIONS = {"rpcOptions": {}, "messageOptions": {"hashFunc": _SHA256}}


def _plugin(session: Session, reference: str) -> PluginKey | None:
    found = _PLUGIN.fullmatch(reference)
    if not found or found[1] == "env":
        return None
    if found[1] in {"awskms", "gcpkms", "azurekms", "hashivault", "k8s", "gitlab"}:
        hint = f"cosign has this key service built in; for wherry, put a program sigstore-kms-{found[1]} on PATH"
    else:
        hint = f"put the plug-in on PATH: sigstore-kms-{found[1]}"
    program = shutil.which(f"sigstore-kms-{found[1]}", path=session.environment.get("PATH", os.defpath))
    if program is None:
        raise HostUnable(f"{reference}: there is no program sigstore-kms-{found[1]}", hint=hint)
    return PluginKey(session, program, found[2], reference)
