"""What the steps of an image give, and what they have read, as results keep them."""

from dataclasses import dataclass

import msgspec

from wherry.digest import Digest
from wherry.oci.config import ImageConfig, Layer
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode, encode
from wherry.oci.image import Image
from wherry.oci.manifest import Manifest
from wherry.source.inputs import Input, InputKind
from wherry.typed import from_msgpack


class Compiled(msgspec.Struct, frozen=True):
    """The result of a compile step."""

    digest: str
    size: int
    """Bytes of the program."""
    go: str
    """Such as `go1.26.8`."""
    origin: str
    reads_stamp: bool
    """Whether the program reads its own build info at run time."""
    recipe: dict[str, str]
    interpreter: str = ""
    libraries: tuple[str, ...] = ()
    build_id: str = ""
    """The GNU build ID in hex; empty where it was stripped."""
    packages: int = 0


class Observed(msgspec.Struct, frozen=True):
    """What a step read, as its record keeps it."""

    inputs: tuple[Input, ...] = ()
    stamped: str = ""
    """The state of version control that the program records; empty where it records none."""
    heads: dict[str, bytes] = {}
    """Of a program's sources that may be edited: what decides which files are read, as `source/heads.py` hashes it."""
    toolchain: dict[str, str] = {}
    """Which Go read them, as `Toolchain.kept` writes it; empty where Go has to be asked."""
    blocks: bytes = b""
    """Of a layer: what its blocks were made of, as `layer/known_blocks.py` keeps it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a judge says of a fresh program."""

    interpreter: str
    libraries: tuple[str, ...]
    reads_stamp: bool
    build_id: str
    """GNU's, in hex."""


def compiled_of(result: bytes) -> Compiled:
    """Read the result of a compile step."""
    return from_msgpack(result, Compiled)


def layer_of(result: bytes) -> Layer:
    """Read the result of a pack step."""
    return decode(result, Layer, "a cached layer")


def descriptor_of(result: bytes) -> Descriptor:
    """Read the result of an assemble step."""
    return decode(result, Descriptor, "a cached manifest")


def base_layers_fact(manifest: Digest) -> str:
    """Name the fact that counts an image's base layers; its value is a decimal number.

    A Dockerfile's image has no place for it: a label or annotation would change its digest.
    """
    return f"{manifest} has base layers"


def image_of(result: bytes) -> Image:
    """Read the result of a base step."""
    descriptor, manifest, config = from_msgpack(result, tuple[bytes, bytes, bytes])
    return Image.of(
        decode(descriptor, Descriptor, "a cached base"),
        Manifest.parse(manifest, "a cached base"),
        ImageConfig.parse(config, "a cached base"),
    )


def encode_image(image: Image) -> bytes:
    """Write the result of a base step."""
    return msgspec.msgpack.encode((encode(image.descriptor), image.manifest.encoded(), image.config.encoded()))


class _Encoded(msgspec.Struct, frozen=True):
    """What a step read, its inputs not decoded: there are thousands, and few of them differ."""

    inputs: tuple[msgspec.Raw, ...] = ()
    stamped: str = ""


def differing(before: bytes, after: bytes) -> tuple[str, ...]:
    """Say the same as `differences` of what a step read, as its records keep it; in a fifth of the time."""
    old, new = (from_msgpack(blob, _Encoded) for blob in (before, after))
    was, now = (dict.fromkeys(map(bytes, one.inputs)) for one in (old, new))

    def observed(one: _Encoded, own: dict[bytes, None], other: dict[bytes, None]) -> Observed:
        inputs = tuple(from_msgpack(entry, Input) for entry in own if entry not in other)
        return Observed(inputs=inputs, stamped=one.stamped)

    return differences(observed(old, was, now), observed(new, now, was))


def differences(before: Observed, after: Observed) -> tuple[str, ...]:
    """Say in words what a step reads now that it did not, or not so, when it was recorded."""
    old = {(entry.path, entry.kind): entry.content for entry in before.inputs}
    new = {(entry.path, entry.kind): entry.content for entry in after.inputs}
    words = []
    for path, kind in sorted(old.keys() | new.keys()):
        was, now = old.get((path, kind)), new.get((path, kind))
        if was == now:
            continue
        if was is None:
            words.append(f"{path} is a new input")
        elif now is None:
            words.append(f"{path} is no longer an input")
        elif kind in {InputKind.FOLDER, InputKind.TREE}:
            words.append(f"{path}: files were added or removed")
        else:
            words.append(f"{path} changed")
    if before.stamped != after.stamped:
        words.append(f"the commit it records changed: {before.stamped or 'none'} → {after.stamped or 'none'}")
    return tuple(words)
