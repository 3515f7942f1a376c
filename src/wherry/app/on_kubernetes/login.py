"""Credentials by which pods push: those of the user for the registries of a build, under the names that pods have."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wherry.app.session import Session
from wherry.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class PodRegistries:
    """How pods name registries."""

    renamed: str = ""
    """What `[kubernetes] registry` says; empty: as here."""

    def repository(self, name: str) -> str:
        """Give the name that pods have for a repository of ours, with its tag or digest where it has one."""
        if not self.renamed:
            return name
        reference = Reference.parse(name, default_tag="")
        tag = f":{reference.tag}" if reference.tag else ""
        digest = f"@{reference.digest}" if reference.digest else ""
        return f"{self.renamed}/{reference.repository}{tag}{digest}"

    def cache(self, text: str) -> str:
        """Give the words that pods have for a cache: `NAME`, or `type=registry,ref=NAME,…`."""
        if "=" not in text:
            return self.repository(text)
        fields = (field.partition("=") for field in text.split(","))
        return ",".join(f"{key}={self.repository(value) if key == 'ref' else value}" for key, _, value in fields)

    def registry(self, name: str) -> str:
        """Give the name that pods have for the registry of a repository of ours."""
        return self.renamed or Reference.parse(name, default_tag="").registry


def login_config(session: Session, repositories: Iterable[str], named: PodRegistries) -> dict[str, Any]:
    """Write a config.json of Docker for pods; empty where this user has no credentials.

    Raises:
        AccessDenied: a helper that should know them failed.
    """
    from wherry.app.network import keyring_of

    keyring = session.keyring or keyring_of(session)
    auths: dict[str, Any] = {}
    for name in dict.fromkeys(repositories):
        reference = Reference.parse(name, default_tag="")
        found = keyring.credential(reference.registry, reference.repository)
        if found:
            plain = {"identitytoken": found.identity_token, "registrytoken": found.registry_token}
            words = f"{found.username}:{found.password}"
            entry = {key: text for key, text in plain.items() if text}
            if found.username or found.password:
                entry["auth"] = base64.b64encode(words.encode()).decode()
            auths[named.registry(name)] = entry
    return {"auths": auths} if auths else {}


def loopback_registries(repositories: Iterable[str], named: PodRegistries) -> tuple[str, ...]:
    """Name the registries that are this machine, and by that name each pod itself."""
    from wherry.settings.proxies import is_loopback

    found = dict.fromkeys(map(named.registry, repositories))
    return tuple(name for name in found if is_loopback(_host(name)))


def _host(registry: str) -> str:
    return registry.rsplit(":", 1)[0].strip("[]") if ":" in registry else registry


def insecure_for_pods(session: Session, repositories: Iterable[str], named: PodRegistries) -> tuple[str, ...]:
    """Name the registries that pods may reach by plain HTTP: those that this machine may."""
    from wherry.app.network import network_of
    from wherry.settings.proxies import is_loopback

    insecure = network_of(session, frozenset(session.insecure)).insecure
    found: dict[str, None] = {}
    for name in repositories:
        registry = Reference.parse(name, default_tag="").registry
        host = _host(registry)
        if registry in insecure or host in insecure or is_loopback(host):
            found[named.registry(name)] = None
    return tuple(found)
