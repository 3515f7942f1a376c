"""Verbs that make and move images: build, push, pull, copy, save, load; and a repository's tags."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.api.calls import Cancel, Hears, session_of
from wherry.app.session import Session
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.app.archives import Form, Loaded
    from wherry.app.build.options import DockerfileBuild, GoBuild
    from wherry.app.build.result import BuildResult
    from wherry.app.transfer import NamedImage
    from wherry.layer.compress import Encoding
    from wherry.store.files import ByteSink


def build(
    wanted: "GoBuild | DockerfileBuild",
    *,
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "BuildResult":
    """Build images of a Go module or a Dockerfile into the local store, check budgets, and deliver the images.

    Args:
        wanted: the build; an option that is None comes from wherry.toml, or has a default.
        session: see above.
        progress: see above.
        cancel: see above.

    Returns:
        Names and digests of the images, sizes in bytes, and the steps with their results.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: the build cannot start; the hint says what to change.
        OverBudget: an image exceeds a budget; it is in the local store, but was not delivered.
        WherryError: any other failure.
    """
    from wherry.app.build.build import build as carried_out

    return carried_out(session_of(session, progress, cancel), wanted)


def push(
    image: str,
    *names: str,
    platforms: Sequence[str] = (),
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "tuple[NamedImage, ...]":
    """Push an image from the local store, a layout or an archive to registries; existing blobs are not sent again.

    Args:
        image: its name, digest or path.
        names: destinations; none: the image's own name.
        platforms: the platforms to push, such as `linux/arm64`; empty: all.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        InvalidUsage: a name has no registry; nothing was pushed.
        NotFound: the image does not exist, or does not have these platforms.
        AccessDenied, RegistryError: a registry refused a push; earlier pushes are complete.
    """
    from wherry.app.transfer import push as carried_out

    own = session_of(session, progress, cancel)
    return carried_out(own, image, names, platforms=_platforms(platforms), progress=own.progress)


def pull(
    name: str,
    *,
    tag: str = "",
    platforms: Sequence[str] = (),
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "NamedImage":
    """Pull an image from a registry into the local store; an interrupted download is resumed.

    Args:
        name: the image, such as `debian:12` or `localhost:5000/api@sha256:…`.
        tag: name in the local store; empty: the same name.
        platforms: the platforms to pull; empty: all.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        InvalidReference: the name is invalid.
        NotFound, AccessDenied, RegistryError: the image does not exist, access is denied, or the registry fails.
    """
    from wherry.app.transfer import pull as carried_out

    own = session_of(session, progress, cancel)
    return carried_out(own, name, tag=tag, platforms=_platforms(platforms), progress=own.progress)


def copy(  # noqa: PLR0913 - each is named
    source: str,
    target: str,
    *,
    platforms: Sequence[str] = (),
    encoding: "Encoding | None" = None,
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "NamedImage":
    """Copy an image between registries, the local store, layout folders and archives.

    Args:
        source: a name (`localhost:5000/api:dev`, `store:api:dev`), a layout (`oci:DIR:NAME`, `./DIR`) or an archive.
        target: the same.
        platforms: the platforms to copy; empty: all.
        encoding: compress the layers again, which changes the digest; None: leave them unchanged.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        WherryError: the copy failed; no name points to an incomplete image.
    """
    from wherry.app.transfer import copy as carried_out

    own = session_of(session, progress, cancel)
    return carried_out(own, source, target, platforms=_platforms(platforms), encoding=encoding, progress=own.progress)


def save(
    images: Sequence[str],
    to: "Path | ByteSink",
    *,
    form: "Form" = "oci",
    platform: str = "",
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "tuple[NamedImage, ...]":
    """Write images from the local store to an archive, a stream, or an existing layout directory.

    Args:
        images: names or digests in the store.
        to: a directory gets a layout, any other path or a stream gets an archive.
        form: `oci`, or `docker` for any `docker load`, with one platform.
        platform: the platform to save of a multi-platform image; empty: all.
        session: see above.
        cancel: see above.

    Raises:
        NotFound: an image does not exist; nothing was written.
        InvalidUsage: the images do not fit into the form.
    """
    from wherry.app.archives import save as carried_out

    return carried_out(session_of(session, None, cancel), images, to, form=form, platform=platform)


def load(path: Path, *, name: str = "", session: Session | None = None, cancel: Cancel | None = None) -> "Loaded":
    """Load the images of an archive or a layout directory into the local store.

    Args:
        path: a layout directory, an OCI archive, or output of `docker save`; gzip and zstd are decompressed.
        name: name for the only image in it; empty: the name in the archive.
        session: see above.
        cancel: see above.

    Raises:
        NotFound, InvalidDocument, InvalidUsage: the path does not exist, is not an archive, or `name` is given for
            several images.
    """
    from wherry.app.archives import load as carried_out

    return carried_out(session_of(session, None, cancel), path, name=name)


def tags(
    repository: str, *, digests: bool = False, session: Session | None = None, cancel: Cancel | None = None
) -> dict[str, str]:
    """List the tags of a repository.

    Args:
        repository: such as `localhost:5000/api`.
        digests: resolve each tag to its digest, with one request for each; else digests are empty.
        session: see above.
        cancel: see above.

    Raises:
        NotFound, AccessDenied, RegistryError: the registry's answer.
    """
    from wherry.app.transfer import tags as carried_out

    return carried_out(session_of(session, None, cancel), repository, digests=digests)


def _platforms(texts: Sequence[str]) -> tuple[Platform, ...]:
    return tuple(map(Platform.parse, texts))
