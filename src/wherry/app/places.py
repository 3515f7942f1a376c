"""What people call an image, and where one can go: the local store, a registry, a layout, an archive."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from wherry.app.session import Session
from wherry.errors import InvalidSettings, InvalidUsage, NotFound
from wherry.oci.reference import DEFAULT_REGISTRY, SCHEME, Reference, names_registry
from wherry.store.find import Located, locate

TOML = "wherry.toml"
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst")


class Transport(StrEnum):
    """The kinds of places, by skopeo's names."""

    STORE = "store"
    REGISTRY = "docker"
    LAYOUT = "oci"
    ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere that an image can go."""

    kind: Transport
    name: str
    """A reference, or a path."""
    tag: str = ""
    """For a layout or an archive: what the image is called there."""


def find(session: Session, name: str) -> Located:
    """Find an image to read.

    Args:
        session: where.
        name: what `locate` takes; where that has none, or after `docker://`, a reference to a registry. `oci:PATH`,
            `oci-archive:PATH` and `docker-archive:PATH` are taken too, `store:NAME` is the local store only, and
            `docker-daemon:NAME` is what the local Docker, Podman or containerd has.

    Raises:
        NotFound, RegistryError, InvalidReference: there is none.
    """
    if name.startswith(SCHEME):
        return _remote(session, name.removeprefix(SCHEME))
    kind, colon, rest = name.partition(":")
    if colon and kind in {"oci", "oci-archive", "docker-archive"} and not (session.cwd / name).exists():
        path = rest if rest.startswith(("/", "./", "../")) else f"./{rest}"
        return replace(locate(path, session.store, session.cwd), name=name)
    if colon and kind == "docker-daemon":
        return _in_daemon(session, name, rest)
    if colon and kind == "store":
        return Located(rest, session.store, session.store.resolve(rest))
    try:
        return locate(name, session.store, session.cwd)
    except NotFound:
        if not names_registry(name) or name.startswith((".", "/")):
            raise
    return _remote(session, name)


def _in_daemon(session: Session, name: str, image: str) -> Located:
    """Have a daemon save an image, from whichever store it keeps it in, to a file that goes when it is closed."""
    from tempfile import TemporaryDirectory

    from wherry.app.network import docker_config
    from wherry.daemon.find import find_daemon
    from wherry.store.archive import ArchiveSource

    if not image or image.startswith("-"):
        raise InvalidUsage(f"{name}: no name of an image", hint="write it as docker-daemon:NAME")
    daemon = find_daemon(session.runner, session.environment, docker_config(session).parent)
    with TemporaryDirectory(prefix="wherry-") as folder:
        archive = Path(folder) / "image.tar"
        daemon.save(image, archive)
        source = ArchiveSource(archive, shown=name)
        roots = {root.digest: root for root in source.roots().values()}
    if len(roots) != 1:
        raise NotFound(f"{name}: {daemon.name} saved {len(roots)} images", hint="give a name with its tag")
    return Located(name, source, next(iter(roots.values())))


def _remote(session: Session, text: str) -> Located:
    reference = Reference.parse(text)
    source = session.registries.source(reference)
    return Located(str(reference), source, source.resolve(str(reference.digest or reference.tag)))


def target_of(text: str) -> Place:
    """Parse the destination of an image.

    `docker://`, or a name with a registry in it, is a registry; a path is an archive if it ends as one, else a layout
    folder; any other name is the local store's.

    Raises:
        InvalidUsage, InvalidReference: it is not a place.
    """
    if text.startswith(SCHEME):
        return Place(Transport.REGISTRY, text.removeprefix(SCHEME))
    kind, colon, rest = text.partition(":")
    if colon and kind in set(Transport) - {Transport.REGISTRY}:
        return Place(Transport.STORE, rest) if kind == Transport.STORE else _in_path(Transport(kind), rest)
    if text.startswith(("/", "./", "../")) or text.endswith(_ARCHIVES):
        return _in_path(Transport.ARCHIVE if text.endswith(".tar") else Transport.LAYOUT, text)
    return Place(Transport.REGISTRY if names_registry(text) else Transport.STORE, text)


def _in_path(kind: Transport, text: str) -> Place:
    path, colon, tag = text.partition(":")
    if kind is Transport.LAYOUT and path.endswith(_ARCHIVES):
        raise InvalidUsage(f"{text}: compressed archives are not supported", hint="give a file name that ends in .tar")
    if not path:
        raise InvalidUsage(f"{kind}:{text}: no path", hint=f"write it as {kind}:PATH[:NAME]")
    return Place(kind, str(Path(path)), tag if colon else "")


def pushable(text: str) -> Reference:
    """Parse a name to push to.

    Raises:
        InvalidUsage: it names no registry, so that it would be one of Docker Hub's own images; or it has a digest.
    """
    reference = Reference.parse(text.removeprefix(SCHEME))
    if reference.digest:
        raise InvalidUsage(f"{text}: cannot push to a digest", hint=f"give a tag: {reference.name}:TAG")
    if reference.registry == DEFAULT_REGISTRY and reference.repository.startswith("library/"):
        raise InvalidUsage(
            f"{text}: no registry given, and the official images of Docker Hub cannot be pushed to",
            hint=f"give one, such as localhost:5000/{reference.name}:{reference.tag} or docker.io/YOU/{reference.name}",
        )
    return reference


def toml_folder(cwd: Path, paths: Sequence[str]) -> Path | None:
    """Find the folder of the wherry.toml that counts, up to the one with go.mod; None: there is none.

    Raises:
        InvalidSettings: it is no file, so that it is unknown what it would have asked for.
    """
    start = Path(os.path.realpath(cwd / (paths[0] if paths else ".")))
    if paths and not start.is_dir():
        start = Path(os.path.realpath(cwd))
    for folder in (start, *start.parents):
        if (folder / TOML).is_file():
            return folder
        if (folder / TOML).is_dir():
            raise InvalidSettings(f"{folder / TOML}: is a directory", hint="make it a file, or rename it")
        if (folder / "go.mod").is_file():
            return None
    return None
