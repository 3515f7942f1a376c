"""Base images by the name a user gives: embedded ones, a layout, an archive, an image of the local store.

Beside `pipeline.py`, since only here both ends are known: the rooms that make bases and the one that asks for them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from wherry.digest import Digest
from wherry.errors import NotFound
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.plan.steps import TakeBase
from wherry.store.contract import BlobSource, copy
from wherry.store.disk import DiskStore
from wherry.store.images import image_for
from wherry.store.results import Results

if TYPE_CHECKING:
    from wherry.layer.changes import Tree


class Bases:
    """Finds and takes bases; one for a build, so that each is read once."""

    EMBEDDED: ClassVar[Mapping[str, str]] = {
        "static": "certificates, zones, accounts",
        "static-notz": "certificates, accounts",
        "scratch": "nothing",
    }

    def __init__(self, store: DiskStore, environment: Mapping[str, str]) -> None:
        self._store = store
        self._environment = environment
        self._opened: dict[str, tuple[BlobSource, Descriptor]] = {}
        self._roots: dict[Digest, Tree] = {}

    def content(self, name: str) -> Mapping[str, str]:
        """Name what decides the bytes of a base.

        Raises:
            NotFound: it is no base we know, no file or folder, and no image of the local store.
        """
        if name == "scratch":
            return {}
        if name in self.EMBEDDED:
            from wherry.base.static import static_base_key

            return static_base_key()
        return {"digest": self._open(name)[1].digest}

    def take(self, action: TakeBase) -> Image:
        """Have the base of one platform in the store."""
        if action.base in self.EMBEDDED:
            from wherry.base.static import scratch_base, static_base

            if action.base == "scratch":
                return scratch_base(self._store, action.platform)
            return static_base(self._store, action.platform, zones=action.base == "static")
        source, root = self._open(action.base)
        image = image_for(source, root, action.platform, action.base)
        copy(image.descriptor, source, self._store)
        return image

    def root(self, image: Image) -> "Tree":
        """Read what lies in a base: its layers are streamed once."""
        digest = image.descriptor.digest
        if digest not in self._roots:
            from wherry.layer.changes import Tree, layers_of

            self._roots[digest] = Tree.of(layers_of(self._store, image))
        return self._roots[digest]

    def folders(self, image: Image, wanted: tuple[str, ...], results: Results) -> frozenset[str]:
        """Tell which paths a base has; asked of a base once, and remembered by its digest."""
        there = set()
        for path in wanted:
            name = f"{image.descriptor.digest} has {path}"
            known = results.fact(name)
            if known is None:
                known = str(self.root(image).has(path))
                results.put_fact(name, known)
            if known == str(True):
                there.add(path)
        return frozenset(there)

    def _open(self, name: str) -> tuple[BlobSource, Descriptor]:
        if name not in self._opened:
            self._opened[name] = self._find(name)
        return self._opened[name]

    def _find(self, name: str) -> tuple[BlobSource, Descriptor]:
        path, wanted = Path(name), ""
        if not path.exists() and ":" in name:
            folder, _, wanted = name.rpartition(":")
            path = Path(folder)
        if path.exists() and (os.sep in name or not self._has(name)):
            from wherry.store.open import open_images

            source, roots = open_images(path)
            return source, _choose(roots, name, wanted)
        try:
            return self._store, self._store.resolve(name)
        except NotFound as error:
            raise NotFound(
                f"base {name}: no such base, layout, archive or image in the local store",
                hint=f"use {', '.join(self.EMBEDDED)}, a path, or `wherry load` the image first",
            ) from error

    def _has(self, name: str) -> bool:
        try:
            self._store.resolve(name)
        except NotFound:
            return False
        return True


def _choose(roots: Mapping[str, Descriptor], name: str, wanted: str) -> Descriptor:
    if wanted:
        for tag, root in roots.items():
            if tag == wanted or tag.rpartition(":")[2] == wanted:
                return root
    elif len({root.digest for root in roots.values()}) == 1:
        return next(iter(roots.values()))
    raise NotFound(
        f"base {name}: {'no image of that name in it' if wanted else 'it holds several images'}",
        hint=f"name one as PATH:NAME; it has {', '.join(sorted(roots)[:8]) or 'none'}",
    )
