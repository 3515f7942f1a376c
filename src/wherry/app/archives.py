"""Images of the local store to archives and layouts, and back: save, load."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wherry.app.session import Session
from wherry.app.transfer import NamedImage
from wherry.errors import InvalidUsage
from wherry.oci.descriptor import Descriptor
from wherry.platform import Platform
from wherry.store.disk import DiskStore

if TYPE_CHECKING:
    from wherry.store.files import ByteSink

Form = Literal["oci", "docker"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was brought into the local store."""

    images: tuple[NamedImage, ...]
    new: int
    """Bytes that the store did not have."""
    renamed: Mapping[str, str]
    """Names made for images that bring none that can be kept; by these, what they bring."""


def save(
    session: Session,
    images: Sequence[str],
    to: "Path | ByteSink",
    *,
    form: Form = "oci",
    platform: str = "",
    layout: bool = False,
) -> tuple[NamedImage, ...]:
    """Write images of the local store to an archive, a stream, or a layout folder that is there.

    Args:
        session: where the store is.
        images: names or digests of the store.
        to: a folder gets a layout; another path is an archive; a stream gets an archive.
        form: `docker` for what any `docker load` takes, of one platform.
        platform: of images with several, the one to save; empty: all.
        layout: whether the path is a folder that may not be there yet.

    Raises:
        NotFound: an image is not there; nothing was written.
        InvalidUsage: what does not fit into the form.
    """
    from wherry.store.archive import write_docker_archive, write_oci_archive
    from wherry.store.catalog import bring
    from wherry.store.files import replacing

    source = session.cancellable(session.store)
    with session.store.reading():
        roots = dict(_roots(session, images, platform))
        for name, root in roots.items():
            session.checkpoint()
            session.store.require_sound(root, name)
        if isinstance(to, Path) and (layout or to.is_dir()):
            bring(DiskStore(to), source, _for_layout(roots, form))
        else:
            write = write_oci_archive if form == "oci" else write_docker_archive
            if isinstance(to, Path):
                with replacing(to) as out:
                    write(out, source, roots)
            else:
                write(to, source, roots)
    return tuple(NamedImage(name, root) for name, root in roots.items())


def load(session: Session, path: Path, *, shown: str = "", origin: str | None = None, name: str = "") -> Loaded:
    """Bring the images of an archive or a layout folder into the local store.

    Args:
        session: where the store is.
        path: a layout folder, an OCI archive, or what `docker save` writes; gzip and zstd are read too.
        shown: how messages call it; empty: its path.
        origin: what a name is made of for an image that brings none; None: the file's name.
        name: of the one image; empty: what the archive says.

    Raises:
        NotFound, InvalidDocument, InvalidUsage: it is not there, is not an archive, or has not one image to be named.
    """
    from wherry.store.catalog import bring, names_for
    from wherry.store.open import open_images

    source, roots = open_images(path, shown=shown or str(path))
    chosen = names_for(roots, origin=path.resolve().name if origin is None else origin, wanted=name)
    renamed = {
        next(new for new, other in chosen.items() if other is root): "" if given == root.digest else given
        for given, root in roots.items()
        if not name and given not in chosen
    }
    moved = bring(session.store, session.cancellable(source), chosen)
    return Loaded(tuple(NamedImage(new, root) for new, root in chosen.items()), moved, renamed)


def _roots(session: Session, images: Sequence[str], platform: str) -> Iterator[tuple[str, Descriptor]]:
    from wherry.store.images import image_for
    from wherry.store.layout import find_name

    tagged = session.store.tags()
    for image in images:
        root = session.store.resolve(image)
        if platform:
            root = image_for(session.store, root, Platform.parse(platform), image).descriptor
        yield find_name(image, tagged) or str(root.digest), root


def _for_layout(roots: dict[str, Descriptor], form: Form) -> dict[str, Descriptor]:
    if form == "docker":
        raise InvalidUsage("--format docker writes an archive, not a directory", hint="give a file, or remove --format")
    nameless = [name for name, root in roots.items() if name == root.digest]
    if nameless:
        raise InvalidUsage(f"{nameless[0]}: a layout needs image names", hint="name it with `wherry tag`")
    return roots
