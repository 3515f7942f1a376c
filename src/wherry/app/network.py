"""How registries are reached: the settings of a session, and the files of Docker's and podman's users."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wherry.errors import NotFound, NotPermitted
from wherry.registry.client import Patience
from wherry.registry.keyring import FileKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.registry.pools import Waits
from wherry.settings.docker_config import DockerConfig
from wherry.settings.proxies import Proxies
from wherry.settings.registries_conf import RegistrySettings
from wherry.store.files import read_regular

if TYPE_CHECKING:
    from wherry.app.session import Session

_LARGEST = 4 << 20
T = TypeVar("T")


def registries_of(session: "Session", insecure: frozenset[str]) -> Registries:
    """Make the registries of a session.

    Raises:
        InvalidSettings: a file says what it may not.
    """
    settings = _joined_settings(session)
    patience = Patience(seconds=session.patience, notice=session.waits)
    return Registries(network_of(session, insecure), session.keyring or keyring_of(session), settings, patience)


def hasty_registries(session: "Session", patience: Patience, waits: Waits) -> Registries:
    """Make the registries of a session for what has to answer soon.

    Raises:
        InvalidSettings: a file says what it may not.
    """
    network = replace(network_of(session, frozenset(session.insecure)), waits=waits)
    return Registries(network, session.keyring or keyring_of(session), _joined_settings(session), patience)


def network_of(session: "Session", insecure: frozenset[str]) -> Network:
    """Say how hosts are reached: proxies, certificates, and which may be insecure.

    Raises:
        InvalidSettings: a file says what it may not.
    """
    named = {word for word in session.environment.get("WHERRY_INSECURE_REGISTRIES", "").split(",") if word}
    return Network(
        proxies=Proxies.of(session.environment),
        ca_file=session.environment.get("SSL_CERT_FILE", ""),
        certificate_folders=tuple(_certificates(session)),
        insecure=_joined_settings(session).insecure | insecure | named,
    )


def _joined_settings(session: "Session") -> RegistrySettings:
    settings = RegistrySettings()
    for said in _settings(session):
        settings = settings.joined(said)
    return settings


def settings_files(session: "Session") -> tuple[Path, ...]:
    """Name the files that may set mirrors and insecure or blocked hosts, whether they are there or not."""
    return (*_containers_files(session), *_daemon_files(session))


def keyring_of(session: "Session") -> FileKeyring:
    """Read the credentials of Docker's and podman's users."""
    files = [_parsed(path, DockerConfig.parse) for path in login_files(session)]
    return FileKeyring([file for file in files if file], lambda: session.runner, session.environment)


def docker_config(session: "Session") -> Path:
    """Name the place of Docker's `config.json`, whether it is there or not.

    Raises:
        NotFound: the session has no home folder.
    """
    if folder := session.environment.get("DOCKER_CONFIG"):
        return Path(folder) / "config.json"
    if session.home is None:
        raise NotFound("Docker's config.json: no home directory is set", hint="set DOCKER_CONFIG or HOME")
    return session.home / ".docker" / "config.json"


def login_files(session: "Session") -> Iterator[Path]:
    """Name the files that may hold credentials, whether they are there or not."""
    if session.home or session.environment.get("DOCKER_CONFIG"):
        yield docker_config(session)
    if file := session.environment.get("REGISTRY_AUTH_FILE"):
        yield Path(file)
    if folder := session.environment.get("XDG_RUNTIME_DIR"):
        yield Path(folder) / "containers" / "auth.json"
    yield from (folder / "containers" / "auth.json" for folder in _config_home(session))


def _settings(session: "Session") -> Iterator[RegistrySettings]:
    for place in _containers_files(session):
        if said := _parsed(place, RegistrySettings.of_containers):
            yield said
            break
    for place in _daemon_files(session):
        if said := _parsed(place, RegistrySettings.of_daemon):
            yield said


def _containers_files(session: "Session") -> list[Path]:
    if named := session.environment.get("CONTAINERS_REGISTRIES_CONF"):
        return [Path(named)]
    own = (folder / "containers/registries.conf" for folder in _config_home(session))
    return [*own, Path("/etc/containers/registries.conf")]


def _daemon_files(session: "Session") -> list[Path]:
    own = (folder / "docker/daemon.json" for folder in _config_home(session))
    return [*own, Path("/etc/docker/daemon.json")]


def _certificates(session: "Session") -> Iterator[Path]:
    if session.home:
        yield session.home / ".docker/certs.d"
    yield from (folder / "containers/certs.d" for folder in _config_home(session))
    yield Path("/etc/containers/certs.d")
    yield Path("/etc/docker/certs.d")


def _config_home(session: "Session") -> Iterator[Path]:
    """Give the folder of the user's settings, where one is known."""
    if named := session.environment.get("XDG_CONFIG_HOME"):
        yield Path(named)
    elif session.home:
        yield session.home / ".config"


def _parsed(path: Path, parse: Callable[[str, str], T]) -> T | None:
    """Read a file, where there is one that we may read."""
    try:
        text = read_regular(path.resolve(), _LARGEST)
    except NotPermitted:
        return None
    return None if text is None else parse(text.decode(errors="replace"), str(path))
