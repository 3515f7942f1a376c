"""Who must have signed: from the words of an option, of wherry.toml or of a policy to what verifies."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.app.signing_keys import public_key_of
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.trust.keyless import KeylessJudge
    from wherry.trust.signature import SignerNames, WantedSigner


def wanted_signer(
    session: Session, names: "SignerNames", folder: Path, annotations: Mapping[str, str] | None = None
) -> "WantedSigner":
    """Read the keys and the trusted root of those who must have signed.

    Args:
        session: its environment is that of `env://NAME` and of plug-ins.
        names: keys, an identity, or both: then either is enough.
        folder: where relative paths start.
        annotations: what the signature has to say besides.

    Raises:
        InvalidUsage: no signer is named, or an identity without its issuer and trusted root.
        NotFound: a key or the trusted root is not there.
        InvalidKey, HostUnable: a key cannot be read.
    """
    from wherry.trust.signature import WantedSigner

    if not names.keys and not names.by_identity:
        raise InvalidUsage("no signer is named", hint="give --key FILE, or --identity, --issuer and --trusted-root")
    return WantedSigner(
        keys=tuple(public_key_of(session, _from(session, folder, key)) for key in names.keys),
        identity=_identity(names, folder) if names.by_identity else None,
        annotations=annotations or {},
    )


def _identity(names: "SignerNames", folder: Path) -> "KeylessJudge":
    from wherry.trust.keyless import KeylessJudge, check_trusted_root

    if not names.trusted_root:
        raise InvalidUsage(
            "signatures by identity need a trusted root", hint="give --trusted-root FILE; nothing is asked online"
        )
    judge = KeylessJudge(folder / names.trusted_root, names.issuer, names.identity, names.pattern)
    check_trusted_root(judge.trusted_root, names.trusted_root)
    return judge


def _from(session: Session, folder: Path, key: str) -> str:
    return key if "://" in key or folder == session.cwd else str(folder / key)
