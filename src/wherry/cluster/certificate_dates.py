"""When a credential expires: the end date of a certificate in PEM, the `exp` of a token.

It is only read to explain a refusal, so what can't be read gives None.

Sources: RFC 5280, section 4.1 (Certificate, TBSCertificate, Validity); RFC 7519, section 4.1.4; ITU-T X.690, 8.1.
"""

import base64
import binascii
import json
import ssl
from datetime import UTC, datetime

_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17
_LONG, _MOST = 0x80, 4
_CENTURY = 50
"""RFC 5280, 4.1.2.5.1: two digits of a year from here on are of the last century."""


def certificate_end(pem: bytes) -> datetime | None:
    """Give the end of the first certificate of a PEM file."""
    text = pem.decode("ascii", errors="replace")
    start, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    if start < 0 or end < start:
        return None
    try:
        der = ssl.PEM_cert_to_DER_cert(text[start : end + len(ssl.PEM_FOOTER)])
        certificate = _value(der, 0)[1]
        fields = _value(certificate, 0)[1]
        offset = _value(fields, 0)[2] if fields[0] == _VERSION else 0
        for _ in ("serial", "algorithm", "issuer"):
            offset = _value(fields, offset)[2]
        validity = _value(fields, offset)[1]
        kind, when, _ = _value(validity, _value(validity, 0)[2])
    except (ValueError, IndexError, binascii.Error):
        return None
    return _time(kind, when.decode("ascii", errors="replace"))


def token_end(token: str) -> datetime | None:
    """Give the end of a JSON web token."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError, binascii.Error):
        return None


def _value(der: bytes, offset: int) -> tuple[int, bytes, int]:
    """Give a value's tag, its content, and where the next one begins."""
    tag, length, start = der[offset], der[offset + 1], offset + 2
    if length >= _LONG:
        count = length - _LONG
        if not 0 < count <= _MOST:
            raise ValueError(length)
        length, start = int.from_bytes(der[start : start + count], "big"), start + count
    if start + length > len(der):
        raise ValueError(length)
    return tag, der[start : start + length], start + length


def _time(kind: int, text: str) -> datetime | None:
    if kind == _UTC_TIME:
        text = ("19" if text[:2] >= str(_CENTURY) else "20") + text
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
