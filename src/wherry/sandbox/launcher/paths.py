"""Paths inside an untrusted root: looked up, and made, without ever leaving it.

Symbolic links are read and followed here, never by the kernel, so an absolute link or a `..` ends at
the root. Only for roots in which no other process is at work: then no step can change under us.
"""

import errno
import os
import stat

_LINKS = 40  # as many as Linux follows (path_resolution(7))
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Made = list[tuple[str, int, int]]
    """What was made: its path, and when the folder above it was changed last before and after (nanoseconds)."""


class UnsuitablePath(OSError):
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


def make_folder(root: int, path: str, *, links: bool = True, made: "Made | None" = None) -> int:
    """Open the folder at a path, made with all above it (0755) where it is missing; `made` is called for each."""
    place = _walk(root, path, make="folder", links=links, made=made)
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        os.close(place)
        raise UnsuitablePath(path, "must be a directory")
    return place


def make_file(root: int, path: str, *, made: "Made | None" = None) -> int:
    """Open the file at a path, made empty where it is missing; `made` is called if it was."""
    place = _walk(root, path, make="file", links=True, made=made)
    if stat.S_ISDIR(os.fstat(place).st_mode):
        os.close(place)
        raise UnsuitablePath(path, "must be a file")
    return place


def open_real(root: int, path: str, flags: int = os.O_RDONLY | os.O_DIRECTORY) -> int:
    """Open what is at a path that has no link in it, for a tree in which a program was at work.

    Raises:
        OSError: it is not there, or a link is on the way, or its end is one: then it is not what it was.
    """
    from wherry.sandbox.launcher import (
        syscalls,  # the caller's side, which needs no system calls, imports this module too
    )

    names = path.strip("/")
    if not names:
        return os.open(".", flags | os.O_CLOEXEC, dir_fd=root)
    try:
        return syscalls.open_below(
            root, names, flags, resolve=syscalls.BENEATH | syscalls.NO_LINKS | syscalls.NO_MAGIC_LINKS
        )
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    return _open_by_steps(root, names, flags)


def _open_by_steps(root: int, names: str, flags: int) -> int:
    """Open it name by name, as strictly as openat2(2) would."""
    *above, last = names.split("/")
    here = os.open(".", _PLACE, dir_fd=root)
    try:
        for name in above:
            if name == "..":
                raise UnsuitablePath(names, "is outside the root")
            below = os.open(name, _PLACE | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        if last == "..":
            raise UnsuitablePath(names, "is outside the root")
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)


def take_away(tree: str, made: "Made") -> None:
    """Take away what was made to mount on and is still empty, and the traces of that in the folders above.

    What a program has moved or replaced by a link since then stays (CVE-2024-23652).
    """
    root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for path, before, after in reversed(made):
            _take_one_away(root, path, before, after)
    finally:
        os.close(root)


def _take_one_away(root: int, path: str, before: int, after: int) -> None:
    above, _, name = path.rpartition("/")
    try:
        folder = open_real(root, above)
    except OSError:
        return  # the program has made something else of it
    try:
        times, status = os.fstat(folder), os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=folder)
        elif stat.S_ISREG(status.st_mode) and not status.st_size:
            os.unlink(name, dir_fd=folder)
        if times.st_mtime_ns == after:
            os.utime(folder, ns=(times.st_atime_ns, before))
    except OSError:
        return  # the program has made something of it, so it stays
    finally:
        os.close(folder)


def resolve(root: int, path: str, *, last: bool = True, hidden: "Callable[[str], bool] | None" = None) -> "list[str]":
    """Follow a path's links inside a root; what is missing stays unchanged.

    Args:
        root: the open folder that `/` means.
        path: where; `..` and a leading `/` mean nothing above it.
        last: whether a link at its end is followed too.
        hidden: reports whether a path without links counts as missing.

    Returns:
        The names on the way, none of which is a link.

    Raises:
        Misplaced: the links go in circles.
    """
    todo = [name for name in reversed(path.split("/")) if name not in ("", ".")]
    real: list[str] = []
    followed = 0
    while todo:
        name = todo.pop()
        if name == "..":
            del real[-1:]
            continue
        place = "/".join((*real, name))
        target = _link(place, root) if (todo or last) and not (hidden and hidden(place)) else None
        if target is None:
            real.append(name)
            continue
        followed += 1
        if followed > _LINKS:
            raise UnsuitablePath(path, "has too many levels of symbolic links")
        if target.startswith("/"):
            real.clear()
        todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return real


def _link(path: str, root: int) -> "str | None":
    try:
        return os.readlink(path, dir_fd=root)
    except OSError:  # no link, or nothing there
        return None


def _walk(root: int, path: str, *, make: "str | None", links: bool, made: "Made | None" = None) -> int:
    names: list[str] = []
    todo = [name for name in reversed(path.split("/")) if name not in ("", ".")]
    trail = [os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)]
    followed = 0
    try:
        while todo:
            name = todo.pop()
            if name == "..":
                if len(trail) > 1:
                    os.close(trail.pop())
                    names.pop()
                continue
            kind = ("folder" if todo else make) if make else None
            place = _step(trail[-1], name, path, make=kind, made=made, above=names)
            if stat.S_ISLNK(os.fstat(place).st_mode):
                target = _target(place, name, path)
                followed += 1
                if not links or followed > _LINKS:
                    raise UnsuitablePath(
                        path, f"{name} is a symbolic link, which is not allowed" if not links else "too many links"
                    )
                if target.startswith("/"):
                    _close(trail, keep=1)
                    names.clear()
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                continue
            trail.append(place)
            names.append(name)
        return trail.pop()
    finally:
        _close(trail, keep=0)


def _target(place: int, name: str, path: str) -> str:
    """Read a link, and close it; what /proc shows of an open file is not one (CVE-2024-21626)."""
    from wherry.sandbox.launcher import syscalls  # as above

    try:
        target = os.readlink("", dir_fd=place)
        if (target.startswith("/") or ":" in target) and syscalls.is_on_proc(place):
            raise UnsuitablePath(path, f"{name} is a process's open file, not a path")
    finally:
        os.close(place)
    return target


def _step(folder: int, name: str, path: str, *, make: "str | None", made: "Made | None", above: "list[str]") -> int:
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        if make is None:
            raise
    except NotADirectoryError as error:
        raise UnsuitablePath(path, f"the parent of {name} is not a directory") from error
    before = os.fstat(folder).st_mtime_ns if made is not None else 0
    if make == "folder":
        os.mkdir(name, 0o755, dir_fd=folder)
    else:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder))
    if made is not None:
        made.append(("/".join((*above, name)), before, os.fstat(folder).st_mtime_ns))
    return os.open(name, flags, dir_fd=folder)


def _close(places: list[int], *, keep: int) -> None:
    while len(places) > keep:
        os.close(places.pop())


def entered(path: str) -> bool:
    """Go to the working directory, unless this process may not."""
    try:
        change_folder(path)
    except PermissionError:
        return False
    return True


def change_folder(path: str) -> None:
    """Go to the working directory by names and links alone: /proc/self/fd/7 is one of ours (CVE-2024-21626)."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    folder = open_inside(root, path)
    os.fchdir(folder)
    os.close(folder)
    os.close(root)
