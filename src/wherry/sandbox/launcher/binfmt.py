"""Emulators that the host's kernel holds (binfmt_misc, flag F): kept from steps that could change them.

Such an emulator is the host's file wherever it is started, and /proc/self/exe points to it. A user namespace with a
binfmt_misc of its own, even an empty one, has no others (Linux 6.7). Who is not root on the host can't change them.

Source: Linux 6.18, fs/binfmt_misc.c `load_binfmt_misc`; Documentation/admin-guide/binfmt-misc.rst.
"""

import os

from wherry.sandbox.launcher import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import Ids


held = False
"""Whether there are such emulators, and this process is root where they are."""


def look() -> None:
    """Look for them, before a user namespace hides them from us."""
    global held  # noqa: PLW0603 - a fact about the machine, for this process
    held = os.geteuid() == 0 and _held()


def own_namespace() -> "Ids | None":
    """Give the ids for a namespace that a step of root's needs to be kept from them; None where there are none."""
    look()
    if not held:
        return None
    uids, gids = (_same(f"/proc/self/{kind}_map") for kind in ("uid", "gid"))
    return {"uids": uids, "gids": gids, "mappers": [], "single": False, "optional": True}


def hide() -> bool:
    """Have no emulators in this user namespace; report whether that could be done, or need not be."""
    if not _known():
        return True
    try:
        os.close(syscalls.new_filesystem("binfmt_misc", []))
    except OSError:
        return False
    return True


def _held() -> bool:
    """Report whether the kernel holds an emulator's file, be the file system mounted on the host or not."""
    if not _known():
        return False
    try:
        mount = syscalls.new_filesystem("binfmt_misc", [])
    except OSError:
        return False
    try:
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
    finally:
        os.close(mount)
    try:
        names = os.listdir(folder)
        return any(_has_flag(folder, name) for name in names if name not in ("register", "status"))
    finally:
        os.close(folder)


def _has_flag(folder: int, name: str) -> bool:
    try:
        with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder), "rb") as file:
            lines = file.read(1 << 12).splitlines()
    except OSError:
        return False
    return b"enabled" in lines and any(line.startswith(b"flags:") and b"F" in line for line in lines)


def _known() -> bool:
    """Report whether the kernel has it loaded; we don't have it loaded for this."""
    try:
        with open("/proc/filesystems", "rb") as file:
            return b"\tbinfmt_misc\n" in file.read()
    except OSError:
        return False


def _same(table: str) -> "list[tuple[int, int, int]]":
    with open(table, "rb") as file:
        rows = [[int(word) for word in line.split()] for line in file]
    return [(first, first, count) for first, _, count in rows]
