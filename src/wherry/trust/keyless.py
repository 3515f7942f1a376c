"""Signatures by an identity: a certificate, its proof of inclusion in a transparency log, and a trusted root file.

sigstore-python verifies; it is imported when the first such signature is met (1.1 s). Nothing is asked over a network:
the root is a file, and a bundle holds its own proofs.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import InvalidDocument, InvalidUsage

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.verify import Verifier

_LARGEST_ROOT = 4 << 20


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
        from sigstore.errors import Error
        from sigstore.models import Bundle
        from sigstore.verify.policy import Identity, OIDCIssuer

        self._verifier = self._verifier or self._made()
        try:
            read = Bundle.from_json(bundle)
            identities = _identities(read.signing_certificate)
            wanted = (
                [self.identity] if self.identity else [one for one in identities if re.fullmatch(self.pattern, one)]
            )
            if not wanted:
                raise InvalidDocument(name, f"it is by {', '.join(identities)[:200]}, not by {self.pattern}")
            policy = Identity(identity=wanted[0], issuer=self.issuer) if self.issuer else OIDCIssuer(self.issuer)
            self._verifier.verify_dsse(read, policy)
        except (Error, ValueError, TypeError, KeyError) as error:
            raise InvalidDocument(name, " ".join(str(error).split())[:300]) from error
        return wanted[0]

    def _made(self) -> "Verifier":
        from sigstore.errors import Error
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier

        try:
            if self.trusted_root.stat().st_size > _LARGEST_ROOT:
                raise InvalidDocument(str(self.trusted_root), f"more than {_LARGEST_ROOT} bytes")
            return Verifier(trusted_root=TrustedRoot.from_file(str(self.trusted_root)))
        except (Error, ValueError, OSError) as error:
            raise InvalidUsage(
                f"{self.trusted_root}: not a trusted root: {' '.join(str(error).split())[:200]}",
                hint="give the trusted_root.json of your Sigstore instance",
            ) from error


def _identities(certificate: "Certificate") -> list[str]:
    from cryptography import x509

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    ]
