"""Docker's `config.json` and podman's `auth.json`: who we are to which registry, and changing that.

Both have one format. Credentials stand in the file, base64 and not encrypted, or with a helper program that the
file names. Keys we do not know stay when the file is written.

Sources: docker/cli, cli/config/configfile/file.go and cli/config/types/authconfig.go; containers/image,
docs/containers-auth.json.5.md (keys may have a repository's path).
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from wherry.errors import InvalidSettings

HUB_KEY = "https://index.docker.io/v1/"
"""What Docker Hub's entry is called (docker/cli, registry/config.go `IndexServer`)."""
_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class Credential:
    """Who we are to a registry."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """An OAuth2 refresh token, to be exchanged for access tokens."""
    registry_token: str = field(default="", repr=False)
    """A bearer token, sent unchanged."""

    def __bool__(self) -> bool:
        """Report whether there is anything to send."""
        return bool(self.username or self.password or self.identity_token or self.registry_token)


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """One file; `parse` makes it of text."""

    auths: Mapping[str, Credential] = field(default_factory=dict)
    """By key as written: a host, a host with a path, an old URL."""
    helpers: Mapping[str, str] = field(default_factory=dict)
    """`credHelpers`: the last part of a program's name, by host."""
    store: str = ""
    """`credsStore`: the helper for every other host."""
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Read a file; an empty one is one without entries.

        Raises:
            InvalidSettings: it is not a JSON object, or an entry is invalid; the message has the key, never a secret.
        """
        if not text.strip():
            return cls()
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            where = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "not JSON"
            raise InvalidSettings(f"{name}: {where}", hint="fix it, or delete it and log in again") from error
        if not isinstance(document, dict):
            raise InvalidSettings(f"{name}: expected a JSON object", hint='write at least {"auths": {}}')
        auths = {key: _credential(entry, key, name) for key, entry in _mapping(document, "auths", name).items()}
        helpers = {key: str(value) for key, value in _mapping(document, "credHelpers", name).items()}
        return cls(auths, helpers, str(document.get("credsStore") or ""), document)

    def credential(self, registry: str, repository: str = "") -> Credential | None:
        """Find what the file itself says of a registry; the longest path that fits wins."""
        for key in keys_of(registry, repository):
            for written, credential in self.auths.items():
                if _plain(written) == _plain(key) and credential:
                    return credential
        return None

    def helper(self, registry: str) -> str:
        """Name the helper for a registry; empty where there is none."""
        for key in keys_of(registry, ""):
            if key in self.helpers:
                return self.helpers[key]
        return self.store

    def with_credential(self, registry: str, credential: Credential) -> str:
        """Write the file with one entry more."""
        pair = base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()
        entry = {"auth": pair}
        if credential.identity_token:
            entry = {"auth": base64.b64encode(f"{credential.username}:".encode()).decode()}
            entry["identitytoken"] = credential.identity_token
        return self._written({**_without(self.document.get("auths"), registry), server_of(registry): entry})

    def with_helped(self, registry: str) -> str:
        """Write the file with an empty entry, as docker does where a helper has the secret."""
        return self._written({**_without(self.document.get("auths"), registry), server_of(registry): {}})

    def without(self, registry: str) -> str | None:
        """Write the file without a registry's entries; None where it has none."""
        auths = self.document.get("auths")
        kept = _without(auths, registry)
        return None if kept == (auths or {}) else self._written(kept)

    def _written(self, auths: Mapping[str, Any]) -> str:
        return json.dumps({**self.document, "auths": auths}, indent="\t") + "\n"


def server_of(registry: str) -> str:
    """Name a registry as files and helpers do."""
    return HUB_KEY if registry in _HUB else registry


def keys_of(registry: str, repository: str) -> Iterator[str]:
    """Name the keys under which a registry's entry may stand, the most special first."""
    if registry in _HUB:
        yield HUB_KEY
    parts = repository.split("/") if repository else []
    for count in range(len(parts), 0, -1):
        yield "/".join((registry, *parts[:count]))
    yield registry


def _plain(key: str) -> str:
    """Leave out what old clients put around a host."""
    if key == HUB_KEY:
        return "docker.io"
    plain = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, path = plain.partition("/")
    host = "docker.io" if host in _HUB else host
    return f"{host}/{path}" if path and path not in {"v1", "v2"} else host


def _without(auths: Any, registry: str) -> dict[str, Any]:
    entries = auths if isinstance(auths, dict) else {}
    gone = {_plain(key) for key in keys_of(registry, "")}
    return {key: entry for key, entry in entries.items() if _plain(key) not in gone}


def _mapping(document: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise InvalidSettings(f"{name}: {key}: expected an object", hint=f"remove {key}, or log in again")
    return value


def _credential(entry: Any, key: str, name: str) -> Credential:
    if not isinstance(entry, dict):
        raise InvalidSettings(f"{name}: auths.{key}: expected an object", hint=f"log in again: wherry login {key}")
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if encoded := entry.get("auth"):
        try:
            username, colon, password = base64.b64decode(str(encoded), validate=True).decode().partition(":")
        except ValueError as error:  # binascii.Error and UnicodeDecodeError are of its kind
            raise InvalidSettings(
                f"{name}: auths.{key}.auth: not base64 of user:password", hint=f"log in again: wherry login {key}"
            ) from error
        if not colon:
            raise InvalidSettings(
                f"{name}: auths.{key}.auth: no colon between user and password",
                hint=f"log in again: wherry login {key}",
            )
    return Credential(
        username,
        password.rstrip("\0"),
        str(entry.get("identitytoken") or ""),
        str(entry.get("registrytoken") or ""),
    )
