"""The server's certificate: an authority of its own and what it signs, or files of others; both change while it runs.

Source: RFC 5280; Kubernetes 1.34, "Dynamic Admission Control" (caBundle: the names of the service have to be in the
certificate).
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from wherry.errors import InvalidSettings, NotFound
from wherry.store.files import read_regular

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY_DAYS, SERVER_DAYS = 365 * 3, 90
_LARGEST = 1 << 18
_CLOCK_SKEW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate, or several, the server's own first, and its key: PEM."""

    certificate: bytes
    key: bytes

    @property
    def expires(self) -> float:
        """When the first certificate ends, in seconds since the epoch."""
        return expiry_of(self.certificate)


def expiry_of(certificate: bytes) -> float:
    """Say when a certificate in PEM ends, in seconds since the epoch."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


def new_authority(now: float, name: str = "wherry admission") -> KeyPair:
    """Make an authority: ECDSA P-256, since a handshake with it costs least."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(made, key)


def new_server(authority: KeyPair, names: tuple[str, ...], now: float) -> KeyPair:
    """Have an authority sign a certificate for a server.

    Raises:
        InvalidSettings: a name is none.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = x509.load_pem_x509_certificate(authority.certificate)
    signing_key = load_pem_private_key(authority.key, None)
    if not isinstance(signing_key, ec.EllipticCurvePrivateKey):
        raise InvalidSettings("the authority's key is not one of this program", hint="delete the Secret that holds it")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])])
    try:
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        builder = _builder(subject, signer.subject, key.public_key(), now, SERVER_DAYS)
        made = (
            builder.add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
            .sign(signing_key, hashes.SHA256())
        )
    except ValueError as error:
        raise InvalidSettings(f"tls: names: {error}", hint="write host names and addresses") from error
    return _pair(made, key)


def read_pair(certificate: Path, key: Path) -> KeyPair:
    """Read the files of a certificate.

    Raises:
        NotFound: one is not there.
        InvalidSettings: they do not belong together, or are not PEM.
    """
    pair = KeyPair(*map(_read, (certificate, key)))
    context(pair)
    return pair


def context(pair: KeyPair) -> ssl.SSLContext:
    """Make what a server speaks TLS with.

    Raises:
        InvalidSettings: the certificate and the key do not belong together, or are not PEM.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    show(made, pair)
    return made


def show(shown: ssl.SSLContext, pair: KeyPair) -> None:
    """Have a server show this certificate to whoever connects from now on.

    Raises:
        InvalidSettings: the certificate and the key do not belong together, or are not PEM; nothing is changed.
    """
    with TemporaryDirectory(prefix="wherry-") as folder:  # the ssl module reads files only
        files = Path(folder, "tls.crt"), Path(folder, "tls.key")
        files[1].touch(0o600)
        files[0].write_bytes(pair.certificate)
        files[1].write_bytes(pair.key)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files, password="")
            shown.load_cert_chain(*files, password="")
        except (ssl.SSLError, ValueError, OSError) as error:
            raise InvalidSettings(
                f"tls: the certificate cannot be used: {error}",
                hint="give a certificate and its key in PEM, not encrypted",
            ) from error


def _read(path: Path) -> bytes:
    content = read_regular(path.resolve(), _LARGEST)
    if content is None:
        raise NotFound(f"{path}: not found", hint="give the files of the server's certificate and key")
    return content


def _builder(
    subject: "x509.Name", issuer: "x509.Name", key: "ec.EllipticCurvePublicKey", now: float, days: int
) -> "x509.CertificateBuilder":
    from cryptography import x509

    start = datetime.fromtimestamp(now, UTC) - _CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _general(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pair(certificate: "x509.Certificate", key: "ec.EllipticCurvePrivateKey") -> KeyPair:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(certificate.public_bytes(Encoding.PEM), private)
