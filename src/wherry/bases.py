"""Base images by the name a user gives: embedded ones, a layout, an archive, an image of the local store.

Beside `pipeline.py`, since only here both ends are known: the rooms that make bases and the one that asks for them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from wherry.digest import Digest
from wherry.errors import NotFound
from wherry.oci.image import Image
from wherry.plan.steps import TakeBase
from wherry.store.contract import copy
from wherry.store.disk import DiskStore
from wherry.store.find import Located, locate
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
        self._opened: dict[str, Located] = {}
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
        return {"digest": self._open(name).root.digest}

    def take(self, action: TakeBase) -> Image:
        """Have the base of one platform in the store."""
        if action.base in self.EMBEDDED:
            from wherry.base.static import scratch_base, static_base

            if action.base == "scratch":
                return scratch_base(self._store, action.platform)
            return static_base(self._store, action.platform, zones=action.base == "static")
        found = self._open(action.base)
        image = image_for(found.source, found.root, action.platform, action.base)
        copy(image.descriptor, found.source, self._store)
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

    def _open(self, name: str) -> Located:
        if name not in self._opened:
            try:
                self._opened[name] = locate(name, self._store, Path("/"))
            except NotFound as error:
                raise NotFound(
                    f"base {error.message}", hint=f"{error.hint}; or use {', '.join(self.EMBEDDED)}"
                ) from error
        return self._opened[name]
