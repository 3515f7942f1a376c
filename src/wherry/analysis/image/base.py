"""Which layers of an image are its base's."""

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.analysis.layers import base_layers
from wherry.oci.image import Image


@dataclass(frozen=True, slots=True)
class ImageBase:
    """How many layers the base brought, and how that is known."""

    count: int | None
    """None: it is not known."""
    source: str
    """`base`, `recipe`, `history`, or empty."""

    def has(self, layer: int) -> bool | None:
        """Report whether a layer (0 is the first) is the base's; None: not known."""
        return None if self.count is None else layer < self.count


def base_of(image: Image, named: Sequence[Image] = ()) -> ImageBase:
    """Tell an image's base and own layers apart.

    Args:
        image: its documents.
        named: images that may be its base, as the caller says.

    Returns:
        By the caller's word where the layers of one are its first; by the recipe of wherry or ko; by the history, where
        an instruction that only sets the config (CMD, ENTRYPOINT), which ends a Dockerfile, has layers after it.
    """
    for one in named:
        count = len(one.config.diff_ids)
        if count and image.config.diff_ids[:count] == one.config.diff_ids:
            return ImageBase(count, "base")
    if (known := base_layers(image)) is not None:
        return ImageBase(known, "recipe")
    below = layers = 0
    for step in image.config.history or ():
        if not step.empty_layer:
            layers += 1
        elif _ends_image(step.created_by or ""):
            below = layers
    total = len(image.manifest.stack)
    return ImageBase(below, "history") if 0 < below < total and layers == total else ImageBase(None, "")


def _ends_image(created_by: str) -> bool:
    text = created_by.removeprefix("/bin/sh -c #(nop)").strip()
    return text.startswith(("CMD ", "CMD[", "ENTRYPOINT ", "ENTRYPOINT["))
