"""Deleting folders whole, however deep they are."""

import os
import stat

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def delete_folder(folder: str, trash: str, above: "int | None" = None) -> None:
    """Delete one folder.

    What is below it is moved up into `trash` (an existing folder on the same disk) and deleted there,
    so that neither paths nor open files add up with the depth. No link is followed.

    Args:
        folder: its path, or its name in the open folder `above`.
        trash: where to.
        above: see `folder`.
    """
    into = os.open(trash, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    waiting: list[tuple[str, int | None]] = [(folder, above)]
    moved = 0
    try:
        while waiting:
            path, place = waiting.pop()
            _open_up(path, place)
            opened = os.open(path, _FOLDER, dir_fd=place)
            try:
                for name in os.listdir(opened):
                    if not stat.S_ISDIR(os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode):
                        os.unlink(name, dir_fd=opened)
                        continue
                    moved += 1
                    own = f"{os.getpid()}-{moved}"
                    _open_up(name, opened)  # a folder that is moved is written to: its `..` changes
                    os.rename(name, own, src_dir_fd=opened, dst_dir_fd=into)
                    waiting.append((own, into))
            finally:
                os.close(opened)
            os.rmdir(path, dir_fd=place)
    finally:
        os.close(into)


def _open_up(name: str, above: "int | None") -> None:
    """Give a folder's owner, us, all rights to it; a link in its place is ignored."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)
    finally:
        os.close(place)
