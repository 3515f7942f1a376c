"""What `docker save` wrote before it wrote OCI layouts: `manifest.json`, configs and layers by path.

Its layers have no digests, so that each is hashed once; a manifest is made of what is found.
Source: Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from wherry.digest import Digest
from wherry.errors import DigestMismatch, InvalidDocument
from wherry.oci import media
from wherry.oci.config import ImageConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST, decode
from wherry.oci.manifest import Manifest
from wherry.oci.reference import InvalidReference, Reference
from wherry.store.contract import CHUNK
from wherry.store.members import Member, Members

MANIFEST = "manifest.json"
_LAYER_BY_MAGIC = {b"\x1f\x8b": media.OCI_LAYER_GZIP, b"\x28\xb5": media.OCI_LAYER_ZSTD}


class Saved(msgspec.Struct, frozen=True, rename="pascal"):
    """One image of `manifest.json`."""

    config: str
    layers: tuple[str, ...] | None
    repo_tags: tuple[str, ...] | None = None


_SavedImages = Annotated[tuple[Saved, ...], msgspec.Meta(max_length=10_000)]


@dataclass(frozen=True, slots=True)
class DockerImages:
    """The images of an archive, under digests."""

    roots: dict[str, Descriptor]
    """By name; an image without one goes by its digest."""
    documents: dict[Digest, bytes]
    """Manifests that were made here."""
    members: dict[Digest, Member]
    """Configs and layers, by their place."""


def read_docker_save(archive: Members) -> DockerImages:
    """Give the images of an archive their digests.

    Raises:
        InvalidDocument: a document is invalid, or names what is not there.
        DigestMismatch: a layer is not the one its config speaks of.
    """
    name = f"{archive.shown}: {MANIFEST}"
    document = archive.document(MANIFEST, LARGEST) or b""
    found = DockerImages({}, {}, {})
    layers: dict[str, Descriptor] = {}
    for saved in decode(document, _SavedImages, name):
        manifest = _manifest(archive, saved, layers, found.members)
        encoded = manifest.encoded()
        root = Descriptor.of(media.OCI_MANIFEST, encoded)
        found.documents[root.digest] = encoded
        for tag in saved.repo_tags or (str(root.digest),):
            found.roots[_familiar(tag, name)] = root
    return found


def _manifest(archive: Members, saved: Saved, layers: dict[str, Descriptor], members: dict[Digest, Member]) -> Manifest:
    place, document = _file(archive, saved.config), archive.document(saved.config, LARGEST) or b""
    config = ImageConfig.parse(document, f"{archive.shown}: {saved.config}")
    blob = Descriptor.of(media.OCI_CONFIG, document)
    members[blob.digest] = place
    paths = saved.layers or ()
    if len(paths) != len(config.diff_ids):
        raise InvalidDocument(
            f"{archive.shown}: {MANIFEST}",
            f"{saved.config} has {len(config.diff_ids)} diff ids for {len(paths)} layers",
        )
    stack = []
    for path, diff_id in zip(paths, config.diff_ids, strict=True):
        if path not in layers:
            layers[path] = _layer(archive, path)
        layer = layers[path]
        if layer.media_type == media.OCI_LAYER and layer.digest != diff_id:
            raise DigestMismatch(f"{archive.shown}: {path}", expected=diff_id, actual=layer.digest)
        members[layer.digest] = _file(archive, path)
        stack.append(layer)
    return Manifest.of(blob, tuple(stack))


def _layer(archive: Members, path: str) -> Descriptor:
    place = _file(archive, path)
    state = Digest.of(b"").hasher()
    magic = archive.read_at(place.offset, min(2, place.size))
    for start in range(0, place.size, CHUNK):
        state.update(archive.read_at(place.offset + start, min(CHUNK, place.size - start)))
    return Descriptor(
        media_type=_LAYER_BY_MAGIC.get(magic, media.OCI_LAYER), digest=Digest.from_hash(state), size=place.size
    )


def _file(archive: Members, path: str) -> Member:
    member = archive.find(path)
    if member is None:
        raise InvalidDocument(
            f"{archive.shown}: {MANIFEST}",
            f"{path[:200]!r} is not in the archive",
            hint="the archive is incomplete; save the image again",
        )
    return member


def _familiar(tag: str, name: str) -> str:
    if tag.startswith("sha256:"):
        return tag
    try:
        return str(Reference.parse(tag))
    except InvalidReference as error:
        raise InvalidDocument(name, error.message, hint=error.hint) from error
