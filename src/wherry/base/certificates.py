"""Certificates of authorities: read from PEM, named by fingerprint, and put into one file.

Sources: RFC 7468 (PEM), RFC 5280 section 4.2.1.9 (what an authority is).
"""

import base64
import hashlib
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from wherry.errors import InvalidDocument

LARGEST = 4 << 20
"""Bytes of a file of certificates that are read."""
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
"""Where programs look for roots (Go's crypto/x509, OpenSSL of Debian)."""
ADDED_FOLDER = "etc/pki/tls/certs"
"""Where certificates are added to an image that has roots of its own; Go reads every file there."""
_MOST = 1000
_AGAIN = "write it as PEM again"
_BLOCK = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END (?:TRUSTED )?CERTIFICATE-----"
)
_OWN = Path(__file__).parent / "data" / "certificates.pem"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, as bytes."""

    der: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Its SHA-256 in hexadecimal digits: what a root is named by."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> bytes:
        """Its text, in one form."""
        body = "\n".join(textwrap.wrap(base64.b64encode(self.der).decode(), 64))
        return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n".encode()


@dataclass(frozen=True, slots=True)
class RootFacts:
    """What a root says of itself."""

    certificate: Certificate
    name: str
    """Its common name, else its organisation."""
    organisation: str
    expires: int
    """Seconds since the epoch."""


def read_certificates(content: bytes, name: str) -> tuple[Certificate, ...]:
    """Read certificates from PEM; text around them is left out, and each is given once.

    Args:
        content: the file.
        name: what the reader knows it by.

    Raises:
        InvalidDocument: there is none, one is damaged, or there are too many.
    """
    found: dict[str, Certificate] = {}
    for count, match in enumerate(_BLOCK.finditer(content)):
        if count >= _MOST:
            raise InvalidDocument(name, f"more than {_MOST} certificates", hint="give the right file")
        try:
            one = Certificate(base64.b64decode(b"".join(match[1].split()), validate=True))
        except ValueError as error:
            raise InvalidDocument(name, f"certificate {count + 1}: {error}", hint=_AGAIN) from error
        if not one.der:
            raise InvalidDocument(name, f"certificate {count + 1}: empty", hint=_AGAIN)
        found.setdefault(one.fingerprint, one)
    if not found:
        raise InvalidDocument(
            name,
            "no certificate in PEM",
            hint="it has to have a line -----BEGIN CERTIFICATE-----; from DER: openssl x509",
        )
    return tuple(found.values())


def root_facts(certificates: Sequence[Certificate], name: str) -> tuple[RootFacts, ...]:
    """Read what roots say of themselves.

    Args:
        certificates: each has to be an authority's.
        name: what the reader knows them by.

    Raises:
        InvalidDocument: one is damaged, or is no authority's: a server's certificate is no root.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for one in certificates:
        try:
            context.load_verify_locations(cadata=one.der)
        except ssl.SSLError as error:
            raise InvalidDocument(
                name, f"certificate {one.fingerprint[:16]}: {error.reason or error}", hint=_AGAIN
            ) from error
    authorities = dict(zip(context.get_ca_certs(binary_form=True), context.get_ca_certs(), strict=True))
    return tuple(_facts(one, authorities.get(one.der), name) for one in certificates)


def _facts(one: Certificate, said: "object", name: str) -> RootFacts:
    import ssl

    if not isinstance(said, dict):
        raise InvalidDocument(
            name,
            f"certificate {one.fingerprint[:16]} does not belong to an authority",
            hint="give the root that signed it, not the server's own certificate",
        )
    subject = {key: str(value) for part in said["subject"] for key, value in part}
    organisation = subject.get("organizationName", "")
    common = subject.get("commonName") or organisation or subject.get("organizationalUnitName", "") or one.fingerprint
    return RootFacts(one, common, organisation, ssl.cert_time_to_seconds(said["notAfter"]))


@cache
def own_certificates() -> tuple[Certificate, ...]:
    """Give Mozilla's authorities, as the embedded base has them."""
    return read_certificates(_OWN.read_bytes(), "Mozilla's certificates")


@cache
def public_roots() -> tuple[RootFacts, ...]:
    """Give what Mozilla's authorities say of themselves."""
    return root_facts(own_certificates(), "Mozilla's certificates")


def bundle_of(certificates: Iterable[Certificate]) -> bytes:
    """Put certificates into one file, in the order of their fingerprints."""
    return b"".join(one.pem for one in sorted(certificates, key=lambda one: one.fingerprint))
