"""Who asks registries: the server's own credentials, or the pull secrets of a pod where they may be read."""

import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wherry.app.admission.judge import RegistryCredentials
from wherry.app.admission.state import mark_of
from wherry.app.network import hasty_registries, keyring_of, login_files, settings_files
from wherry.app.session import Session
from wherry.cluster.admission import AdmissionRequest
from wherry.cluster.kube_resources import SECRETS
from wherry.errors import InvalidDocument, WherryError
from wherry.registry.client import Patience
from wherry.registry.keyring import Keyring
from wherry.registry.pools import Waits
from wherry.settings.docker_config import Credential, DockerConfig

_HASTE = Patience(seconds=1.0, attempts=2)
"""A registry that asks for a longer wait is throttling, and the request is answered with that."""
_WAITS = Waits(connect=2.0, read=5.0)
_SECRET_SECONDS = 60.0
_MOST_SESSIONS = 1000
_LARGEST = 1 << 21
_CONFIG = ".dockerconfigjson"
"""The key of a Secret of type kubernetes.io/dockerconfigjson."""


@dataclass(frozen=True, slots=True)
class SessionMarks:
    """The files that a session was made of, as they were."""

    marks: Mapping[Path, object]


def server_session(given: Session) -> tuple[Session, SessionMarks]:
    """Make the session that asks registries: soon, silently, and with what the files of credentials say now.

    Raises:
        InvalidSettings: one of the files says what it may not.
    """
    marks = {path: mark_of(path) for path in (*login_files(given), *settings_files(given))}
    return _session(given, keyring_of(given)), SessionMarks(marks)


def _session(given: Session, keyring: Keyring) -> Session:
    made = Session(
        store=given.store_folder, cache=given.cache_folder, cwd=given.cwd, environment=given.environment,
        home=given.home, keyring=keyring, insecure=frozenset(given.insecure), clock=given.clock,
    )  # fmt: skip
    made.registries = hasty_registries(made, _HASTE, _WAITS)
    return made


@dataclass(frozen=True, slots=True)
class _PodKeyring:
    """The pull secrets of a pod, in their order, then the server's own credentials."""

    configs: Sequence[DockerConfig]
    own: Keyring

    def credential(self, registry: str, repository: str) -> Credential | None:
        """See `Keyring`."""
        for config in self.configs:
            if found := config.credential(registry, repository):
                return found
        return self.own.credential(registry, repository)


@dataclass
class CredentialsOfPods:
    """Gives the credentials for a request; its sessions are kept for a minute, and their connections with them."""

    session: Session
    given: Session
    pull_secrets: bool
    complain: Callable[[str, WherryError], None]
    """Is given what could not be read, by any thread."""
    _made: dict[str, tuple[float, Session]] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: AdmissionRequest) -> RegistryCredentials:
        """Say who asks for the images of a request."""
        names = request.pull_secrets() if self.pull_secrets else ()
        if not names:
            return RegistryCredentials(lambda: self.session)
        name = f"{request.namespace}/{','.join(names)}"
        return RegistryCredentials(lambda: self._of(name, request.namespace, names), name)

    def _of(self, name: str, namespace: str, secrets: Sequence[str]) -> Session:
        with self._turn:
            until, session = self._made.get(name, (0.0, self.session))
            if until > time.monotonic():
                return session
        configs = [config for secret in secrets for config in self._read(namespace, secret)]
        session = _session(self.given, _PodKeyring(configs, keyring_of(self.given))) if configs else self.session
        with self._turn:
            if len(self._made) >= _MOST_SESSIONS:
                self._made.clear()
            self._made[name] = time.monotonic() + _SECRET_SECONDS, session
        return session

    def _read(self, namespace: str, name: str) -> Iterator[DockerConfig]:
        """Read a secret; like a kubelet, go on without one that is not there."""
        from wherry.app.clusters import cluster

        try:
            found = cluster(self.given).server.find(SECRETS, namespace, name)
            data = (found or {}).get("data") or {}
            text = base64.b64decode(str(data.get(_CONFIG) or "")[:_LARGEST]).decode(errors="replace")
            yield DockerConfig.parse(text, f"Secret {namespace}/{name}")
        except WherryError as error:
            self.complain(f"pull secret {namespace}/{name}", error)
        except ValueError as error:
            self.complain(f"pull secret {namespace}/{name}", InvalidDocument(_CONFIG, str(error)))
