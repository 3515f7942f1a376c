"""Images that a Dockerfile names: in the local store, in layouts, in registries."""

from pathlib import Path

from wherry.errors import NotFound, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.reference import Reference
from wherry.plan.graph import BaseOp
from wherry.platform import Platform
from wherry.remote import RemoteBases
from wherry.store.copy import copy
from wherry.store.disk import DiskStore
from wherry.store.find import locate
from wherry.store.images import image_for, read_image

LAYOUT, DOCKER = "oci-layout://", "docker-image://"


class NamedImages:
    """Finds what a Dockerfile names: images of the local store, of layouts, of registries."""

    def __init__(self, store: DiskStore, remote: RemoteBases | None) -> None:
        """Take where to look."""
        self._store = store
        self._remote = remote
        self._found: dict[tuple[str, Platform], Image] = {}
        self.asked: dict[str, Descriptor] = {}
        """Names that a registry was asked for, and where they led."""

    def image(self, name: str, platform: Platform) -> Image:
        """See `Images.image`."""
        key = (name, platform)
        if key not in self._found:
            self._found[key] = self._image(name, platform)
        return self._found[key]

    def take(self, action: BaseOp) -> Image:
        """Have an image's layers where this build wants them."""
        return self.image(action.base, action.platform)

    def at_hand(self, name: str, platform: Platform) -> Image | None:
        """Read an image's documents where no registry has to be asked, also those of another platform's image."""
        try:
            if name.startswith(LAYOUT):
                found = locate(_layout_path(name), self._store, Path("/"))
                source, root = found.source, _tagged(name, found.root, found.source)
            elif (here := self._here(name.removeprefix(DOCKER))) is not None:
                source, root = self._store, here
            else:
                return None
            return (
                read_image(source, root)
                if root.media_type not in media.INDEXES
                else image_for(source, root, platform, name)
            )
        except WherryError:
            return None

    def holds(self, layer: Descriptor) -> bool:
        """Tell whether a layer is where this build wants it."""
        return self._remote.holds(layer) if self._remote else self._store.sound(layer)

    def _image(self, name: str, platform: Platform) -> Image:
        if name.startswith(LAYOUT):
            found = locate(_layout_path(name), self._store, Path("/"))
            root = _tagged(name, found.root, found.source)
            image = _compatible(found.source, root, platform, name)
            copy(image.descriptor, found.source, self._store)
            return image
        name = name.removeprefix(DOCKER)
        root_here = self._here(name)
        if root_here is not None:
            return _compatible(self._store, root_here, platform, name)
        if self._remote is None:
            raise NotFound(f"{name}: no such image in the local store", hint="`wherry pull` or `wherry load` it first")
        self.asked[name] = self._remote.root(name)
        return self._remote.image(name, platform)

    def _here(self, name: str) -> Descriptor | None:
        wanted = Reference.parse(name)
        if wanted.digest is not None:
            return None
        tags = self._store.tags()
        for spelt in (name, str(wanted), wanted.canonical, str(wanted).removesuffix(":latest")):
            if spelt in tags:
                return tags[spelt]
        return None


def _layout_path(name: str) -> str:
    path = name.removeprefix(LAYOUT)
    path = path.partition("@")[0]
    head, colon, tag = path.rpartition(":")
    return head if colon and "/" not in tag else path


def _tagged(name: str, root: Descriptor, source: object) -> Descriptor:
    """Choose what a tag or digest behind a layout's path names."""
    from wherry.store.layout import LayoutFolder

    path = name.removeprefix(LAYOUT)
    _, at, digest = path.partition("@")
    head, colon, tag = path.partition("@")[0].rpartition(":")
    wanted = digest if at else tag if colon and head and "/" not in tag else ""
    if wanted and isinstance(source, LayoutFolder):
        return source.resolve(wanted)
    return root


def _compatible(source: object, root: Descriptor, platform: Platform, name: str) -> Image:
    """Choose the image for a platform; one without a variant serves for any."""
    try:
        return image_for(source, root, platform, name)  # type: ignore[arg-type] # every store is a source
    except NotFound:
        if root.media_type in media.INDEXES:
            raise
        image = read_image(source, root)  # type: ignore[arg-type] # as above
        if (image.platform.os, image.platform.architecture) != (platform.os, platform.architecture):
            raise
        return image
