"""Paths inside a root that nobody trusts: looked up, and made, without ever leaving it.

Symbolic links are read and followed here, never by the kernel, so an absolute link or a `..` ends at
the root. Only for roots in which no other process is at work: then no step can change under us.
"""

import errno
import os
import stat

_LINKS = 40  # as many as Linux follows (path_resolution(7))


class Misplaced(OSError):
    """A path can't be what is asked: a link where a folder must be, a file above a folder."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(errno.ENOTDIR, problem, path)


def open_inside(root: int, path: str, *, links: bool = True) -> int:
    """Open what is there, for its place only (O_PATH); the last link is followed too.

    Args:
        root: the open folder that `/` means.
        path: where; `..` and a leading `/` mean nothing above it.
        links: whether any link may be followed.

    Raises:
        FileNotFoundError, Misplaced: there is none.
    """
    return _walk(root, path, make=None, links=links)


def make_folder(root: int, path: str, *, links: bool = True) -> int:
    """Open the folder at a path, made with all above it (0755) where it is missing."""
    place = _walk(root, path, make="folder", links=links)
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        os.close(place)
        raise Misplaced(path, "is no folder, and one has to be there")
    return place


def make_file(root: int, path: str) -> int:
    """Open the file at a path, made empty where it is missing."""
    place = _walk(root, path, make="file", links=True)
    if stat.S_ISDIR(os.fstat(place).st_mode):
        os.close(place)
        raise Misplaced(path, "is a folder, and a file has to be there")
    return place


def _walk(root: int, path: str, *, make: "str | None", links: bool) -> int:
    todo = [name for name in reversed(path.split("/")) if name not in ("", ".")]
    trail = [os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)]
    followed = 0
    try:
        while todo:
            name = todo.pop()
            if name == "..":
                if len(trail) > 1:
                    os.close(trail.pop())
                continue
            place = _step(trail[-1], name, path, make=("folder" if todo else make) if make else None)
            if stat.S_ISLNK(os.fstat(place).st_mode):
                target = os.readlink("", dir_fd=place)
                os.close(place)
                followed += 1
                if not links or followed > _LINKS:
                    raise Misplaced(
                        path, f"{name} is a symbolic link, and none is followed here" if not links else "too many links"
                    )
                if target.startswith("/"):
                    _close(trail, keep=1)
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                continue
            trail.append(place)
        return trail.pop()
    finally:
        _close(trail, keep=0)


def _step(folder: int, name: str, path: str, *, make: "str | None") -> int:
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        if make is None:
            raise
    except NotADirectoryError as error:
        raise Misplaced(path, f"what is above {name} is no folder") from error
    if make == "folder":
        os.mkdir(name, 0o755, dir_fd=folder)
    else:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder))
    return os.open(name, flags, dir_fd=folder)


def _close(places: list[int], *, keep: int) -> None:
    while len(places) > keep:
        os.close(places.pop())
