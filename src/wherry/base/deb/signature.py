"""Clear-signed release files: the text that a pinned key signed, and nothing else.

Sources: RFC 9580, section 7 (cleartext signature framework); Debian repository format, InRelease.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path

from wherry.errors import HostUnable, WherryError

_KEYRING = Path(__file__).parents[1] / "data" / "debian-keys.pgp"


class BadRelease(WherryError):
    """A release file is not signed as it must be, is replayed, or has expired."""

    exit_code = 65  # EX_DATAERR


def signed_text(document: bytes, keys: Collection[str], name: str, keyring: bytes | None = None) -> str:
    """Verify a clear-signed document and give the text that was signed.

    Args:
        document: the file; what stands outside the signed part is left out.
        keys: fingerprints of primary keys in lower case; one of them has to have signed it.
        name: what the reader knows it by.
        keyring: certificates; None: those that Debian publishes.

    Raises:
        BadRelease: no pinned key signed it, or the text was changed.
        HostUnable: the library that reads OpenPGP is not installed.
    """
    try:
        import pysequoia
    except ImportError as error:
        raise HostUnable(
            "bases from Debian packages need OpenPGP to verify them", hint="pip install 'wherry[debian]'"
        ) from error
    certificates = [
        one for one in pysequoia.Cert.split_bytes(keyring or _own_keyring()) if one.fingerprint.lower() in keys
    ]
    try:
        verified = pysequoia.verify(document, store=lambda _ids: certificates)
    except Exception as error:  # the library raises one kind for all
        reason = str(error).splitlines()[0] if str(error) else "no valid signature"
        raise BadRelease(f"{name}: not signed by Debian's key: {reason}", hint=_HINT) from error
    if not any(one.certificate.lower() in keys for one in verified.valid_sigs):
        raise BadRelease(f"{name}: not signed by Debian's key for it", hint=_HINT)
    return (verified.bytes or b"").decode(errors="replace")


_HINT = "use another mirror: this one's file was changed, or is not Debian's"


@cache
def _own_keyring() -> bytes:
    return _KEYRING.read_bytes()
