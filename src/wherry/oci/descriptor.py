"""Descriptors: how one OCI document points at another.

Sources: OCI image-spec v1.1.1, descriptor.md; RFC 6838, section 4.2 (media types); RFC 3986, section 3.1 (schemes).
"""

from typing import Annotated, Self

import msgspec

from wherry.digest import Digest
from wherry.platform import Platform

_RESTRICTED_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"

MediaType = Annotated[str, msgspec.Meta(pattern=rf"\A{_RESTRICTED_NAME}/{_RESTRICTED_NAME}\Z")]
"""`type/subtype` without parameters."""
Url = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z][A-Za-z0-9+.-]*:[!-~]+\Z")]
"""An absolute URI."""
Size = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""Bytes; the spec's int64."""


class PlatformDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `platform` object of an index entry, as written."""

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

    media_type: MediaType
    digest: Digest
    size: Size
    """Bytes as stored, so after compression."""
    urls: tuple[Url, ...] = ()
    annotations: dict[str, str] = {}
    data: bytes | None = None
    """The blob itself, where a writer put it in; base64 in JSON."""
    platform: PlatformDocument | None = None
    artifact_type: MediaType | None = None

    @classmethod
    def of(cls, media_type: str, blob: bytes) -> Self:
        """Describe bytes in memory."""
        return cls(media_type=media_type, digest=Digest.of(blob), size=len(blob))
