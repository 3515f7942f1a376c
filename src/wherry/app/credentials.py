"""Credentials tried, kept and forgotten: what `login` and `logout` share."""

from dataclasses import dataclass
from pathlib import Path

from wherry.app.network import docker_config, keyring_of
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.oci.reference import DEFAULT_REGISTRY, Reference
from wherry.registry.client import Request
from wherry.registry.keyring import FileKeyring
from wherry.settings.docker_config import Credential, DockerConfig
from wherry.store.files import cannot_write, incoming, read_regular

_LARGEST = 4 << 20


@dataclass(frozen=True, slots=True)
class _Given:
    """A keyring of one credential."""

    given: Credential

    def credential(self, registry: str, repository: str) -> Credential | None:  # noqa: ARG002 - the Protocol's signature
        return self.given


def registry_named(text: str) -> str:
    """Read a registry's name as people and old scripts write it, `https://` and `/v2/` included.

    Raises:
        InvalidUsage: it is invalid.
    """
    host = text.partition("://")[2] or text
    host = host.partition("/")[0]
    if host in {DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io"}:
        return DEFAULT_REGISTRY
    reference = Reference.parse(f"{host}/x")
    if reference.registry != host:
        raise InvalidUsage(f"{text}: not a registry", hint="give its host, such as ghcr.io or localhost:5000")
    return host


def try_out(session: Session, registry: str, credential: Credential) -> None:
    """Ask the registry whether it knows us.

    Raises:
        AccessDenied: it does not.
        RegistryError: it can't be reached.
    """
    from wherry.registry.open import Registries

    registries: Registries = session.registries.known_as(_Given(credential))
    with registries.client(registry).send(Request(method="GET", url="/v2/", what=f"login to {registry}")):
        pass


def keep(session: Session, registry: str, credential: Credential) -> str:
    """Keep a credential where docker would; say where that is."""
    path = docker_config(session)
    config = _read(path)
    if helper := config.helper(registry):
        keyring_of(session).keep(helper, registry, credential)
        _write(path, config.with_helped(registry))
        return f"password saved in docker-credential-{helper}"
    _write(path, config.with_credential(registry, credential))
    return f"password saved unencrypted in {path}; a credential helper is safer"


def forget(session: Session, registry: str) -> bool:
    """Forget a registry's credential; report whether there was one."""
    path = docker_config(session)
    config = _read(path)
    helper = config.helper(registry)
    erased = bool(helper) and FileKeyring([config], lambda: session.runner, session.environment).forget(
        helper, registry
    )
    text = config.without(registry)
    if text is not None:
        _write(path, text)
    return erased or text is not None


def _read(path: Path) -> DockerConfig:
    return DockerConfig.parse((read_regular(path.resolve(), _LARGEST) or b"").decode(), str(path))


def _write(path: Path, text: str) -> None:
    target = path.resolve()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with incoming(target.parent, target) as file:
            file.keep_private()
            file.write(text.encode())
            file.move(target, durable=True)
    except OSError as error:
        raise cannot_write(path, error) from error
