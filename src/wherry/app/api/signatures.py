"""Verbs about who stands behind an image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wherry.app.api.calls import Cancel, session_of
from wherry.app.session import Session

if TYPE_CHECKING:
    from wherry.app.signing import SignatureFormat, SignedImage
    from wherry.app.verifying import VerifiedImage
    from wherry.trust.keys import Signer
    from wherry.trust.signature import WantedSigner


def sign(  # noqa: PLR0913 - each is named
    image: str,
    key: "Signer",
    *,
    annotations: Mapping[str, str] | None = None,
    recursive: bool = False,
    form: "SignatureFormat | None" = None,
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "tuple[SignedImage, ...]":
    """Sign an image by its digest, for cosign 2, cosign 3 and wherry; nothing is uploaded to a transparency log.

    Args:
        image: its name, digest or path; not in an archive.
        key: what signs: `read_key(file.read_bytes(), "release.key", lambda: b"password")`.
        annotations: what the signature says in addition.
        recursive: sign each manifest of an index as well.
        form: the formats to write; None: both.
        session: see above.
        cancel: see above.

    Raises:
        NotFound, RegistryError, AccessDenied: the image or the registry cannot be reached.
        InvalidUsage: it is in an archive.
    """
    from wherry.app.signing import SignatureFormat
    from wherry.app.signing import sign as carried_out

    own = session_of(session, None, cancel)
    chosen = form or SignatureFormat.BOTH
    return carried_out(own, image, key, annotations=annotations, recursive=recursive, form=chosen)


def verify(
    image: str,
    wanted: "WantedSigner",
    *,
    recursive: bool = False,
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "tuple[VerifiedImage, ...]":
    """Verify that an image is signed, in either format; only its registry is asked.

    Args:
        image: its name, digest or path; a tag is resolved once, and the answer is about that digest.
        wanted: who must have signed: `WantedSigner(keys=(PublicKey.parse(pem, "release.pub"),))`.
        recursive: whether each manifest of an index must be signed as well.
        session: see above.
        cancel: see above.

    Returns:
        One answer for the image, and with `recursive` one for each manifest; `good` has the signatures that count.

    Raises:
        NotFound: the image does not exist. A registry that cannot be asked is an answer, not an error.
    """
    from wherry.app.verifying import verify as carried_out

    return carried_out(session_of(session, None, cancel), image, wanted, recursive=recursive)
