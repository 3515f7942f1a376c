"""The programs and packages of images, kept in the cache: an image is read once, a program's names once.

The file of an image is named by its manifest's digest, that of a program by its own.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from wherry.app.session import Session
from wherry.digest import Digest
from wherry.errors import CannotWrite, InvalidDocument, NotPermitted
from wherry.golang.buildinfo import BuildInfo
from wherry.store.files import read_regular, replacing
from wherry.trust.image_contents import ImageContents, PackedProgram, read_contents
from wherry.typed import from_msgpack

if TYPE_CHECKING:
    from wherry.oci.image import Image
    from wherry.store.contract import BlobSource

FOLDER: Final = "scans"
"""Below the cache."""
_FORMAT = 1
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
    info: BuildInfo
    names: bytes
    unreadable: str


def contents_of(session: Session, source: "BlobSource", image: "Image") -> ImageContents:
    """Give what an image has; its layers are only read if that is not kept.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what the image says.
    """
    folder = session.cache_folder / FOLDER
    kept = _kept(folder, image.descriptor.digest)
    if kept is not None:
        return kept
    with TemporaryDirectory(prefix="wherry-") as place:
        contents = read_contents(source, image, Path(place))
    with suppress(CannotWrite, OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for one in contents.programs:
            program = _KeptProgram(one.size, one.info, one.names, one.unreadable)
            _write(_file(folder, "program", one.digest), msgspec.msgpack.encode(program))
        programs = tuple((one.path, one.layer, str(one.digest)) for one in contents.programs)
        whole = _KeptImage(programs, contents.unscanned, contents.files, contents.others)
        _write(_file(folder, "image", image.descriptor.digest), msgspec.msgpack.encode(whole))
    return contents


def _kept(folder: Path, digest: Digest) -> ImageContents | None:
    image = _read(_file(folder, "image", digest), _KeptImage)
    if image is None:
        return None
    programs = []
    for path, layer, named in image.programs:
        program = _read(_file(folder, "program", Digest.parse(named)), _KeptProgram)
        if program is None:
            return None
        one = PackedProgram(
            path, layer, Digest.parse(named), program.size, program.info, program.names, program.unreadable
        )
        programs.append(one)
    return ImageContents(tuple(programs), image.unscanned, image.files, image.others)


def _file(folder: Path, kind: str, digest: Digest) -> Path:
    return folder / f"{kind}-{str(digest).replace(':', '-')}-{_FORMAT}"


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)


def _read(path: Path, shape: type[T]) -> T | None:
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
