"""Handshakes that say which versions of TLS a server accepts: a ClientHello by hand, and the first answer to it.

No library does it: OpenSSL refuses TLS 1.0 and 1.1 itself, so that a refusal would prove nothing of the server.

Sources: RFC 2246, 4346, 5246 and 8446 (ClientHello, ServerHello, alerts, supported_versions, key_share); RFC 8996
(TLS 1.0 and 1.1 must not be negotiated); IANA's registry of TLS cipher suites.
"""

import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

TLS10, TLS11, TLS12, TLS13 = 0x0301, 0x0302, 0x0303, 0x0304
OLD: Final = (TLS10, TLS11)
NEW: Final = (TLS12, TLS13)
_NAMES = {TLS10: "TLS 1.0", TLS11: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}
_HANDSHAKE, _ALERT = 22, 21
_SERVER_HELLO = 2
_SUPPORTED_VERSIONS = 43
_LONGEST = 1 << 14
_PROTOCOL_VERSION = 70
_ALERTS = {10: "unexpected message", 40: "handshake failure", 47: "illegal parameter", 50: "decode error",
           _PROTOCOL_VERSION: "protocol version", 71: "insufficient security", 112: "unrecognized name"}  # fmt: skip

_OLD_SUITES = (
    *(0xC000 + low for low in (0x02, 0x03, 0x04, 0x05, 0x07, 0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x0E, 0x0F)),
    *(0xC000 + low for low in (0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x19)),
    0x0004, 0x0005, 0x0007, 0x000A, 0x0009, 0x0013, 0x0016, 0x0018, 0x001B, 0x002F, 0x0032, 0x0033, 0x0034, 0x0035,
    0x0038, 0x0039, 0x003A, 0x0041, 0x0044, 0x0045, 0x0084, 0x0087, 0x0088, 0x0096, 0x0099, 0x009A,
)  # fmt: skip
"""Suites that TLS 1.0 and 1.1 have, so that a server refuses the version and not the choice."""
_NEW_SUITES = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9, 0x009C, 0x009D)


@dataclass(frozen=True, slots=True)
class HelloAnswer:
    """What a server said first."""

    version: int
    """That it chose; 0: none."""
    words: str
    """Why none, in words; empty where it chose one."""
    tls: bool
    """Whether it spoke TLS at all."""


@dataclass(frozen=True, slots=True)
class TlsFloor:
    """What a server makes of all versions."""

    accepts: tuple[str, ...]
    """Names of the versions that it negotiates."""
    refused: str
    """What it says to the old ones."""

    @property
    def speaks(self) -> bool:
        """Whether it is a server of TLS."""
        return bool(self.accepts)

    @property
    def old(self) -> tuple[str, ...]:
        """Versions below 1.2 that it accepts."""
        return tuple(name for name in self.accepts if name in {_NAMES[one] for one in OLD})


def tls_floor(connected: Callable[[], socket.socket], name: str) -> TlsFloor:
    """Try a handshake of each version.

    Args:
        connected: gives a new connection each time; it has a timeout.
        name: the server's, for SNI.

    Raises:
        OSError: a connection can't be made.
    """
    accepts, said = [], []
    for version in (*NEW, *OLD):
        with connected() as opened:
            answer = _asked(opened, version, name)
        if answer.version == version:
            accepts.append(_NAMES[version])
        elif version in OLD:
            said.append(f"{_NAMES[version]} ({answer.words or 'another version was chosen'})")
    return TlsFloor(tuple(accepts), " and ".join(said))


def _asked(opened: socket.socket, version: int, name: str) -> HelloAnswer:
    try:
        opened.sendall(client_hello(version, name))
        return read_answer(_first_record(opened))
    except TimeoutError:
        return HelloAnswer(0, "no answer", tls=False)
    except OSError:
        return HelloAnswer(0, "the connection was closed", tls=False)


def _first_record(opened: socket.socket) -> bytes:
    """Read one record at most, or what there is of it."""
    found = b""
    wanted = 5
    while len(found) < wanted:
        chunk = opened.recv(wanted - len(found))
        if not chunk:
            break
        found += chunk
        if len(found) == 5:  # noqa: PLR2004 - a record's header
            wanted = 5 + min(struct.unpack_from(">H", found, 3)[0], _LONGEST)
    return found


def client_hello(version: int, name: str) -> bytes:
    """Write a ClientHello that offers one version and nothing else."""
    suites = _OLD_SUITES if version in OLD else _NEW_SUITES
    groups = (0x001D, 0x0017, 0x0018, 0x0019)
    signatures = (0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
    host = name.encode("ascii", "ignore")
    extensions = [
        (0, struct.pack(">HBH", len(host) + 3, 0, len(host)) + host),
        (10, _list(groups)),
        (11, b"\x01\x00"),
    ]
    if version in NEW:
        extensions.append((13, _list(signatures)))
    if version == TLS13:
        share = struct.pack(">HH", 0x001D, 32) + os.urandom(32)
        extensions += [
            (_SUPPORTED_VERSIONS, b"\x02" + struct.pack(">H", TLS13)),
            (51, struct.pack(">H", len(share)) + share),
        ]
    written = b"".join(struct.pack(">HH", kind, len(body)) + body for kind, body in extensions)
    hello = b"".join(
        (
            struct.pack(">H", min(version, TLS12)),
            os.urandom(32),
            b"\x20" + os.urandom(32),
            _list(suites),
            b"\x01\x00",
            struct.pack(">H", len(written)) + written,
        )
    )
    handshake = b"\x01" + len(hello).to_bytes(3, "big") + hello
    return struct.pack(">BHH", _HANDSHAKE, TLS10, len(handshake)) + handshake


def _list(values: Sequence[int]) -> bytes:
    return struct.pack(f">H{len(values)}H", 2 * len(values), *values)


def read_answer(record: bytes) -> HelloAnswer:
    """Read the first record of an answer: a ServerHello, an alert, or something else."""
    if not record:
        return HelloAnswer(0, "the connection was closed", tls=False)
    if record[0] == _ALERT and len(record) >= 7 and record[1] == 3:  # noqa: PLR2004 - its length; the major version
        alert = record[6]
        return HelloAnswer(0, f"alert {alert} ({_ALERTS.get(alert, 'another')})", tls=True)
    if record[0] != _HANDSHAKE or len(record) < 44 or record[5] != _SERVER_HELLO:  # noqa: PLR2004 - up to the session ID
        return HelloAnswer(0, "the answer is not TLS", tls=False)
    (version,) = struct.unpack_from(">H", record, 9)
    chosen = _negotiated(record) or version
    return HelloAnswer(chosen, "" if chosen else "no version", tls=True)


def _negotiated(record: bytes) -> int:
    """Find supported_versions in a ServerHello; 0 where it has none."""
    place = 44 + record[43] + 3
    if len(record) < place + 2:
        return 0
    end = min(place + 2 + struct.unpack_from(">H", record, place)[0], len(record))
    place += 2
    while place + 4 <= end:
        kind, size = struct.unpack_from(">HH", record, place)
        if kind == _SUPPORTED_VERSIONS and size == 2 and place + 6 <= end:  # noqa: PLR2004 - a version
            return int(struct.unpack_from(">H", record, place + 4)[0])
        place += 4 + size
    return 0
