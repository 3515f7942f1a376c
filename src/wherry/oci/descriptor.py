"""Descriptors: how one OCI document points at another.

Source: OCI image-spec v1.1.1, descriptor.md.
"""

from typing import Annotated, Self

import msgspec

from wherry.digest import Digest
from wherry.platform import Platform


class PlatformDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `platform` object of an index entry, as it is written."""

    architecture: str
    os: str
    os_version: str = msgspec.field(name="os.version", default="")
    os_features: tuple[str, ...] = msgspec.field(name="os.features", default=())
    variant: str = ""

    @classmethod
    def of(cls, platform: Platform) -> Self:
        """Write a platform down."""
        return cls(architecture=platform.architecture, os=platform.os, variant=platform.variant)

    @property
    def platform(self) -> Platform:
        """The platform in normal form."""
        return Platform.of(self.os, self.architecture, self.variant)


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A typed, sized, hashed pointer to one blob."""

    media_type: str
    digest: Digest
    size: Annotated[int, msgspec.Meta(ge=0)]
    """Bytes as stored, so after compression."""
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    data: str | None = None
    """The blob itself in base64, where a writer put it in."""
    platform: PlatformDocument | None = None
    artifact_type: str | None = None

    @classmethod
    def of(cls, media_type: str, blob: bytes) -> Self:
        """Describe bytes that are at hand."""
        return cls(media_type=media_type, digest=Digest.of(blob), size=len(blob))
