"""What a layer's files have besides their bytes: owners, modes, attributes; as far as the sandbox's ids go."""

import errno
import os
import stat

from wherry.sandbox.layer_stack import OPAQUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import FileOwner, Frame, Ids

_NOBODY = 65534
_ORIGIN = "user.overlay.origin"
HIGHEST_ID = (1 << 32) - 2
"""The largest id of a user or group; one more means "none" to chown(2)."""
_DIGITS = 20
OWNER = "user.wherry.owner"
"""Keeps `uid:gid` in an attribute of a file where the sandbox has only one ID."""


class OwnerWriter:
    """Gives files what their entries say."""

    def __init__(self, ids: "Ids | None") -> None:
        """Take the ids there are; None: all."""
        self._ids = ids
        self._kept = ids is None or not ids["single"]

    def describe(self, opened: int, frame: "Frame") -> None:
        """Give an open file or folder its owner, mode and attributes; what is the overlay's own is not taken over."""
        if self._kept:
            os.fchown(opened, *self._of(frame))
        else:
            _note(f"/proc/self/fd/{opened}", frame["uid"], frame["gid"])
        os.fchmod(opened, frame["mode"])
        for name, value in frame["attributes"].items():
            if name.startswith("user.") and not name.startswith("user.overlay.") and name != OWNER:
                _set_attribute(opened, name, value)

    def own(self, folder: int, name: str, frame: "Frame") -> None:
        """Give a link or pipe its owner."""
        if self._kept:
            os.chown(name, *self._of(frame), dir_fd=folder, follow_symlinks=False)

    def own_open(self, opened: int, owner: "FileOwner") -> None:
        """Give an open file its owner."""
        if self._kept:
            try:
                os.fchown(opened, owner["uid"], owner["gid"])
            except OSError as error:
                raise _not_ours(error, owner, "") from error
        else:
            _note(f"/proc/self/fd/{opened}", owner["uid"], owner["gid"])

    def own_name(self, folder: int, name: str, owner: "FileOwner", *, link: bool = False) -> None:
        """Give what is at a path its owner, which has to be one of ours.

        Raises:
            OSError: it is invalid.
        """
        uid, gid = owner["uid"], owner["gid"]
        if not self._kept:
            if not link:
                _note(f"/proc/self/fd/{folder}/{name}", uid, gid)
            return
        try:
            os.chown(name or ".", uid, gid, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            raise _not_ours(error, owner, name) from error

    def resemble(self, opened: int, status: os.stat_result) -> None:
        """Give an open file or folder the owner and mode of another."""
        if self._kept:
            os.fchown(opened, status.st_uid, status.st_gid)
        os.fchmod(opened, stat.S_IMODE(status.st_mode))

    def _of(self, frame: "Frame") -> tuple[int, int]:
        if self._ids is None:
            return frame["uid"], frame["gid"]
        return _mapped(frame["uid"], self._ids["uids"]), _mapped(frame["gid"], self._ids["gids"])


def _not_ours(error: OSError, owner: "FileOwner", name: str) -> OSError:
    if error.errno != errno.EINVAL:
        return error
    whose = f"{owner['uid']}:{owner['gid']}"
    problem = f"this user cannot map {whose}; see /etc/subuid and /etc/subgid"
    return OSError(errno.EINVAL, problem, f"/{name}")


def read_owner(root: int, path: str, status: os.stat_result) -> tuple[int, int]:
    """Read the owner of a file, from its attribute if there is one."""
    if status.st_uid == 0 and status.st_gid == 0 and not stat.S_ISLNK(status.st_mode):
        try:
            uid, _, gid = os.getxattr(f"/proc/self/fd/{root}/{path}", OWNER, follow_symlinks=False).partition(b":")
            if uid.isdigit() and gid.isdigit() and len(uid) < _DIGITS and len(gid) < _DIGITS:
                return min(int(uid), HIGHEST_ID), min(int(gid), HIGHEST_ID)  # a step can write the note too
        except OSError:
            pass
    return status.st_uid, status.st_gid


def _note(path: str, uid: int, gid: int) -> None:
    if (uid, gid) != (0, 0):
        _set_attribute_at(path, OWNER, b"%d:%d" % (uid, gid))


def note_made(tree: str, uid: int, gid: int) -> None:
    """Note the owner of all that a program of one user has made in a layer's folder, where there is one id.

    What an overlay copied up to be changed has a mark of where it came from, and the owner that it had.

    Args:
        tree: the layer's folder; nothing is at work in it any more.
        uid: the user.
        gid: the user's group.
    """
    for _, folders, files, opened in os.fwalk(tree, follow_symlinks=False):
        for name in (*folders, *files):
            mode = os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode
            path = f"/proc/self/fd/{opened}/{name}"
            if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and not {OWNER, _ORIGIN} & set(os.listxattr(path)):
                _note(path, uid, gid)


def hide_below(folder: int) -> None:
    """Let an open folder hide those at its path in the layers below.

    Raises:
        OSError: the disk keeps no such mark.
    """
    try:
        os.setxattr(folder, OPAQUE, b"y")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        problem = (
            "the file system of the cache does not support user extended attributes, needed for deleted directories"
        )
        raise OSError(error.errno, problem) from error


def _mapped(number: int, runs: "list[tuple[int, int, int]]") -> int:
    """Give an ID that the sandbox has: the wanted one, or that of nobody, or root's."""
    for wanted in (number, _NOBODY):
        if any(inside <= wanted < inside + count for inside, _, count in runs):
            return wanted
    return 0


def _set_attribute(opened: int, name: str, value: bytes) -> None:
    _set_attribute_at(f"/proc/self/fd/{opened}", name, value)


def _set_attribute_at(path: str, name: str, value: bytes) -> None:
    """Set an attribute, where the disk keeps any."""
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EINVAL):
            raise  # the last two: a name that is too long, or none
