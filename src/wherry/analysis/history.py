"""The history of an image against its layers.

Source: OCI image-spec v1.1.1, config.md ("History").
"""

from wherry.oci.image import Image


def made_by(image: Image) -> tuple[str, ...]:
    """Say of each layer what the history says; the history may be shorter, or absent."""
    steps = [step.created_by or step.comment for step in image.config.history or () if not step.empty_layer]
    count = len(image.manifest.stack)
    return tuple((steps + [""] * count)[:count])
