"""Base images by the name a user gives: embedded ones, a layout, an archive, an image of the local store.

Next to `pipeline.py`, since only this module knows both ends: the rooms that make bases and the one that asks for them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from wherry.base.deb.releases import is_deb_name
from wherry.base.settings import DEFAULTS, BaseSettings
from wherry.digest import Digest
from wherry.errors import NotFound
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.reference import SCHEME, names_registry
from wherry.plan.graph import BaseOp
from wherry.platform import Platform
from wherry.remote import RemoteBases, reference_of
from wherry.store.copy import copy
from wherry.store.disk import DiskStore
from wherry.store.find import Located, locate
from wherry.store.images import image_for, platforms_of
from wherry.store.results import Results

if TYPE_CHECKING:
    from wherry.base.deb.bases import DebBases
    from wherry.layer.changes import FileTree


_COMMON = frozenset(
    "bin boot dev etc home lib lib32 lib64 libx32 media mnt opt proc root run sbin srv sys tmp usr var".split()  # noqa: SIM905 - one line
)
"""Folders, or links to them, that distributions have at their top (Filesystem Hierarchy Standard 3.0, section 3)."""


class Bases:
    """Finds and takes bases; one for a build, so that each is read once."""

    EMBEDDED: ClassVar[Mapping[str, str]] = {
        "static": "certificates, zones, accounts",
        "static-notz": "certificates, accounts",
        "ultra-minimal": "mount points, accounts; certificates where --ca or --ca-for names some",
        "scratch": "nothing",
    }

    def __init__(
        self,
        store: DiskStore,
        remote: RemoteBases | None = None,
        debs: "Callable[[], DebBases] | None" = None,
    ) -> None:
        """Look for bases.

        Args:
            store: the local store.
            remote: bases of registries; None: there are none.
            debs: gives what makes bases of Debian packages; None: there are none.
        """
        self._store = store
        self._remote = remote
        self._make_debs = debs
        self._debs: DebBases | None = None
        self._opened: dict[str, Located] = {}
        self._places: dict[str, bool] = {}
        self._roots: dict[Digest, FileTree] = {}

    @classmethod
    def is_named(cls, name: str) -> bool:
        """Report whether a base is wherry's own, by its name: embedded, or made of Debian packages."""
        return name in cls.EMBEDDED or is_deb_name(name)

    def content(self, name: str, settings: BaseSettings = DEFAULTS) -> Mapping[str, str]:
        """Name what decides the bytes of a base.

        Args:
            name: the base's.
            settings: what it has in place of its defaults; only a base of wherry's own can have any.

        Raises:
            NotFound: it is not a base we know, no file or folder, and no image of the local store.
        """
        if name == "scratch" and not settings.certificates:
            return {}
        if name in self.EMBEDDED:
            from wherry.base.static import static_base_key

            return {**static_base_key(), **settings.content()}
        if is_deb_name(name):
            return {**self._packages().content(name), **settings.content()}
        if self._remote and self.is_remote(name):
            return {"digest": self._remote.root(name).digest}
        return {"digest": self._open(name).root.digest}

    def annotations(self, name: str) -> Mapping[str, str]:
        """Say what an image is built on, where others can look it up (image-spec v1.1.1, annotations.md)."""
        if not self._remote or not self.is_remote(name):
            return {}
        return {
            "org.opencontainers.image.base.digest": str(self._remote.root(name).digest),
            "org.opencontainers.image.base.name": replace(reference_of(name), digest=None).canonical,
        }

    def is_remote(self, name: str) -> bool:
        """Report whether a base is a registry's: its name says so, or nothing here is called so."""
        if self.is_named(name) or self._remote is None:
            return False
        if name not in self._places:
            self._places[name] = name.startswith(SCHEME) or self._only_there(name)
        return self._places[name]

    def platforms(self, name: str) -> tuple[Platform, ...] | None:
        """List the platforms that a base has; None of one that has them all."""
        if name in self.EMBEDDED:
            return None
        if is_deb_name(name):
            return self._packages().platforms(name)
        if self._remote and self.is_remote(name):
            return self._remote.platforms(name)
        found = self._open(name)
        return platforms_of(found.source, found.root)

    def holds(self, layer: Descriptor) -> bool:
        """Report whether a base's layer is where this build wants it."""
        return self._remote.holds(layer) if self._remote else self._store.sound(layer)

    def take(self, action: BaseOp) -> Image:
        """Have the base of one platform in the store."""
        settings = BaseSettings.of(action.content) if self.is_named(action.base) else DEFAULTS
        if action.base in self.EMBEDDED:
            from wherry.base.static import MINIMAL, minimal_base, scratch_base, static_base

            if action.base == "scratch":
                return scratch_base(self._store, action.platform, settings)
            if action.base == MINIMAL:
                return minimal_base(self._store, action.platform, settings)
            return static_base(self._store, action.platform, zones=action.base == "static", settings=settings)
        if is_deb_name(action.base):
            return self._packages().image(action.base, action.platform, self._store, settings)
        if self._remote and self.is_remote(action.base):
            return self._remote.image(action.base, action.platform)
        found = self._open(action.base)
        image = image_for(found.source, found.root, action.platform, action.base)
        copy(image.descriptor, found.source, self._store)
        return image

    def root(self, image: Image) -> "FileTree":
        """Read the paths in a base: its layers are streamed once."""
        digest = image.descriptor.digest
        if digest not in self._roots:
            from wherry.layer.changes import FileTree, layers_of

            self._roots[digest] = FileTree.of(layers_of(self._store, image))
        return self._roots[digest]

    def texts(self, image: Image, paths: Collection[str], most: int) -> dict[str, str]:
        """Read small files of a base, by absolute path; its layers are streamed once.

        Args:
            image: the base.
            paths: of the files; one that is not there is left out.
            most: bytes that are read of each.
        """
        from wherry.layer.changes import flatten, layers_of

        found = {}
        for entry, body in flatten(layers_of(self._store, image)):
            if (path := f"/{entry.path}") in paths:
                found[path] = body.read(most).decode(errors="replace")
        return found

    def folders(self, name: str, image: Image, wanted: tuple[str, ...], results: Results) -> frozenset[str]:
        """Report which paths a base has; asked of a base once, and remembered by its digest.

        A registry's base is not pulled for this: a folder that no distribution has, such as /app, is taken to be new.
        """
        there = set()
        asked = [path for path in wanted if not self.is_remote(name) or path.split("/")[1] in _COMMON]
        for path in asked:
            fact = f"{image.descriptor.digest} has {path}"
            known = results.fact(fact)
            if known is None:
                known = str(self.root(image).has(path))
                results.put_fact(fact, known)
            if known == str(True):
                there.add(path)
        return frozenset(there)

    def _packages(self) -> "DebBases":
        if self._debs is None:
            if self._make_debs is None:
                raise NotFound("this command cannot make bases of Debian packages", hint="use an embedded base")
            self._debs = self._make_debs()
        return self._debs

    def _only_there(self, name: str) -> bool:
        if name.startswith(("/", "./", "../")):
            return False
        if names_registry(name):
            return not Path(name.rpartition(":")[0] or name).exists()
        try:
            self._open(name)
        except NotFound:
            return True
        return False

    def _open(self, name: str) -> Located:
        if name not in self._opened:
            try:
                self._opened[name] = locate(name, self._store, Path("/"))
            except NotFound as error:
                raise NotFound(
                    f"base {error.message}", hint=f"{error.hint}; or use {', '.join(self.EMBEDDED)}"
                ) from error
        return self._opened[name]
