"""The files of a vulnerability database, and what tells that they are the same as before."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from wherry.errors import NotFound

FORMAT: Final = 2
"""Of an index; raised whenever it is written in another way."""
_DEEPEST = 8


def walk(folder: Path) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Give the JSON files below a folder with their relative paths, in order; links are not followed.

    Raises:
        NotFound: a folder cannot be read.
    """
    yield from _walk(folder, "", 0)


def _walk(folder: Path | str, relative: str, depth: int) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda one: one.name)
    except OSError as error:
        raise NotFound(f"{folder}: {error.strerror}", hint="give a directory that can be read") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if depth < _DEEPEST and not entry.name.startswith("."):
                yield from _walk(entry.path, f"{relative}{entry.name}/", depth + 1)
        elif is_json(entry.name) and entry.is_file(follow_symlinks=False):
            yield f"{relative}{entry.name}", entry


def stamps(path: Path) -> Mapping[str, tuple[int, int, int, int]]:
    """Give what changes once a file of a database was written again: size, times and inode by relative path."""
    if not path.is_dir():
        return {"": _stamp(path.stat())}
    return {relative: _stamp(entry.stat(follow_symlinks=False)) for relative, entry in walk(path)}


def _stamp(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def is_json(name: str) -> bool:
    """Tell by its name whether a file can be an entry."""
    return name.endswith((".json", ".json.gz"))
