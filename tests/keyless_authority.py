"""A Sigstore of the test's own: a certificate authority, a certificate log and a transparency log, all with real keys.

Sources: RFC 6962, sections 2.1 and 3.2 (hashes, SCTs); sigstore protobuf-specs v0.5.1; rekor, types/dsse v0.0.1; C2SP
signed-note.
"""

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_LIVES = timedelta(minutes=10)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@dataclass
class Authority:
    """Issues certificates and logs what they sign."""

    ca: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    certificate_log: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    log: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    def __post_init__(self) -> None:
        """Make the root."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.ca.public_key())
            .serial_number(1)
            .not_valid_before(WHEN - timedelta(days=1))
            .not_valid_after(WHEN + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.ca.public_key()), critical=False)
            .sign(self.ca, hashes.SHA256())
        )

    def trusted_root(self) -> str:
        """Give the file that trusts it."""
        valid = {"start": "2025-01-01T00:00:00Z"}

        def logged(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, object]:
            public = {"rawBytes": _b64(_spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid}
            log_id = {"keyId": _b64(hashlib.sha256(_spki(key)).digest())}
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": log_id}

        certificates = [{"rawBytes": _b64(self.root.public_bytes(Encoding.DER))}]
        return json.dumps({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [logged(self.log, "https://log.example")],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "test", "commonName": "test authority"},
                    "uri": "https://ca.example",
                    "certChain": {"certificates": certificates},
                    "validFor": valid,
                }
            ],
            "ctlogs": [logged(self.certificate_log, "https://ct.example")],
        })  # fmt: skip

    def bundle(self, payload: bytes, *, identity: str, issuer: str) -> dict[str, object]:
        """Sign a statement as an identity; give the bundle."""
        key = _key()
        certificate = self._issued(key, identity, issuer)
        kind = b"application/vnd.in-toto+json"
        signature = _sign(key, b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
        envelope = {"payload": _b64(payload), "payloadType": kind.decode(), "signatures": [{"sig": _b64(signature)}]}
        pem = certificate.public_bytes(Encoding.PEM)
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self._logged(envelope, payload, signature, pem)],
            },
            "dsseEnvelope": envelope,
        }

    def _issued(self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(key.public_key())
            .serial_number(2)
            .not_valid_before(WHEN - timedelta(minutes=1))
            .not_valid_after(WHEN + _LIVES)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(identity)]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key()), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), issuer.encode()),
                critical=False,
            )
        )
        unlogged = builder.sign(self.ca, hashes.SHA256()).tbs_certificate_bytes
        timestamp = int(WHEN.timestamp() * 1000)
        issuer_hash = hashlib.sha256(_spki(self.ca)).digest()
        signed = struct.pack(">BBQH", 0, 0, timestamp, 1) + issuer_hash
        signed += len(unlogged).to_bytes(3, "big") + unlogged + b"\0\0"
        proof = _sign(self.certificate_log, signed)
        log_id = hashlib.sha256(_spki(self.certificate_log)).digest()
        entry = b"\0" + log_id + struct.pack(">QH", timestamp, 0) + b"\x04\x03" + struct.pack(">H", len(proof)) + proof
        scts = struct.pack(">HH", len(entry) + 2, len(entry)) + entry
        octets = b"\x04" + (bytes([len(scts)]) if len(scts) < 128 else bytes([0x81, len(scts)])) + scts
        return builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), octets), critical=False
        ).sign(self.ca, hashes.SHA256())

    def _logged(self, envelope: dict[str, object], payload: bytes, signature: bytes, pem: bytes) -> dict[str, object]:
        entry = self._promised(self._dsse(envelope, payload, signature, pem))
        body = base64.b64decode(entry["Payload"]["body"])
        log_id = hashlib.sha256(_spki(self.log)).digest()
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"log.example\n1\n{_b64(root)}\n"
        checkpoint = f"{note}\n— log.example {_b64(log_id[:4] + _sign(self.log, note.encode()))}\n"
        return {
            "logIndex": "0",
            "logId": {"keyId": _b64(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(entry["Payload"]["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": entry["SignedEntryTimestamp"]},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": _b64(body),
        }

    def _dsse(self, envelope: dict[str, object], payload: bytes, signature: bytes, pem: bytes) -> dict[str, object]:
        return {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _hashed(json.dumps(envelope).encode()),
                "payloadHash": _hashed(payload),
                "signatures": [{"signature": _b64(signature), "verifier": _b64(pem)}],
            },
        }

    def _promised(self, entry: dict[str, object]) -> dict[str, Any]:
        """Log an entry; give the promise of it, as cosign stores it in the old format."""
        body = json.dumps(entry, separators=(",", ":")).encode()
        log_id, when = hashlib.sha256(_spki(self.log)).digest(), int(WHEN.timestamp())
        promised = {"body": _b64(body), "integratedTime": when, "logID": log_id.hex(), "logIndex": 0}
        promise = _sign(self.log, json.dumps(promised, separators=(",", ":"), sort_keys=True).encode())
        return {"SignedEntryTimestamp": _b64(promise), "Payload": promised}

    def annotations(self, payload: bytes, *, identity: str, issuer: str) -> dict[str, str]:
        """Sign the payload of the old format; give the annotations of its layer, as cosign 2 writes them."""
        key = _key()
        pem = self._issued(key, identity, issuer).public_bytes(Encoding.PEM)
        signature = _sign(key, payload)
        public = {"content": _b64(pem)}
        spec = {"data": {"hash": _hashed(payload)}, "signature": {"content": _b64(signature), "publicKey": public}}
        entry = self._promised({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})
        return {"dev.cosignproject.cosign/signature": _b64(signature), **self._certified(pem, entry)}

    def envelope(self, payload: bytes, *, identity: str, issuer: str) -> tuple[bytes, dict[str, str]]:
        """Attest in the old format; give the layer and its annotations."""
        made = self.bundle(payload, identity=identity, issuer=issuer)
        material, envelope = made["verificationMaterial"], made["dsseEnvelope"]
        assert isinstance(material, dict)
        assert isinstance(envelope, dict)
        certificate = x509.load_der_x509_certificate(base64.b64decode(material["certificate"]["rawBytes"]))
        pem = certificate.public_bytes(Encoding.PEM)
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        entry = self._promised(self._dsse(envelope, payload, signature, pem))
        return json.dumps(envelope).encode(), self._certified(pem, entry)

    def _certified(self, pem: bytes, entry: dict[str, Any]) -> dict[str, str]:
        return {
            "dev.sigstore.cosign/bundle": json.dumps(entry),
            "dev.sigstore.cosign/certificate": pem.decode(),
            "dev.sigstore.cosign/chain": self.root.public_bytes(Encoding.PEM).decode(),
        }


def _hashed(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
