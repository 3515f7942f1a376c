"""Images that a Dockerfile names: in the local store, in layouts, in registries."""

from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.build.addresses import DOCKER, LAYOUT
from wherry.errors import NotFound, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.reference import Reference, names_registry
from wherry.platform import Platform
from wherry.store.contract import BlobSource
from wherry.store.disk import DiskStore
from wherry.store.images import image_for, read_image

if TYPE_CHECKING:
    from wherry.plan.graph import BaseOp
    from wherry.remote import RemoteBases


class NamedImages:
    """Finds what a Dockerfile names: images of the local store, of layouts, of registries."""

    def __init__(self, store: DiskStore, remote: "RemoteBases | None") -> None:
        """Take where to look."""
        self._store = store
        self._remote = remote
        self._found: dict[tuple[str, Platform], Image] = {}
        self.asked: dict[str, Descriptor] = {}
        """Names that a registry was asked for, and where they led."""

    def has(self, name: str) -> bool:
        """See `Images.has`."""
        return self._here(name) is not None

    def image(self, name: str, platform: Platform) -> Image:
        """See `Images.image`."""
        key = (name, platform)
        if key not in self._found:
            self._found[key] = self._image(name, platform)
        return self._found[key]

    def take(self, action: "BaseOp") -> Image:
        """Have an image's layers where this build wants them."""
        return self.image(action.base, action.platform)

    @property
    def used(self) -> dict[str, tuple[Descriptor, ...]]:
        """Give what each name stood for: what a registry said, or of an image that is here each platform's manifest."""
        found: dict[str, dict[str, Descriptor]] = {}
        for (name, _), image in self._found.items():
            root = self.asked.get(name.removeprefix(DOCKER), image.descriptor)
            found.setdefault(name, {})[root.digest] = root
        return {name: tuple(roots.values()) for name, roots in found.items()}

    def at_hand(self, name: str, platform: Platform) -> Image | None:
        """Read an image's documents where no registry has to be asked, also those of another platform's image."""
        try:
            if name.startswith(LAYOUT):
                source, root = _in_layout(name)
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
        """Report whether a layer is where this build wants it."""
        return self._remote.holds(layer) if self._remote else self._store.sound(layer)

    def _image(self, name: str, platform: Platform) -> Image:
        if name.startswith(LAYOUT):
            source, root = _in_layout(name)
            image = _compatible(source, root, platform, name)
            from wherry.store.copy import copy

            copy(image.descriptor, source, self._store)
            return image
        name = name.removeprefix(DOCKER)
        root_here = self._here(name)
        if root_here is not None:
            if self._remote is not None and names_registry(name):
                self._remote.policy.verify(Reference.parse(name), root_here)
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


def _in_layout(name: str) -> tuple[BlobSource, Descriptor]:
    """Find what `oci-layout://PATH[:TAG][@DIGEST]` names, as buildx takes it: the digest decides, then the tag.

    Without both it is the only image there, or the one tagged latest.

    Raises:
        NotFound: nothing is there.
    """
    from wherry.store.layout import LayoutFolder
    from wherry.store.open import open_images

    path, tag, digest = _split_layout(name.removeprefix(LAYOUT))
    if not path.exists():
        raise NotFound(f"{name}: no such layout", hint="give the folder of an OCI layout, or an archive of one")
    source, roots = open_images(path)
    if digest and isinstance(source, LayoutFolder):
        return source, source.resolve(digest)
    wanted = tag or ("latest" if len({root.digest for root in roots.values()}) > 1 else "")
    fitting = {
        root.digest: root
        for known, root in roots.items()
        if (digest == root.digest if digest else wanted in ("", known, known.rpartition(":")[2]))
    }
    if len(fitting) != 1:
        asked = f"no image with digest {digest}" if digest else f"no image tagged {wanted}"
        asked = f"{len(fitting)} images tagged {wanted}" if fitting else asked
        there = ", ".join(sorted(roots)[:8]) or "none"
        raise NotFound(f"{name}: {asked}", hint=f"write {LAYOUT}PATH:TAG or PATH@DIGEST; it has: {there}")
    return source, next(iter(fitting.values()))


def _split_layout(text: str) -> tuple[Path, str, str]:
    """Part a path, a tag and a digest; a path that is there as it is written has neither."""
    if Path(text).exists():
        return Path(text), "", ""
    before, at, digest = text.rpartition("@")
    before, digest = (before, digest) if at and ":" in digest else (text, "")
    head, colon, tag = before.rpartition(":")
    if colon and head and "/" not in tag and not Path(before).exists():
        return Path(head), tag, digest
    return Path(before), "", digest


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
