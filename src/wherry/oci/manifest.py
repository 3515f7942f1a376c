"""Manifests and indexes.

Sources: OCI image-spec v1.1.1, manifest.md and image-index.md.
"""

from typing import Annotated, Literal, Self

import msgspec

from wherry.errors import InvalidDocument
from wherry.oci import media
from wherry.oci.descriptor import Descriptor, MediaType
from wherry.oci.document import decode, encode

SchemaVersion = Literal[2]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One image of one platform: a config and its layers, base first."""

    schema_version: SchemaVersion
    media_type: str = ""
    artifact_type: MediaType | None = None
    config: Descriptor
    layers: tuple[Descriptor, ...] | None
    """BuildKit writes null for an image without layers; `parse` gives an empty tuple then."""
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}

    @classmethod
    def of(cls, config: Descriptor, layers: tuple[Descriptor, ...], annotations: dict[str, str] | None = None) -> Self:
        """Make an OCI manifest."""
        return cls(
            schema_version=2,
            media_type=media.OCI_MANIFEST,
            config=config,
            layers=layers,
            annotations=annotations or {},
        )

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read a manifest.

        Raises:
            InvalidDocument: it is invalid; the message has the path of the wrong key.
        """
        manifest = decode(document, cls, name)
        if manifest.media_type and manifest.media_type not in media.MANIFESTS:
            raise InvalidDocument(name, f"mediaType is {manifest.media_type!r}, which is not an image manifest")
        if manifest.layers is None:
            return msgspec.structs.replace(manifest, layers=())
        return manifest

    @property
    def stack(self) -> tuple[Descriptor, ...]:
        """The layers, base first; empty where the document says null."""
        return self.layers or ()

    def encoded(self) -> bytes:
        """Write it down; the same value gives the same bytes."""
        return encode(self)


class Index(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Several manifests under one digest, one a platform."""

    schema_version: SchemaVersion
    media_type: str = ""
    artifact_type: MediaType | None = None
    manifests: Annotated[tuple[Descriptor, ...], msgspec.Meta(max_length=10_000)]
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}

    @classmethod
    def of(cls, manifests: tuple[Descriptor, ...], annotations: dict[str, str] | None = None) -> Self:
        """Make an OCI index."""
        return cls(schema_version=2, media_type=media.OCI_INDEX, manifests=manifests, annotations=annotations or {})

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read an index.

        Raises:
            InvalidDocument: it is invalid; the message has the path of the wrong key.
        """
        index = decode(document, cls, name)
        if index.media_type and index.media_type not in media.INDEXES:
            raise InvalidDocument(name, f"mediaType is {index.media_type!r}, which is not an image index")
        return index

    def encoded(self) -> bytes:
        """Write it down; the same value gives the same bytes."""
        return encode(self)
