"""An image by what a user calls it: a name or digest of the local store, a layout folder, or an archive."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import NotFound
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import is_attachment
from wherry.store.contract import BlobSource
from wherry.store.disk import DiskStore


@dataclass(frozen=True, slots=True)
class Located:
    """An image under the name it was asked for."""

    name: str
    source: BlobSource
    root: Descriptor


def locate(name: str, store: DiskStore, folder: Path) -> Located:
    """Find an image.

    Args:
        name: of an image in the store, a path, or `PATH:NAME` for one of several images there. Where a word could
            be both, the store's image is meant; a name with a `/` is a path where there is one.
        store: the local store.
        folder: where relative paths start.

    Raises:
        NotFound: there is no such image; the hint has those there are.
        InvalidReference: it is not a name.
    """
    path, wanted = _split(folder, name)
    if path is None and name.startswith(("./", "../", "/")):
        raise NotFound(
            f"{name}: not found", hint="give an OCI layout directory, an archive, or an image in the local store"
        )
    if path is None or (os.sep not in name and _is_stored(store, name)):
        return Located(name, store, store.resolve(name))
    from wherry.store.open import open_images

    source, roots = open_images(path)
    return Located(name, source, _choose(roots, name, wanted))


def _split(folder: Path, name: str) -> tuple[Path | None, str]:
    """Split PATH:NAME after the longest path that is there; NAME may have colons too."""
    words = name.split(":")
    for count in range(len(words), 0, -1):
        path = folder / ":".join(words[:count])
        if words[0] and path.exists():
            return path, ":".join(words[count:])
    return None, ""


def _is_stored(store: DiskStore, name: str) -> bool:
    try:
        store.resolve(name)
    except NotFound:
        return False
    return True


def _choose(roots: Mapping[str, Descriptor], name: str, wanted: str) -> Descriptor:
    named = {tag: root for tag, root in roots.items() if tag == wanted or not is_attachment(tag)}
    fitting = {root.digest: root for tag, root in named.items() if wanted in {"", tag, tag.rpartition(":")[2]}}
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    there = ", ".join(sorted(named)[:8]) or "none"
    raise NotFound(
        f"{name}: {'contains several images' if fitting else 'image not found in it'}",
        hint=f"write PATH:NAME; images: {there}",
    )
