"""Signatures by an identity: a certificate, its proof of inclusion in a transparency log, and a trusted root file.

sigstore-python verifies; it is imported when the first such signature is met (1.1 s). Nothing is asked over a network:
the root is a file, and a signature holds its own proofs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.errors import InvalidDocument, InvalidUsage, NotFound
from wherry.store.files import read_regular
from wherry.trust.bundle import SignatureBundle
from wherry.trust.dsse import Envelope
from wherry.trust.layer_certificate import CertifiedLayer
from wherry.typed import from_json

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity

_LARGEST_ROOT = 4 << 20
_HINT = "give the trusted_root.json of your Sigstore instance"


class _RootDocument(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    tlogs: list[dict[str, object]] = []


def check_trusted_root(file: Path, name: str) -> None:
    """Look at a trusted root file before anything is verified by it; sigstore-python reads it whole, later.

    Args:
        file: where it is.
        name: what the user knows it by.

    Raises:
        NotFound: there is none.
        InvalidUsage: it is something else, or names no transparency log.
    """
    try:
        content = read_regular(file.resolve(), _LARGEST_ROOT)
    except InvalidDocument as error:
        raise InvalidUsage(f"{name}: not a trusted root: {error.problem}", hint=_HINT) from error
    if content is None:
        raise NotFound(f"{name}: no such trusted root file", hint=_HINT)
    try:
        root = from_json(content, _RootDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidUsage(f"{name}: not a trusted root: {error}", hint=_HINT) from error
    if not root.media_type.startswith("application/vnd.dev.sigstore.trustedroot"):
        raise InvalidUsage(f"{name}: not a trusted root: its media type is {root.media_type[:100]!r}", hint=_HINT)
    if not root.tlogs:
        raise InvalidUsage(f"{name}: this trusted root has no transparency log, so it trusts no identity", hint=_HINT)


@dataclass(slots=True)
class KeylessJudge:
    """An `IdentityJudge`: one identity and its issuer, by the authorities of one trusted root."""

    trusted_root: Path
    issuer: str
    """URL of the OpenID provider, exactly."""
    identity: str = ""
    """An email address or a URI, exactly; empty where `pattern` is given."""
    pattern: str = ""
    """A regular expression that the whole identity has to match."""
    _verifier: "Verifier | None" = None

    def __post_init__(self) -> None:
        """Refuse what would accept anybody.

        Raises:
            InvalidUsage: identity or issuer is missing, or the pattern is not a regular expression.
        """
        if not self.issuer or bool(self.identity) == bool(self.pattern):
            raise InvalidUsage(
                "signatures by certificate need one identity and its issuer",
                hint="give --identity or --identity-regexp, and --issuer",
            )
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise InvalidUsage(f"--identity-regexp {self.pattern}: {error}", hint="fix the expression") from error

    def check(self, bundle: bytes, name: str) -> str:
        """Verify; give the identity that signed. See `IdentityJudge.check`."""
        meant = SignatureBundle.parse(bundle, name).dsse_envelope

        def verify(verifier: "Verifier", read: "Bundle", wanted: "Identity") -> None:
            _same(meant, verifier.verify_dsse(read, wanted), name)

        return self._checked(bundle, name, verify)

    def check_layer(self, layer: CertifiedLayer, name: str) -> str:
        """Verify; give the identity that signed. See `IdentityJudge.check_layer`."""

        def verify(verifier: "Verifier", read: "Bundle", wanted: "Identity") -> None:
            # The placeholder proves nothing; the log's signed promise is what this format has. If sigstore-python
            # ever calls these by other names, the placeholder is verified instead, and refused.
            read.log_entry.__dict__["_verify"] = read.log_entry._verify_set  # noqa: SLF001 - as above
            if layer.envelope:
                _same(Envelope.parse(layer.content, name), verifier.verify_dsse(read, wanted), name)
            else:
                verifier.verify_artifact(layer.content, read, wanted)

        return self._checked(layer.bundle, name, verify)

    def _checked(self, bundle: bytes, name: str, verify: "Callable[[Verifier, Bundle, Identity], None]") -> str:
        from sigstore.errors import Error
        from sigstore.models import Bundle
        from sigstore.verify.policy import Identity

        self._verifier = self._verifier or self._made()
        try:
            read = Bundle.from_json(bundle)
            identities = _identities(read.signing_certificate)
            wanted = (
                [self.identity] if self.identity else [one for one in identities if re.fullmatch(self.pattern, one)]
            )
            if not wanted:
                raise InvalidDocument(name, f"it is by {', '.join(identities)[:200]}, not by {self.pattern}")
            verify(self._verifier, read, Identity(identity=wanted[0], issuer=self.issuer))
        except (Error, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidDocument(name, " ".join(str(error).split())[:300]) from error
        return wanted[0]

    def _made(self) -> "Verifier":
        from sigstore.errors import Error
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier

        try:
            return Verifier(trusted_root=TrustedRoot.from_file(str(self.trusted_root)))
        except (Error, ValueError, OSError) as error:
            raise InvalidUsage(
                f"{self.trusted_root}: not a trusted root: {' '.join(str(error).split())[:200]}", hint=_HINT
            ) from error


def _same(meant: Envelope, verified: tuple[str, bytes], name: str) -> None:
    """Make sure that two readers of one JSON document, which may name a key twice, found the same payload."""
    if (meant.payload_type, meant.payload) != verified:
        raise InvalidDocument(name, "what was signed is not what the document states")


def _identities(certificate: "Certificate") -> list[str]:
    from cryptography import x509

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    ]
