"""Files on disk as memory maps, so that a large one is read only where it is used."""

import mmap
from pathlib import Path

from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument, NotFound


def map_file(path: Path, name: str = "") -> mmap.mmap:
    """Map a file into memory; its contents stay on disk until they are asked for.

    Args:
        path: the file; it must not be written to while the map is in use.
        name: what the reader knows it by; its path where that is empty.

    Raises:
        NotFound: the file can't be read.
        InvalidDocument: it is empty.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise InvalidDocument(name, "the file is empty") from error
    except OSError as error:
        raise NotFound(f"{name}: {error.strerror or error}", hint="give a readable file") from error


def map_elf(path: Path, name: str = "") -> Elf:
    """Read the tables of an ELF file by way of `map_file`.

    Raises:
        NotFound: the file can't be read.
        InvalidDocument: it is not an ELF file, or a broken one.
    """
    return Elf.parse(map_file(path, name), name or str(path))


def forget(elf: Elf, offset: int, size: int) -> None:
    """Give back the memory that a part of a mapped file takes; later access reads it from disk again.

    Source: madvise(2), MADV_DONTNEED.
    """
    mapped = elf.view.obj
    advice = getattr(mmap, "MADV_DONTNEED", None)
    start = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
    if isinstance(mapped, mmap.mmap) and advice is not None and start < offset + size:
        mapped.madvise(advice, start, offset + size - start)
