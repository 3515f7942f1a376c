"""What a build leaves for the next program: `--metadata-file` and `--iidfile`, with buildx's keys and contents.

Sources: docker/buildx, docs "docker buildx build --metadata-file" and commands/build.go (getImageID);
moby/buildkit, exporter/containerimage/exptypes (both as of 2026).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from wherry.oci.descriptor import Descriptor
from wherry.oci.document import encode
from wherry.oci.image import Image
from wherry.store.files import replacing


def metadata_of(root: Descriptor, images: Sequence[Image], names: Sequence[str]) -> dict[str, object]:
    """Describe what was built.

    Args:
        root: the manifest, or the index of several platforms.
        images: all images under it.
        names: the references it was given.

    Returns:
        buildx's keys in their order. `containerimage.config.digest` is there for one platform only, and
        `image.name` where there are names.
    """
    found: dict[str, object] = {}
    if len(images) == 1 and images[0].descriptor.digest == root.digest:
        found["containerimage.config.digest"] = str(images[0].manifest.config.digest)
    found["containerimage.descriptor"] = msgspec.json.decode(encode(root))
    found["containerimage.digest"] = str(root.digest)
    if names:
        found["image.name"] = ",".join(names)
    return found


def image_id(root: Descriptor, images: Sequence[Image]) -> str:
    """Give what `--iidfile` says: the config's digest of one platform, the index's of several."""
    return str(metadata_of(root, images, ()).get("containerimage.config.digest", root.digest))


def write_metadata(path: Path, document: Mapping[str, object]) -> None:
    """Write `--metadata-file`, whole or not at all; of several services, a mapping from service to its metadata.

    Raises:
        CannotWrite: no space, or not allowed.
    """
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def write_image_id(path: Path, root: Descriptor, images: Sequence[Image]) -> None:
    """Write `--iidfile`, whole or not at all, without a newline at its end (as buildx does).

    Raises:
        CannotWrite: no space, or not allowed.
    """
    with replacing(path) as file:
        file.write(image_id(root, images).encode())
