"""One TLS handshake with an endpoint: by which root it is verified, and until when its certificate holds.

Sources: RFC 8446, section 4.4.2; RFC 9110, section 9.3.6 (CONNECT); Python's ssl module, which gives the chain that
was verified under a public name since 3.13.
"""

import base64
import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from wherry.app.session import Session
from wherry.base.certificates import Certificate
from wherry.errors import HostUnable, WherryError
from wherry.settings.proxies import Proxies

if TYPE_CHECKING:
    import ssl

_PATIENCE = 10.0
_LARGEST_HEAD = 16384


class EndpointFailed(WherryError):
    """An endpoint does not answer, or no root verifies it."""

    exit_code = 69  # EX_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class VerifiedChain:
    """What an endpoint showed, and what it was verified by."""

    root: bytes
    """The root, as DER."""
    expires: int
    """When the endpoint's own certificate ends; seconds since the epoch."""


def ask_endpoint(
    session: Session, host: str, port: int, roots: Sequence[Certificate], *, patience: float = _PATIENCE
) -> VerifiedChain:
    """Connect, verify, and close; nothing is sent but the handshake.

    Args:
        session: its environment may name a proxy.
        host: a name or an address; the certificate has to be for it.
        port: of TCP.
        roots: what is trusted, and nothing else.
        patience: seconds to wait for each answer.

    Raises:
        EndpointFailed: it can't be reached, speaks no TLS, or is not verified by one of the roots.
        HostUnable: this Python does not give the verified chain.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="".join(one.pem.decode() for one in roots))
    place = f"{f'[{host}]' if ':' in host else host}:{port}"
    try:
        with (
            closing(_connected(session, host, port, patience)) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            said = secured.getpeercert() or {}
            chain = _chain(secured)
    except ssl.SSLCertVerificationError as error:
        raise EndpointFailed(
            f"{place}: not verified: {error.verify_message}",
            hint="give the root of its authority with --ca FILE; if the name is wrong, use the one in its certificate",
        ) from error
    except TimeoutError as error:
        raise EndpointFailed(
            f"{place}: no answer within {patience:g} s", hint="check the port, or name the root"
        ) from error
    except OSError as error:  # ssl's errors are some, too
        words = getattr(error, "reason", None) or error.strerror or error
        reason = f"no TLS ({str(words).lower().replace('_', ' ')})" if isinstance(error, ssl.SSLError) else words
        raise EndpointFailed(
            f"{place}: {reason}", hint="check that it speaks TLS at this port, or name the root instead"
        ) from error
    return VerifiedChain(chain[-1], ssl.cert_time_to_seconds(str(said["notAfter"])))


def _chain(secured: "ssl.SSLSocket") -> list[bytes]:
    public = getattr(secured, "get_verified_chain", None)
    if public is not None:
        return list(public())
    own = getattr(getattr(secured, "_sslobj", None), "get_verified_chain", None)
    if own is None:
        raise HostUnable("this Python does not give the certificates that verified a server", hint="use Python 3.13")
    return [_der(one) for one in own()]


def _der(one: object) -> bytes:
    """Give a certificate of Python before 3.13, whose public name came later."""
    import ssl

    text = one.public_bytes()  # type: ignore[attr-defined] # not in the stubs: PEM
    return ssl.PEM_cert_to_DER_cert(text if isinstance(text, str) else text.decode())


def _connected(session: Session, host: str, port: int, patience: float) -> socket.socket:
    proxy = Proxies.of(session.environment).proxy_for("https", host, port)
    if not proxy:
        return socket.create_connection((host, port), patience)
    parts = urlsplit(proxy)
    if parts.scheme != "http" or not parts.hostname:
        raise EndpointFailed(
            f"proxy {parts.hostname}: only http:// proxies are supported for this", hint="name the root instead"
        )
    found = socket.create_connection((parts.hostname, parts.port or 80), patience)
    try:
        found.sendall(_connect(host, port, parts.username, parts.password))
        said = _answer(found)
    except BaseException:
        found.close()
        raise
    if " 200" not in said:
        found.close()
        raise EndpointFailed(f"proxy {parts.hostname}: {said or 'closed the connection'}", hint="check HTTPS_PROXY")
    return found


def _answer(proxy: socket.socket) -> str:
    """Read the head of a proxy's answer, and not a byte more; give its first line."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LARGEST_HEAD and (chunk := proxy.recv(1)):
        head += chunk
    return head.partition(b"\r\n")[0].decode(errors="replace")[:80]


def _connect(host: str, port: int, user: str | None, password: str | None) -> bytes:
    place = f"{f'[{host}]' if ':' in host else host}:{port}"
    words = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n"
    if user:
        secret = base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
        words += f"Proxy-Authorization: Basic {secret}\r\n"
    return f"{words}\r\n".encode()
