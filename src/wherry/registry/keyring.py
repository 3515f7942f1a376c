"""Who we are to which registry: Docker's and podman's files, and the helper programs that they name.

Source: docker/docker-credential-helpers, README "Development" (the helpers' protocol).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wherry.errors import HostUnable
from wherry.registry.errors import AccessDenied
from wherry.settings.docker_config import Credential, DockerConfig, server_of

if TYPE_CHECKING:
    from wherry.host.process import Outcome, Runner

_TOKEN_USER = "<token>"  # noqa: S105 - the helpers' word for "the secret is an identity token"
_ABSENT = "credentials not found"


class Keyring(Protocol):
    """A source of credentials."""

    def credential(self, registry: str, repository: str) -> Credential | None:
        """Give what to say to a registry; None to go without.

        Raises:
            AccessDenied: a helper that should know failed.
        """


class NoKeyring:
    """Goes everywhere without a name; the fake of `FileKeyring`."""

    def credential(self, registry: str, repository: str) -> Credential | None:  # noqa: ARG002 - the Protocol's signature
        """Give nothing."""
        return None


@dataclass
class FileKeyring:
    """Credentials from files, in order; each helper is asked once for a registry."""

    files: Sequence[DockerConfig]
    runner: "Callable[[], Runner]"
    """Gives what starts helpers; most users have none."""
    environment: Mapping[str, str]
    _asked: dict[tuple[str, str], Credential | None] = field(default_factory=dict)

    def credential(self, registry: str, repository: str) -> Credential | None:
        """See `Keyring.credential`."""
        for file in self.files:
            helper = file.helper(registry)
            found = self._from_helper(helper, registry) if helper else None
            if found := found or file.credential(registry, repository):
                return found
        return None

    def _from_helper(self, helper: str, registry: str) -> Credential | None:
        key = helper, registry
        if key not in self._asked:
            self._asked[key] = _told(self._run(helper, "get", server_of(registry)), helper, registry)
        return self._asked[key]

    def keep(self, helper: str, registry: str, credential: Credential) -> None:
        """Give a helper a credential to keep.

        Raises:
            AccessDenied: it would not.
        """
        document = {
            "ServerURL": server_of(registry),
            "Username": _TOKEN_USER if credential.identity_token else credential.username,
            "Secret": credential.identity_token or credential.password,
        }
        done = self._run(helper, "store", json.dumps(document))
        if done.returncode:
            raise _failed(helper, registry, done)

    def forget(self, helper: str, registry: str) -> bool:
        """Have a helper forget a credential; report whether it had one."""
        return self._run(helper, "erase", server_of(registry)).returncode == 0

    def _run(self, helper: str, verb: str, words: str) -> "Outcome":
        from wherry.host.process import Command, which

        program = f"docker-credential-{helper}"
        found = which(program, self.environment.get("PATH", ""))
        if found is None:
            raise HostUnable(
                f"{program}: not on PATH, but Docker's config names it as a credential helper",
                hint=f"install {program}, or remove it from credsStore and credHelpers",
            )
        return self.runner().run(Command((found, verb), Path("/"), self.environment, stdin=words.encode()))


def _told(done: "Outcome", helper: str, registry: str) -> Credential | None:
    if done.returncode:
        if _ABSENT in f"{done.stdout!r}{done.stderr!r}":
            return None
        raise _failed(helper, registry, done)
    try:
        document = json.loads(done.stdout)
        username, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise AccessDenied(
            f"docker-credential-{helper}: its answer for {registry} is not JSON with Username and Secret",
            hint="run `docker-credential-" + helper + " get` to see the problem",
        ) from error
    return Credential(identity_token=secret) if username == _TOKEN_USER else Credential(username, secret)


def _failed(helper: str, registry: str, done: "Outcome") -> AccessDenied:
    said = done.words.splitlines()
    return AccessDenied(
        f"docker-credential-{helper}: {registry}: {said[0][:300] if said else f'exit code {done.returncode}'}",
        hint="log in again with the credential helper's tool",
    )
