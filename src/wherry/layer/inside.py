"""Going through folders on disk without ever leaving one of them.

No link is left to the kernel: one that is met on the way is read and followed inside, as a container would see it.

Source: openat(2), path_resolution(7).
"""

import os
import shutil
import stat
from collections.abc import Sequence
from typing import Self

_MOST_LINKS = 40
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Names = tuple[bytes, ...]
"""Where a folder really is below the top one: no link and no `..` among them."""


class LinksInCircle(Exception):
    """A path leads through more links than any kernel follows."""


class Inside:
    """An open folder, the top one or one below it; a context that closes it."""

    def __init__(self, top: int) -> None:
        """Start at a top folder that is open already and stays so."""
        self._top = top
        self.names: Names = ()
        self.opened = os.dup(top)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.opened)

    def go(self, path: Sequence[bytes], *, make: bool) -> bool:
        """Go on to a folder; where `make` is set, one that is missing is made, and replaces what is not a folder.

        Returns:
            Whether it is there.

        Raises:
            LinksInCircle: links point to links, without end.
            OSError: a folder cannot be opened or made.
        """
        todo, links = list(reversed(path)), 0
        while todo:
            part = todo.pop()
            if part in {b"", b"."}:
                continue
            if part == b"..":
                self._move(self.names[:-1])
            elif (status := self.status(part)) is not None and stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    raise LinksInCircle
                target = os.readlink(part, dir_fd=self.opened)
                todo += target.split(b"/")[::-1]
                self._move(() if target.startswith(b"/") else self.names)
            elif status is not None and stat.S_ISDIR(status.st_mode):
                self._down(part)
            elif make:
                self.clear(part)
                os.mkdir(part, 0o755, dir_fd=self.opened)
                self._down(part)
                os.fchmod(self.opened, 0o755)  # whatever the caller's umask is
            else:
                return False
        return True

    def status(self, name: bytes) -> os.stat_result | None:
        """Look at a name in this folder, not through it; None is nothing."""
        try:
            return os.stat(name, dir_fd=self.opened, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def clear(self, name: bytes) -> bool:
        """Take away what is at a name in this folder; report whether there was something."""
        status = self.status(name)
        if status is None:
            return False
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(name, dir_fd=self.opened)
        else:
            os.unlink(name, dir_fd=self.opened)
        return True

    def _down(self, name: bytes) -> None:
        below = os.open(name, _FOLDER, dir_fd=self.opened)
        os.close(self.opened)
        self.opened = below
        self.names = (*self.names, name)

    def _move(self, names: Names) -> None:
        if names == self.names:
            return
        os.close(self.opened)
        self.opened, self.names = os.dup(self._top), ()
        for name in names:
            self._down(name)
