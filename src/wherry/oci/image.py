"""An image of one platform, its two documents read and matched."""

from dataclasses import dataclass

from wherry.counted import counted
from wherry.errors import InvalidDocument
from wherry.oci.config import ImageConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.platform import Platform


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest and its config; `of` made sure that they speak of the same layers."""

    descriptor: Descriptor
    """Of the manifest."""
    manifest: Manifest
    config: ImageConfig

    @classmethod
    def of(cls, descriptor: Descriptor, manifest: Manifest, config: ImageConfig) -> "Image":
        """Put the two together.

        Raises:
            InvalidDocument: one names more layers than the other.
        """
        if len(manifest.stack) != len(config.diff_ids):
            raise InvalidDocument(
                str(descriptor.digest),
                f"the manifest has {counted(len(manifest.stack), 'layer')}, its config {len(config.diff_ids)} diff ids",
            )
        return cls(descriptor, manifest, config)

    @property
    def platform(self) -> Platform:
        """What it runs on, by its config."""
        return self.config.platform
