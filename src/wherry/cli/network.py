"""How registries are reached from here: the environment and the files of Docker's and podman's users."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from wherry.cli.world import World
from wherry.errors import NotPermitted
from wherry.registry.keyring import FileKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.settings.docker_config import DockerConfig
from wherry.settings.proxies import Proxies
from wherry.settings.registries_conf import RegistrySettings
from wherry.store.files import read_regular

_LARGEST = 4 << 20
T = TypeVar("T")


def registries_of(world: World, insecure: frozenset[str]) -> Registries:
    """Make a command's registries.

    Raises:
        InvalidSettings: a file says what it may not.
    """
    settings = RegistrySettings()
    for said in _settings(world):
        settings = settings.joined(said)
    named = {word for word in world.environment.get("WHERRY_INSECURE_REGISTRIES", "").split(",") if word}
    network = Network(
        proxies=Proxies.of(world.environment),
        ca_file=world.environment.get("SSL_CERT_FILE", ""),
        certificate_folders=tuple(_certificates(world)),
        insecure=settings.insecure | insecure | named,
    )
    return Registries(network, keyring_of(world), settings)


def keyring_of(world: World) -> FileKeyring:
    """Read who we are."""
    files = [_parsed(path, DockerConfig.parse) for path in (docker_config(world), *_auth_files(world))]
    return FileKeyring([file for file in files if file], world.runner, world.environment)


def docker_config(world: World) -> Path:
    """Say where Docker's `config.json` is, or would be."""
    folder = world.environment.get("DOCKER_CONFIG")
    return (Path(folder) if folder else home(world) / ".docker") / "config.json"


def home(world: World) -> Path:
    """Say where the user's own files are."""
    return Path(world.environment.get("HOME") or Path.home())


def _auth_files(world: World) -> Iterator[Path]:
    if file := world.environment.get("REGISTRY_AUTH_FILE"):
        yield Path(file)
    if folder := world.environment.get("XDG_RUNTIME_DIR"):
        yield Path(folder) / "containers" / "auth.json"
    yield _config_home(world) / "containers" / "auth.json"


def _settings(world: World) -> Iterator[RegistrySettings]:
    named = world.environment.get("CONTAINERS_REGISTRIES_CONF")
    places = (
        [Path(named)]
        if named
        else [_config_home(world) / "containers/registries.conf", Path("/etc/containers/registries.conf")]
    )
    for place in places:
        if said := _parsed(place, RegistrySettings.of_containers):
            yield said
            break
    for place in (_config_home(world) / "docker/daemon.json", Path("/etc/docker/daemon.json")):
        if said := _parsed(place, RegistrySettings.of_daemon):
            yield said


def _certificates(world: World) -> Iterator[Path]:
    yield home(world) / ".docker/certs.d"
    yield _config_home(world) / "containers/certs.d"
    yield Path("/etc/containers/certs.d")
    yield Path("/etc/docker/certs.d")


def _config_home(world: World) -> Path:
    return Path(world.environment.get("XDG_CONFIG_HOME") or home(world) / ".config")


def _parsed(path: Path, parse: Callable[[str, str], T]) -> T | None:
    """Read a file, where there is one that we may read."""
    try:
        text = read_regular(path.resolve(), _LARGEST)
    except NotPermitted:
        return None
    return None if text is None else parse(text.decode(errors="replace"), str(path))
