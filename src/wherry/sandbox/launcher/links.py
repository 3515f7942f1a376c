"""Hard links in the cache, and what is said where its disk has none (FAT, some network and FUSE file systems)."""

import errno
import os

_REFUSED = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


def hard_link(first: str, place: str, first_folder: "int | None", folder: "int | None") -> None:
    """Give a file another name.

    Args:
        first: its name, below `first_folder`, or whole where that is None.
        place: the other name.
        first_folder: an open folder.
        folder: the open folder that `place` is below; None: it is a whole path.

    Raises:
        OSError: the disk refuses; ENOTSUP where it keeps no hard links.
    """
    try:
        os.link(first, place, src_dir_fd=first_folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise OSError(
            errno.ENOTSUP, "the file system of the cache does not support hard links, or refused this one", place
        ) from error
