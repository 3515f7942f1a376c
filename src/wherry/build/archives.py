"""Archives that ADD unpacks: recognised by their bytes, read as streams.

Source: Dockerfile reference, "ADD": identity, gzip, bzip2 and xz; and zstd, as BuildKit takes it.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from wherry.errors import WherryError
from wherry.layer import header
from wherry.layer.entry import Entry
from wherry.layer.tar import TarBody, read_tar

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_SMALLEST = 512


def is_archive(path: Path) -> bool:
    """Report whether a file is a tar, compressed or not."""
    with suppress(WherryError, OSError, ValueError), path.open("rb") as file, _decompressed(file, path.name) as stream:
        block = stream.read(_SMALLEST)
        return len(block) == _SMALLEST and header.decode(block, path.name) is not None
    return False


@contextmanager
def open_archive(path: Path) -> Iterator[Iterator[tuple[Entry, TarBody]]]:
    """Read an archive, entry by entry.

    Raises:
        InvalidArchive: it is invalid.
    """
    with path.open("rb") as file, _decompressed(file, path.name) as stream:
        yield read_tar(stream, path.name, nameless=True)


@contextmanager
def _decompressed(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    head = file.read(6)
    file.seek(0)
    if head.startswith(_GZIP):
        import gzip
        import zlib

        with _translated(name, zlib.error, gzip.BadGzipFile), gzip.GzipFile(fileobj=file) as stream:
            yield cast("IO[bytes]", stream)
    elif head.startswith(_BZIP2):
        import bz2

        with _translated(name), bz2.BZ2File(file) as stream:
            yield cast("IO[bytes]", stream)
    elif head.startswith(_XZ):
        import lzma

        with _translated(name, lzma.LZMAError), lzma.LZMAFile(file) as stream:
            yield cast("IO[bytes]", stream)
    elif head.startswith(_ZSTD):
        import zstandard

        with _translated(name, zstandard.ZstdError), zstandard.ZstdDecompressor().stream_reader(file) as stream:
            yield io.BufferedReader(cast("io.RawIOBase", stream))
    else:
        yield file


@contextmanager
def _translated(name: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise what a decompressor says of damaged bytes as an error of the archive."""
    known: tuple[type[Exception], ...] = (EOFError, OSError, *errors)
    try:
        yield
    except known as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk; bz2 and gzip raise it without a number
        raise header.InvalidArchive(name, f"the compressed data is damaged: {error}") from error
