"""Mirrors and insecure hosts, from the files that other tools' users have written already.

Sources: containers/image, docs/containers-registries.conf.5.md (version 2); docker/docs, dockerd's `daemon.json`
(`registry-mirrors`, which stand for Docker Hub, and `insecure-registries`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from wherry.errors import InvalidSettings

_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What is said of registries."""

    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Places to read from first, by a registry or a prefix of its repositories; such as `mirror.example/hub`."""
    insecure: frozenset[str] = frozenset()
    """Hosts with plain HTTP or unchecked certificates allowed."""
    blocked: frozenset[str] = frozenset()
    """Prefixes that nothing may be read from or written to."""

    @classmethod
    def of_daemon(cls, text: str, name: str) -> Self:
        """Read dockerd's `daemon.json`.

        Raises:
            InvalidSettings: it is not a JSON object.
        """
        try:
            document = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            raise InvalidSettings(f"{name}: not JSON: {error}", hint="fix it; dockerd can't read it either") from error
        if not isinstance(document, dict):
            raise InvalidSettings(f"{name}: expected a JSON object", hint="fix it")
        mirrors = tuple(_place(str(url)) for url in document.get("registry-mirrors") or ())
        insecure = {_place(str(url)) for url in document.get("insecure-registries") or ()}
        insecure |= {_place(str(url)) for url in document.get("registry-mirrors") or () if str(url).startswith("http:")}
        return cls({_HUB: mirrors} if mirrors else {}, frozenset(word for word in insecure if "/" not in word))

    @classmethod
    def of_containers(cls, text: str, name: str) -> Self:
        """Read `registries.conf`, version 2.

        Raises:
            InvalidSettings: it is not TOML, or of another shape.
        """
        import tomllib  # most machines have no such file

        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidSettings(f"{name}: {error}", hint="fix it; podman can't read it either") from error
        mirrors: dict[str, tuple[str, ...]] = {}
        insecure, blocked = set(), set()
        for entry in _tables(document.get("registry"), name):
            prefix = str(entry.get("prefix") or entry.get("location") or "")
            location = str(entry.get("location") or prefix)
            own = list(_tables(entry.get("mirror"), name))
            places = [str(mirror.get("location") or "") for mirror in own]
            if location != prefix:
                places.append(location)
            mirrors[prefix] = tuple(place for place in places if place)
            insecure |= {_host(str(one.get("location") or prefix)) for one in (entry, *own) if one.get("insecure")}
            if entry.get("blocked"):
                blocked.add(prefix)
        return cls({key: value for key, value in mirrors.items() if value}, frozenset(insecure), frozenset(blocked))

    def joined(self, other: "RegistrySettings") -> "RegistrySettings":
        """Add what another file says; of two words on one prefix, ours comes first."""
        mirrors = {
            key: (*self.mirrors.get(key, ()), *other.mirrors.get(key, ())) for key in {**self.mirrors, **other.mirrors}
        }
        return RegistrySettings(mirrors, self.insecure | other.insecure, self.blocked | other.blocked)

    def places(self, name: str) -> Iterator[str]:
        """Name where a repository is read from before its own place, such as `mirror.example/hub/library/debian`.

        Args:
            name: registry and repository.
        """
        for prefix in sorted(self.mirrors, key=len, reverse=True):
            if name == prefix or name.startswith(prefix + "/"):
                yield from (place + name[len(prefix) :] for place in self.mirrors[prefix])
                return

    def is_blocked(self, name: str) -> bool:
        """Report whether a repository may not be touched."""
        return any(name == prefix or name.startswith(prefix + "/") for prefix in self.blocked)


def _tables(value: Any, name: str) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InvalidSettings(
            f"{name}: expected [[registry]] tables; version 1 of the format is not supported",
            hint="write it in version 2, see containers-registries.conf(5)",
        )
    return value


def _place(url: str) -> str:
    return url.partition("://")[2].strip("/") if "://" in url else url.strip("/")


def _host(location: str) -> str:
    return location.partition("/")[0]
