"""The programs and packages of images, kept in the cache: layers are read once, a program's names once.

The file of an image is named by its layers, that of a program by its own digest.
"""

import hashlib
import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from wherry.app.session import Session
from wherry.digest import Digest
from wherry.errors import CannotWrite, InvalidDocument, NotPermitted
from wherry.store.files import read_regular, replacing
from wherry.typed import from_msgpack

if TYPE_CHECKING:
    from wherry.oci.image import Image
    from wherry.store.contract import BlobSource
    from wherry.trust.image_contents import ImageContents, PackedProgram

FOLDER: Final = "scans"
"""Below the cache."""
_FORMAT = 2
_LARGEST = 256 << 20
_SUM = 32
T = TypeVar("T")


class _KeptImage(msgspec.Struct, frozen=True, array_like=True):
    programs: tuple[tuple[str, int, str], ...]
    """Path, layer and digest."""
    unscanned: tuple[tuple[str, str, str], ...]
    files: dict[str, bytes]
    others: int


class _KeptProgram(msgspec.Struct, frozen=True, array_like=True):
    size: int
    info: msgspec.Raw
    names: bytes
    unreadable: str


def contents_of(
    session: Session, source: "BlobSource", image: "Image", answered: Container[Digest] = ()
) -> "ImageContents":
    """Give what an image has; its layers are only read if that is not kept.

    Args:
        session: where.
        source: where the image's blobs are.
        image: its documents.
        answered: programs of which nothing else is asked; they come without their names.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what the image says.
    """
    folder = session.cache_folder / FOLDER
    place = kept_file(folder, "image", _layers(image))
    kept = _kept(folder, place, answered)
    if kept is not None:
        return kept
    from tempfile import TemporaryDirectory

    from wherry.trust.image_contents import read_contents

    with TemporaryDirectory(prefix="wherry-") as temporary:
        contents = read_contents(source, image, Path(temporary))
    for one in contents.programs:
        program = _KeptProgram(one.size, msgspec.Raw(msgspec.msgpack.encode(one.info)), one.names, one.unreadable)
        write_kept(kept_file(folder, "program", str(one.digest)), program)
    programs = tuple((one.path, one.layer, str(one.digest)) for one in contents.programs)
    write_kept(place, _KeptImage(programs, contents.unscanned, contents.files, contents.others))
    return contents


def _layers(image: "Image") -> str:
    """Name what all that is read depends on, and nothing else: an image with another config has the same contents."""
    names = (f"{blob.digest} {diff}" for blob, diff in zip(image.manifest.stack, image.config.diff_ids, strict=False))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _kept(folder: Path, place: Path, answered: Container[Digest]) -> "ImageContents | None":
    image = read_kept(place, _KeptImage)
    if image is None:
        return None
    from wherry.trust.image_contents import ImageContents, PackedProgram

    programs = []
    for path, layer, named in image.programs:
        digest = Digest.parse(named)
        one = PackedProgram(path, layer, digest)
        if digest not in answered:
            read = _program(one, kept_file(folder, "program", named))
            if read is None:
                return None
            one = read
        programs.append(one)
    return ImageContents(tuple(programs), image.unscanned, image.files, image.others)


def _program(one: "PackedProgram", place: Path) -> "PackedProgram | None":
    from msgspec.structs import replace

    from wherry.golang.buildinfo import BuildInfo

    kept = read_kept(place, _KeptProgram)
    if kept is None:
        return None
    try:
        info = from_msgpack(bytes(kept.info), BuildInfo)
    except (msgspec.DecodeError, ValueError):
        return None
    return replace(one, size=kept.size, info=info, names=kept.names, unreadable=kept.unreadable)


def kept_file(folder: Path, kind: str, name: str) -> Path:
    """Name a file of the cache."""
    return folder / f"{kind}-{name.replace(':', '-')}-{_FORMAT}"


def write_kept(path: Path, value: object) -> None:
    """Keep a value; a cache that cannot be written is not an error."""
    content = msgspec.msgpack.encode(value)
    with suppress(CannotWrite, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)


def read_kept(path: Path, shape: type[T]) -> T | None:
    """Read a file of the cache; None where it is absent or damaged."""
    try:
        content = read_regular(path, _LARGEST)
    except (InvalidDocument, NotPermitted, OSError):
        return None
    if content is None or hashlib.sha256(content[_SUM:]).digest() != content[:_SUM]:
        return None
    with suppress(OSError):
        os.utime(path)
    try:
        return from_msgpack(content[_SUM:], shape)
    except (msgspec.DecodeError, ValueError):
        return None
