"""One registry: where it is, what it wants of us, and requests that are tried again where that helps.

Sources: OCI distribution-spec v1.1.1, "API"; RFC 9110, sections 10.2.3 (Retry-After) and 15.4 (redirects).
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urljoin, urlsplit

from wherry.counted import counted
from wherry.oci.reference import API_HOSTS
from wherry.registry.auth import Authority
from wherry.registry.challenge import challenges
from wherry.registry.errors import AccessDenied, LoggedOut, RegistryBusy, RegistryError, refusal, words_of
from wherry.registry.keyring import Keyring
from wherry.registry.network import Connections
from wherry.registry.pools import CutOff, RawAnswer, translated
from wherry.registry.urls import resolve
from wherry.settings.proxies import is_loopback

ATTEMPTS = 5
"""Times one thing is asked for."""
_SILENT = 1.0
"""Seconds up to which nothing is said of a wait."""
_REDIRECTS = 5
_ERROR_BODY = 16 * 1024
"""Bytes of an error's body that are read."""
_UNAUTHORIZED, _BAD_REQUEST = 401, 400
_MOVED = frozenset({301, 302, 303, 307, 308})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing asked of a registry."""

    method: str
    url: str
    """Whole, or a path of the registry's."""
    what: str
    """It in words; starts the message if it fails."""
    ok: frozenset[int] = frozenset({200})
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent twice: a stream can't."""
        return self.body is None or isinstance(self.body, bytes)


class Answer:
    """The head of an answer, and its body as it comes; leaving the `with` block lets go of the connection."""

    def __init__(self, response: RawAnswer, url: str) -> None:
        self._response = response
        self.url = url
        """Where it came from, after redirects."""
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def length(self) -> int | None:
        """Bytes that the body is said to have; None where nothing is said."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            CutOff: it ended too early.
        """
        with translated(urlsplit(self.url).netloc):
            while chunk := self._response.read(size):
                yield chunk

    def head(self, limit: int) -> bytes:
        """Read the body, up to so many bytes.

        Raises:
            CutOff: it ended too early.
        """
        body = b""
        with translated(urlsplit(self.url).netloc):
            while len(body) < limit and (chunk := self._response.read(limit - len(body))):
                body += chunk
        return body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep the connection where the body was read to its end, or its rest is short; else close it."""
        self._response.finish(_ERROR_BODY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long requests wait for a registry that asks them to come back later, and where that is reported."""

    seconds: float = 120.0
    """In all for one request; one that would take longer fails at once."""
    notice: Callable[[str], None] = field(default=lambda _: None)
    attempts: int = ATTEMPTS
    """Times one thing is asked for."""


class Client:
    """Speaks with one registry."""

    def __init__(
        self,
        registry: str,
        connections: Connections,
        keyring: Keyring,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry = registry
        self._patience = patience or Patience()
        self._told_until = 0.0
        self._telling = threading.Lock()
        self._connections = connections
        self._keyring = keyring
        self._sleep = sleep
        self._monotonic = monotonic
        self._made: Authority | None = None
        self._root = ""
        self._turn = threading.Lock()

    @property
    def root(self) -> str:
        """Scheme and host. TLS, but for this machine itself and hosts that are called insecure, which are tried."""
        self._authority()
        return self._root

    def send(self, request: Request) -> Answer:
        """Ask; where it makes sense, ask again.

        Raises:
            AccessDenied, NotInRegistry, RegistryError: the registry's no, in its words.
            LoggedOut, RegistryBusy: of a stream, which was sent once only; the sender may send another.
            CutOff: the connection broke, each time.
        """
        waited, asked = 0.0, ""
        for attempt in range(1, self._patience.attempts + 1):
            try:
                answer = self._authorized(request)
            except CutOff:
                if attempt == self._patience.attempts or not request.repeatable:
                    raise
                self._sleep(_pause(attempt, None))
                continue
            if answer.status in request.ok:
                return answer
            with answer:
                body = answer.head(_ERROR_BODY)
            if answer.status not in _AGAIN or not request.repeatable or attempt == self._patience.attempts:
                break
            asked = answer.headers.get("Retry-After", "")
            seconds = _pause(attempt, asked)
            if waited + seconds > self._patience.seconds:
                break
            self._wait(seconds, answer.status, body)
            waited += seconds
        error = self._refusal(request, answer.status, body or self._words(request, answer.status))
        if answer.status in _AGAIN and isinstance(error, RegistryError):
            raise self._busy(error.message, answer.status, answer.headers.get("Retry-After", ""))
        raise error

    def rest(self, attempt: int, failure: Exception) -> None:
        """Wait between a failure and the next attempt, as long as the registry said.

        Args:
            attempt: the number of the one that failed, from 1.
            failure: what `send` raised.

        Raises:
            RegistryBusy: the failure itself, where the registry asks for a longer wait than is allowed.
        """
        if isinstance(failure, LoggedOut):
            return
        asked = failure.retry_after if isinstance(failure, RegistryBusy) else ""
        seconds = _pause(attempt, asked)
        if seconds > self._patience.seconds:
            raise failure
        if asked:
            self._say(seconds, str(failure).partition(" answers ")[2] or "busy")
        self._sleep(seconds)

    def _wait(self, seconds: float, status: int, body: bytes) -> None:
        self._say(seconds, f"{status}: {'; '.join(words_of(body)) or 'no reason given'}")
        self._sleep(seconds)

    def _say(self, seconds: float, words: str) -> None:
        """Report a wait, once for all requests that wait at the same time."""
        until = self._monotonic() + seconds
        with self._telling:
            if seconds <= _SILENT or until <= self._told_until + _SILENT:
                return
            self._told_until = until
        self._patience.notice(f"waiting {seconds:.0f} s for {self.registry}, which answers {words}")

    def _busy(self, message: str, status: int, retry_after: str) -> RegistryBusy:
        told = _told(retry_after)
        if told is None or told <= self._patience.seconds:
            hint = f"gave up after {counted(self._patience.attempts, 'attempt')}; run it again later"
        else:
            message += f"; it asks to wait {told:.0f} s, and at most {self._patience.seconds:.0f} s are waited for it"
            hint = f"run it again then, or wait for it with --timeout {told + 1:.0f}s"
        return RegistryBusy(message, hint=hint, retry_after=retry_after, status=status)

    def _words(self, request: Request, status: int) -> bytes:
        """Ask with GET what a HEAD was refused for: an answer to HEAD has no body."""
        if request.method != "HEAD":
            return b""
        try:
            with self._authorized(replace(request, method="GET")) as answer:
                return answer.head(_ERROR_BODY) if answer.status == status else b""
        except (RegistryError, AccessDenied):
            return b""

    def _refusal(self, request: Request, status: int, body: bytes) -> Exception:
        return refusal(request.what, status, body, registry=self.registry, known=self._known(request.scopes))

    def _known(self, scopes: Sequence[str]) -> bool:
        return self._authority().known(scopes)

    def _authorized(self, request: Request) -> Answer:
        """Send with what the registry wants to see; learn it from its 401 first.

        What another host asks for is not ours to give: its realm would be shown our password.
        """
        authority = self._authority()
        sent = authority.header(request.scopes)
        answer = self._followed(request, sent)
        if answer.status != _UNAUTHORIZED or origin(answer.url) != origin(self.root):
            return answer
        offered = challenges(_all(answer, "WWW-Authenticate"))
        try:
            header = authority.answer(offered, request.scopes, sent)
        except BaseException:
            with answer:  # nothing reads it any more
                raise
        if header is None:
            return answer
        with answer:
            body = answer.head(_ERROR_BODY)
        if not request.repeatable:
            error = self._refusal(request, answer.status, body)
            raise LoggedOut(str(error), hint=getattr(error, "hint", ""))
        return self._followed(request, header)

    def _followed(self, request: Request, authorization: str | None) -> Answer:
        """Send, and follow redirects of what only reads; another host never sees who we are."""
        url = urljoin(self.root, request.url)
        for _ in range(_REDIRECTS + 1):
            headers = {"User-Agent": "wherry", **request.headers}
            if authorization and origin(url) == origin(self.root):
                headers["Authorization"] = authorization
            answer = Answer(self._connections.send(request.method, url, headers=headers, body=request.body), url)
            target = answer.headers.get("Location")
            if answer.status not in _MOVED or not target or request.method not in {"GET", "HEAD"}:
                return answer
            with answer:
                url = self._checked(resolve(url, target, self.registry), url)
        raise RegistryError(
            f"{request.what}: {self.registry} redirects more than {_REDIRECTS} times",
            hint="contact the registry's operator",
        )

    def _checked(self, target: str, before: str) -> str:
        new, old = urlsplit(target), urlsplit(before)
        if new.scheme not in {"http", "https"} or not new.hostname or (old.scheme, new.scheme) == ("https", "http"):
            raise RegistryError(
                f"{self.registry}: redirects to {target[:200]!r}, which is less safe than {old.scheme}",
                hint="nothing was sent there; contact the registry's operator",
            )
        return target

    def _authority(self) -> Authority:
        with self._turn:
            if self._made is None:
                self._root = self._find()
                self._made = Authority(
                    self.registry,
                    self._keyring,
                    self._ask,
                    secure=self._root.startswith("https:"),
                    monotonic=self._monotonic,
                )
            return self._made

    def _find(self) -> str:
        host = API_HOSTS.get(self.registry, self.registry)
        insecure = host in self._connections.network.insecure
        if is_loopback(urlsplit(f"//{host}").hostname or ""):
            order = ("http", "https")
        elif insecure:
            order = ("https", "http")
        else:
            return f"https://{host}"
        if self._speaks(f"{order[0]}://{host}"):
            return f"{order[0]}://{host}"
        return f"{order[1]}://{host}"

    def _speaks(self, root: str) -> bool:
        """Check, without credentials, whether the host speaks this scheme; a TLS server answers plain HTTP with 400."""
        try:
            response = self._connections.send("GET", f"{root}/v2/", headers={"User-Agent": "wherry"}, body=None)
        except CutOff:
            return False
        except RegistryError:
            if root.startswith("http:"):
                raise
            return False
        with Answer(response, root) as answer:
            return answer.status != _BAD_REQUEST

    def _ask(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None) -> tuple[int, bytes]:
        """Ask a realm for a token; it is tried again, and never redirected with credentials."""
        for attempt in range(1, self._patience.attempts + 1):
            try:
                sent = {"User-Agent": "wherry", **headers}
                with Answer(self._connections.send(method, url, headers=sent, body=body), url) as answer:
                    body_read = answer.head(1 << 20)
                    wait = _pause(attempt, answer.headers.get("Retry-After"))
                    if (
                        answer.status not in _AGAIN
                        or attempt == self._patience.attempts
                        or wait > self._patience.seconds
                    ):
                        return answer.status, body_read
                    self._say(wait, f"{answer.status}: {'; '.join(words_of(body_read)) or 'no reason given'}")
            except CutOff:
                if attempt == self._patience.attempts:
                    raise
                wait = _pause(attempt, None)
            self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")


def origin(url: str) -> tuple[str, str, int | None]:
    """Name what decides who is at the other end: scheme, host and port."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or default


def _all(answer: Answer, name: str) -> list[str]:
    getlist = getattr(answer.headers, "getlist", None)
    return getlist(name) if getlist else [answer.headers.get(name, "")]


def _pause(attempt: int, retry_after: str | None) -> float:
    """Say how many seconds to wait before the next attempt."""
    told = _told(retry_after or "")
    if told is not None:
        return max(told, 0.0)
    import random

    return 0.2 * 2.0**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - it spreads clients, it guards nothing


def _told(text: str) -> float | None:
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    from email.utils import parsedate_to_datetime  # slow to load, and seldom needed

    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError):
        return None
