"""Image layouts: the marker file, and how the index of a folder or an archive names its images.

Sources: OCI image-spec v1.1.1, image-layout.md and annotations.md; containerd v2, pkg/archive (its annotation for a
whole name, which `docker load` and podman read first).
"""

from typing import Literal, Self

import msgspec

from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode, encode
from wherry.oci.reference import InvalidReference, Reference

MARKER = "oci-layout"
"""The file that makes a folder or an archive a layout."""
INDEX = "index.json"
BLOBS = "blobs"
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


class Layout(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The content of the marker file."""

    image_layout_version: Literal["1.0.0"] = msgspec.field()

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read a marker file.

        Raises:
            InvalidDocument: it is invalid, or of a version we do not know.
        """
        return decode(document, cls, name)

    def encoded(self) -> bytes:
        """Write it down."""
        return encode(self)


LAYOUT = Layout(image_layout_version="1.0.0")


def name_of(entry: Descriptor) -> str:
    """Say what an entry of a layout's index is called.

    The whole name that containerd and buildx write comes before the spec's, which is often a bare tag;
    an entry without either goes by its digest.
    """
    whole = entry.annotations.get(CONTAINERD_NAME)
    if whole:
        try:
            return str(Reference.parse(whole))
        except InvalidReference:
            pass
    return entry.annotations.get(REF_NAME) or str(entry.digest)


def unnamed(entry: Descriptor) -> Descriptor:
    """Give the root that an entry stands for: the same descriptor without its names."""
    kept = {key: text for key, text in entry.annotations.items() if key not in {REF_NAME, CONTAINERD_NAME}}
    return msgspec.structs.replace(entry, annotations=kept)


def named(root: Descriptor, name: str) -> Descriptor:
    """Give the entry that calls a root by a name."""
    return msgspec.structs.replace(root, annotations={**root.annotations, REF_NAME: name})
