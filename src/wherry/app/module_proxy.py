"""How a checksum database is reached: through the module proxies of GOPROXY, or at its own address, by Go's rules.

Sources: go.dev/ref/mod, "Checksum database" and "GOPROXY protocol"; Go 1.26, cmd/go/internal/modfetch/sumdb.go.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from wherry.app.session import Session
from wherry.errors import InvalidSettings, WherryError
from wherry.settings.proxies import Proxies
from wherry.store.files import read_regular
from wherry.trust.checksum_database import KNOWN_KEYS, CannotAsk
from wherry.trust.note import NoteKey, WrongNoteKey
from wherry.trust.sum_cache import LARGEST_ANSWER

_GONE = frozenset({404, 410})
_OK, _MOVED = 200, frozenset({301, 302, 303, 307, 308})
_ATTEMPTS = 3
_AGAIN = 500
_HOPS = 5
_ALIAS = {"sum.golang.google.cn": "sum.golang.org https://sum.golang.google.cn"}


@dataclass(frozen=True, slots=True)
class DatabaseSetting:
    """What GOSUMDB says."""

    key: NoteKey
    url: str
    """Where it is; empty: through a proxy, or at its name."""

    @classmethod
    def parse(cls, text: str) -> "DatabaseSetting | None":
        """Read GOSUMDB; None where it is off.

        Raises:
            InvalidSettings: it is neither a known name nor a key.
        """
        words = _ALIAS.get(text.strip(), text).split()
        if words[:1] == ["off"]:
            return None
        if not 1 <= len(words) <= 2:  # noqa: PLR2004 - name or key, address
            raise InvalidSettings(f"GOSUMDB={text}: expected a name or key and perhaps a URL", hint="see go help env")
        try:
            key = NoteKey.parse(KNOWN_KEYS.get(words[0], words[0]))
        except WrongNoteKey as error:
            raise InvalidSettings(f"GOSUMDB: {error.message}", hint="set it to NAME+HASH+KEY, or unset it") from error
        if not re.fullmatch(r"[A-Za-z0-9.:-]+(/[A-Za-z0-9._~-]+)*", key.name):
            raise InvalidSettings(
                f"GOSUMDB: {key.name} is not a host name", hint="set it to NAME+HASH+KEY, or unset it"
            )
        return cls(key, words[1].rstrip("/") if len(words) > 1 else "")


@dataclass
class DatabaseClient:
    """Asks a checksum database; safe to use from several threads. It is found when it is first asked."""

    session: Session
    setting: DatabaseSetting
    proxies: str
    """GOPROXY."""
    _base: str = ""
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        from wherry.registry.network import Connections, Network

        environment = self.session.environment
        network = Network(
            proxies=Proxies.of(environment), ca_file=environment.get("SSL_CERT_FILE", ""), connections=16
        )  # fmt: skip
        self._connections = Connections(network)

    def ask(self, path: str) -> bytes | None:
        """Ask for a path below the database's root; see `checksum_database.Ask`."""
        self.session.checkpoint()
        with self._turn:
            self._base = self._base or self._found()
        return self._get(f"{self._base}/{quote(path, safe='/!@+~.-_')}")

    def close(self) -> None:
        """Close connections."""
        self._connections.close()

    def _found(self) -> str:
        """Find where the database is: GOSUMDB's URL, the first proxy that passes requests on, or its own address."""
        name = self.setting.key.name
        if self.setting.url:
            return self.setting.url
        for proxy, falls_through in proxies_of(self.proxies):
            if proxy == "off":
                raise CannotAsk("GOPROXY=off forbids to ask the checksum database", hint="set GOPROXY, or GOSUMDB=off")
            if proxy == "direct":
                break
            base = f"{proxy.rstrip('/')}/sumdb/{name}"
            try:
                if self._get(f"{base}/supported") is not None:
                    return base
            except CannotAsk:
                if not falls_through:
                    raise
        return f"https://{name}"

    def _get(self, url: str) -> bytes | None:
        if url.startswith("file://"):
            return read_regular(Path(unquote(urlsplit(url).path)), LARGEST_ANSWER)
        for _ in range(_HOPS):
            status, headers, body = self._answer(url)
            if status in _MOVED and headers.get("location", "").startswith(("https://", url.partition("//")[0])):
                url = headers["location"]
            elif status in _GONE:
                return None
            elif status == _OK:
                return body
            else:
                raise CannotAsk(f"{_host(url)}: answered {status} for {urlsplit(url).path}", hint="check GOPROXY")
        raise CannotAsk(f"{_host(url)}: too many redirects", hint="check GOPROXY")

    def _answer(self, url: str) -> tuple[int, Mapping[str, str], bytes]:
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._once(url)
            except CannotAsk:
                raise
            except (WherryError, OSError) as error:
                if attempt + 1 == _ATTEMPTS:
                    raise CannotAsk(_message(error), hint="check the network and GOPROXY, or use --offline") from error
                continue
            if answer[0] < _AGAIN or attempt + 1 == _ATTEMPTS:
                return answer
        raise AssertionError  # the last attempt returns or raises

    def _once(self, url: str) -> tuple[int, Mapping[str, str], bytes]:
        address, headers = _login(url)
        response = self._connections.send("GET", address, headers=headers, body=None)
        body = b""
        try:
            while chunk := response.read(1 << 16):
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise CannotAsk(f"{_host(url)}: the answer is longer than {LARGEST_ANSWER} bytes")
        finally:
            response.finish(0)
        return response.status, {name.lower(): value for name, value in response.headers.items()}, body


def proxies_of(text: str) -> Iterator[tuple[str, bool]]:
    """Split GOPROXY: each proxy, and whether any error of it leads to the next (`|`), or only 404 and 410 (`,`)."""
    for word, behind in re.findall(r"([^,|]+)([,|]?)", text):
        if word.strip():
            yield word.strip(), behind == "|"


def _message(error: BaseException) -> str:
    return error.message if isinstance(error, WherryError) else str(error)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _login(url: str) -> tuple[str, dict[str, str]]:
    """Take user and password out of a URL."""
    import urllib3

    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    host = parts.netloc.rpartition("@")[2]
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return parts._replace(netloc=host).geturl(), dict(urllib3.make_headers(basic_auth=pair))
