"""Deleting folders whole, however deep they are."""

import os
import stat

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def delete_folder(folder: str, trash: str) -> None:
    """Delete one folder.

    What is below it is moved up into `trash` (an existing folder on the same disk) and deleted there,
    so that neither paths nor open files add up with the depth.
    """
    waiting = [folder]
    moved = 0
    while waiting:
        path = waiting.pop()
        opened = os.open(path, _FOLDER)
        try:
            os.fchmod(opened, 0o700)
            for name in os.listdir(opened):
                if not stat.S_ISDIR(os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=opened)
                    continue
                moved += 1
                above = f"{trash}/{os.getpid()}-{moved}"
                os.chmod(name, 0o700, dir_fd=opened)
                os.rename(name, above, src_dir_fd=opened)
                waiting.append(above)
        finally:
            os.close(opened)
        os.rmdir(path)
