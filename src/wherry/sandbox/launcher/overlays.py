"""Layers joined by overlayfs.

Nothing of it is synced when it is unmounted (`volatile`, Linux 5.10): the kernel would write out the whole disk of the
upper folder, also what others wrote there, after each step. `snapshots/` knows which trees may be lost by a crash.

Source: Linux 6.18, Documentation/filesystems/overlayfs.rst, "Volatile mount".
"""

import errno
import os

from wherry.sandbox.launcher import syscalls

_MOST_LAYERS = 500  # OVL_MAX_STACK in Linux, fs/overlayfs/params.h


class MountRefused(OSError):
    """The kernel does not mount what the sandbox needs."""


def overlay(layers: "list[str]", writable: str) -> int:
    """Join layers under one that takes the writes: the folder `tree` of `writable`, next to its folder `work`.

    Each layer is handed over by itself (`lowerdir+`, Linux 6.7), which has no limit on their names; older
    kernels get one line with short links in it.

    Raises:
        MountRefused: the kernel does not join them.
    """
    if len(layers) > _MOST_LAYERS:
        raise MountRefused(
            errno.E2BIG, f"the image has {len(layers)} layers; overlayfs supports at most {_MOST_LAYERS}"
        )
    lowers = _once(layers) or [f"{writable}/empty"]
    if not layers:
        os.makedirs(lowers[0], 0o755, exist_ok=True)
    try:
        return _joined(lowers, writable)
    except OSError as error:
        raise MountRefused(error.errno, f"cannot mount the layers: {error.strerror}") from error


def overlay_to_read(layers: "list[str]", empty: str) -> int:
    """Join layers to be read only; give the folder they make, open.

    Args:
        layers: folders, base first.
        empty: an empty folder.

    Raises:
        MountRefused: the kernel does not join them.
    """
    if not layers:
        return os.open(empty, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    lowers = _once(layers)
    lowers = [*lowers, *([empty] if len(lowers) == 1 else [])]
    places = [os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for lower in lowers]
    try:
        names: list[tuple[str, str | None]] = [("lowerdir+", f"/proc/self/fd/{place}") for place in places]
        return syscalls.new_filesystem("overlay", [*names, ("userxattr", None)])
    except OSError as error:
        raise MountRefused(error.errno, f"cannot mount the layers: {error.strerror}") from error
    finally:
        for place in places:
            os.close(place)


def _once(layers: "list[str]") -> "list[str]":
    """Give layers topmost first; of one that an image has twice only the upper, which hides the lower anyway."""
    return list(dict.fromkeys(reversed(layers)))


_OVERLAY: "list[tuple[str, str | None]]" = [("userxattr", None), ("index", "off"), ("metacopy", "off")]
_UNSYNCED: "list[tuple[str, str | None]]" = [*_OVERLAY, ("volatile", None)]


def _joined(lowers: "list[str]", writable: str) -> int:
    """Mount in the newest way that this kernel knows."""
    for name in ("incompat/volatile", "incompat"):  # by which the kernel refuses what was mounted so before
        try:
            os.rmdir(f"{writable}/work/{name}")
        except OSError:
            continue
    for options in (_UNSYNCED, _OVERLAY):
        for join in (_overlay_by_layer, _overlay_by_line):
            try:
                return join(lowers, writable, options)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
                refused = error
    raise refused


def _overlay_by_layer(lowers: "list[str]", writable: str, options: "list[tuple[str, str | None]]") -> int:
    places = [os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for lower in lowers]
    own: list[tuple[str, str | None]] = [("upperdir", f"{writable}/tree"), ("workdir", f"{writable}/work")]
    try:
        names: list[tuple[str, str | None]] = [("lowerdir+", f"/proc/self/fd/{place}") for place in places]
        return syscalls.new_filesystem("overlay", [*names, *own, *options])
    finally:
        for place in places:
            os.close(place)


def _overlay_by_line(lowers: "list[str]", writable: str, options: "list[tuple[str, str | None]]") -> int:
    here = os.getcwd()
    folder = f"{writable}/line"
    os.makedirs(f"{folder}/root", exist_ok=True)
    os.chdir(folder)
    try:
        links = {str(number): lower for number, lower in enumerate(lowers)}
        for name, target in {**links, "tree": f"{writable}/tree", "work": f"{writable}/work"}.items():
            if not os.path.lexists(name):  # it was, where another way was tried before
                os.symlink(target, name)
        words = [f"lowerdir={':'.join(links)}", "upperdir=tree", "workdir=work"]
        words += [key if value is None else f"{key}={value}" for key, value in options]
        syscalls.mount_legacy("overlay", b"root", ",".join(words))
        return syscalls.clone_mount("root", recursive=False)
    finally:
        os.chdir(here)
