"""IMAGE of a command line: a name or digest of the local store, a layout folder, or an archive."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from wherry.cli.world import World
from wherry.errors import NotFound
from wherry.oci.descriptor import Descriptor
from wherry.store.contract import BlobSource


@dataclass(frozen=True, slots=True)
class Located:
    """An image under the name it was asked for."""

    name: str
    source: BlobSource
    root: Descriptor


def locate(world: World, name: str) -> Located:
    """Find an image.

    Args:
        world: whose store and working directory count.
        name: of an image in the store, a path, or `PATH:NAME` for one of several images there. Where a word could
            be both, the store's image is meant; with a `/` in front of which there is a path, the path.

    Raises:
        NotFound: there is no such image; the hint has those there are.
        InvalidReference: it is no name.
    """
    path, wanted = world.cwd / name, ""
    if not path.exists() and ":" in name:
        path, wanted = world.cwd / name.rpartition(":")[0], name.rpartition(":")[2]
    if not path.exists() or (os.sep not in name and _is_stored(world, name)):
        return Located(name, world.store, world.store.resolve(name))
    from wherry.store.open import open_images

    source, roots = open_images(path)
    return Located(name, source, _choose(roots, name, wanted))


def _is_stored(world: World, name: str) -> bool:
    try:
        world.store.resolve(name)
    except NotFound:
        return False
    return True


def _choose(roots: Mapping[str, Descriptor], name: str, wanted: str) -> Descriptor:
    fitting = {root.digest: root for tag, root in roots.items() if wanted in {"", tag, tag.rpartition(":")[2]}}
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    there = ", ".join(sorted(roots)[:8]) or "none"
    raise NotFound(
        f"{name}: {'it holds several images' if fitting else 'no such image in it'}",
        hint=f"name one as PATH:NAME; it has: {there}",
    )
