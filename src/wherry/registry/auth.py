"""Getting in: basic credentials and bearer tokens, asked for when a registry asks for them.

Credentials go to the registry they are for and to the realm that it names, over TLS wherever the registry itself is
reached over TLS. Tokens are kept for as long as they hold, by what they allow.

Sources: distribution, docs/spec/auth/token.md and oauth.md (bearer tokens); RFC 7617 (basic).
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from wherry.registry.challenge import Challenge
from wherry.registry.errors import AccessDenied, refusal
from wherry.registry.keyring import Keyring
from wherry.registry.urls import resolve
from wherry.settings.docker_config import Credential

_SHORTEST = 60
"""Seconds a token holds where nothing is said (token.md, `expires_in`)."""
_EARLY = 10
"""Seconds before its end that a token is no longer used."""
_CLIENT = "wherry"
_OK = 200


class Ask(Protocol):
    """Sends a request without its own credentials; returns status and body."""

    def __call__(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None) -> tuple[int, bytes]:
        """Send it."""


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    until: float


class Authority:
    """Knows what to send to one registry."""

    def __init__(
        self,
        registry: str,
        keyring: Keyring,
        ask: Ask,
        *,
        secure: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._keyring = keyring
        self._ask = ask
        self._secure = secure
        self._monotonic = monotonic
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._basic: dict[str, str] = {}
        self._realm: Challenge | None = None
        self._turn = threading.RLock()

    def header(self, scopes: Sequence[str]) -> str | None:
        """Give the header for a request, as far as it is known by now."""
        repository = _repository(scopes)
        if repository in self._basic:
            return self._basic[repository]
        token = self._tokens.get(tuple(scopes))
        if token and token.until > self._monotonic():
            return token.header
        return self._bearer(self._realm, scopes) if self._realm else None

    def known(self, scopes: Sequence[str]) -> bool:
        """Report whether we have a name to this registry, or go without one."""
        return self._keyring.credential(self._registry, _repository(scopes)) is not None

    def answer(self, offered: Sequence[Challenge], scopes: Sequence[str], sent: str | None) -> str | None:
        """Give the header that a 401 asks for; None where there is nothing that was not tried already.

        Args:
            offered: the challenges of the answer.
            scopes: what the request needs.
            sent: the header that was refused.

        Raises:
            AccessDenied: the token service is not allowed, or it refuses.
        """
        with self._turn:
            for challenge in offered:
                if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                    return self._again(challenge, scopes, sent)
            if any(challenge.scheme == "basic" for challenge in offered):
                header = self._basic_header(_repository(scopes))
                return header if header != sent else None
        return None

    def _again(self, challenge: Challenge, scopes: Sequence[str], sent: str | None) -> str | None:
        token = self._tokens.get(tuple(scopes))
        if token and token.header != sent and token.until > self._monotonic():
            return token.header  # another thread was here while we waited
        self._tokens.pop(tuple(scopes), None)
        self._realm = challenge
        header = self._bearer(challenge, scopes)
        return header if header != sent else None

    def _basic_header(self, repository: str) -> str | None:
        credential = self._keyring.credential(self._registry, repository)
        if credential is None or not credential.username:
            return None
        self._basic[repository] = basic(credential)
        return self._basic[repository]

    def _bearer(self, challenge: Challenge, scopes: Sequence[str]) -> str:
        with self._turn:
            token = self._tokens.get(tuple(scopes))
            if token is None or token.until <= self._monotonic():
                token = self._tokens[tuple(scopes)] = self._fetch(challenge, scopes)
            return token.header

    def _fetch(self, challenge: Challenge, scopes: Sequence[str]) -> _Token:
        realm = challenge.parameters["realm"]
        self._check_realm(realm)
        credential = self._keyring.credential(self._registry, _repository(scopes))
        if credential and credential.registry_token:
            return _Token(f"Bearer {credential.registry_token}", float("inf"))
        service = challenge.parameters.get("service", "")
        if credential and credential.identity_token:
            status, body = self._exchange(realm, service, scopes, credential)
        else:
            status, body = self._plain(realm, service, scopes, credential)
        if status != _OK:
            what = f"token for {', '.join(scopes) or self._registry}"
            raise refusal(what, status, body, registry=urlsplit(realm).netloc, known=credential is not None)
        return self._token(body, realm)

    def _plain(
        self, realm: str, service: str, scopes: Sequence[str], credential: Credential | None
    ) -> tuple[int, bytes]:
        words = [("service", service)] * bool(service) + [("scope", scope) for scope in scopes]
        if credential and credential.username:
            words.append(("account", credential.username))
        joint = "&" if "?" in realm else "?"
        headers = {"Authorization": basic(credential)} if credential and credential.username else {}
        return self._ask("GET", f"{realm}{joint}{urlencode(words)}", headers=headers, body=None)

    def _exchange(self, realm: str, service: str, scopes: Sequence[str], credential: Credential) -> tuple[int, bytes]:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": credential.identity_token,
            "service": service,
            "scope": " ".join(scopes),
            "client_id": _CLIENT,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", realm, headers=headers, body=urlencode(form).encode())

    def _token(self, body: bytes, realm: str) -> _Token:
        try:
            document = json.loads(body)
            token = document.get("token") or document.get("access_token")
            seconds = float(document.get("expires_in") or _SHORTEST)
        except (ValueError, AttributeError, TypeError, RecursionError):
            token, seconds = None, 0.0
        if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
            raise AccessDenied(
                f"{self._registry}: the token service {urlsplit(realm).netloc} returned no token",
                hint="contact the registry's operator; its token service is broken",
            )
        return _Token(f"Bearer {token}", self._monotonic() + max(seconds - _EARLY, _EARLY))

    def _check_realm(self, realm: str) -> None:
        parts = urlsplit(resolve("", realm, self._registry))
        if parts.scheme not in {"https", "http"} or not parts.hostname or (self._secure and parts.scheme == "http"):
            raise AccessDenied(
                f"{self._registry}: its token service {realm[:200]!r} would receive credentials unencrypted",
                hint="no credentials were sent; contact the registry's operator",
            )


def basic(credential: Credential) -> str:
    """Write a name and a password as a header."""
    import binascii

    return (
        "Basic " + binascii.b2a_base64(f"{credential.username}:{credential.password}".encode(), newline=False).decode()
    )


def _repository(scopes: Sequence[str]) -> str:
    """Name the repository of the first scope, `repository:NAME:ACTIONS`."""
    return scopes[0].split(":")[1] if scopes and scopes[0].count(":") >= 2 else ""  # noqa: PLR2004 - its three parts
