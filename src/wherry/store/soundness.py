"""Which blobs were found to be what their names say, so that each is hashed once a boot and only stat'ed afterwards.

A file keeps the stamp (size, times, inode) of each blob that was verified or written since the machine started; bytes
that a program changes give another stamp, and what a disk changes while it is off is found by the next boot's
first look. The file is a cache: torn or foreign lines count for nothing.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from wherry.digest import Digest
from wherry.errors import WherryError
from wherry.oci.descriptor import Descriptor
from wherry.store.contract import walk
from wherry.store.layout import LayoutFolder

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_FIELDS = 5


class Soundness:
    """The stamps of a store's verified blobs."""

    def __init__(self, file: Path, boot: Path = _BOOT) -> None:
        """Take the file, which is made when a blob is first noted.

        Args:
            file: in the store's own folder.
            boot: a file with what differs from boot to boot; where there is none, stamps hold for good.
        """
        self._file = file
        self._boot_file = boot
        self._known: dict[str, str] | None = None
        self._boot = ""

    def verified(self, digest: Digest, found: os.stat_result) -> bool:
        """Report whether the blob of a digest was verified since the machine started, and has not changed since."""
        return self._read().get(digest) == _stamp(found)

    def note(self, digest: Digest, found: os.stat_result) -> None:
        """Remember that a blob was verified; a store that can't be written is verified again."""
        known, stamp = self._read(), _stamp(found)
        if known.get(digest) == stamp:
            return
        start = "" if known or self._current() else f"{self._boot}\n"
        known[digest] = stamp
        with suppress(OSError), self._file.open("w" if start else "a") as file:
            file.write(f"{start}{digest} {stamp}\n")

    def _read(self) -> dict[str, str]:
        if self._known is None:
            with suppress(OSError):
                self._boot = self._boot_file.read_text().strip()
            self._known = dict(self._lines())
        return self._known

    def _lines(self) -> Iterator[tuple[str, str]]:
        try:
            first, *lines = self._file.read_text("ascii", "replace").split("\n")
        except (OSError, ValueError):
            return
        if first != self._boot:
            return
        for line in lines:
            digest, _, stamp = line.partition(" ")
            if stamp.count(" ") == _FIELDS - 1:
                yield digest, stamp

    def _current(self) -> bool:
        """Report whether the file is of this boot, though it has no line yet."""
        try:
            with self._file.open("rb") as file:
                return file.readline(100).decode(errors="replace").rstrip("\n") == self._boot
        except OSError:
            return False


class DamagedImage(WherryError):
    """Part of an image is not what its digest says, or is missing."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        super().__init__(
            "; ".join((f"{name}: the image is damaged or incomplete", *lines)),
            hint="build, pull or load it again; this restores what is missing",
        )


def hurt(store: LayoutFolder, digest: Digest) -> tuple[str, ...]:
    """Name the images that a damaged blob belongs to."""
    return tuple(name for name, root in store.tags().items() if _leads_to(store, root, digest))


def _leads_to(store: LayoutFolder, root: Descriptor, digest: Digest) -> bool:
    try:
        for blob in walk([root], store):
            if blob.digest == digest:
                return True
    except WherryError as error:
        return str(digest) in str(error)
    return False


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}"
