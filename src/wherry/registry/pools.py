"""What connections to one host promise, and their errors: `direct.py` and `proxied.py` keep the promises."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from wherry.registry.errors import RegistryError

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds we wait for a connection, and for the next bytes on one."""

    connect: float = 15.0
    read: float = 60.0


class RawAnswer(Protocol):
    """An answer as it comes from a connection."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The fields; a name's case does not count."""

    def read(self, size: int) -> bytes:
        """Give the next bytes of the body, at most so many; none at its end."""

    def finish(self, limit: int) -> None:
        """Be done with it: keep the connection where at most so many bytes are left to read, else close it."""


class Pool(Protocol):
    """Connections to one host."""

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> RawAnswer:
        """Send one request and wait for the head of its answer."""

    def close(self) -> None:
        """Close those that are open."""


class CutOff(RegistryError):
    """A connection ended before its time; asking again may help."""


@contextmanager
def translated(host: str) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except TimeoutError as error:
        raise CutOff(f"{host}: timed out", hint="check the network, and run it again") from error
    except OSError as error:
        raise CutOff(
            f"{host}: the connection broke: {reason(error)}", hint="run it again; uploaded blobs are not sent twice"
        ) from error


def untrusted(host: str, error: BaseException) -> RegistryError:
    """Say that TLS was refused, and what to do about it."""
    return RegistryError(
        f"{host}: certificate not trusted: {reason(error)}",
        hint=f"put the CA's certificate into /etc/docker/certs.d/{host}/ca.crt, or set SSL_CERT_FILE",
    )


def reason(error: BaseException) -> str:
    """Find the innermost reason: libraries wrap the system's."""
    seen, passed = error, {id(error)}
    while (inner := seen.__cause__ or seen.__context__) is not None and id(inner) not in passed:
        seen = inner
        passed.add(id(seen))
    return str(getattr(seen, "strerror", None) or seen or type(seen).__name__)[:200]
