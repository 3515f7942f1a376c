"""Blobs that an image needs and that are not here on purpose: which repositories have them.

A base that is only pushed again needs no layer here. One small file a blob, so that builds side by side do not wait
for each other.
"""

from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from wherry.digest import Digest
from wherry.store.files import incoming, read_regular

_LARGEST = 64 * 1024


class Elsewhere:
    """Where blobs live that are not here, by digest."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch

    def note(self, digest: Digest, place: str) -> None:
        """Remember that a repository, such as `registry.example/base`, has a blob.

        Raises:
            CannotWrite: no space, or not allowed.
        """
        known = self.places(digest)
        if place in known:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with incoming(self._scratch, self._folder) as file:
            file.write("".join(f"{one}\n" for one in (place, *known)).encode())
            file.move(self.file_of(digest), durable=False)

    def places(self, digest: Digest) -> tuple[str, ...]:
        """Name the repositories that have a blob, the last noted first; empty where none is known."""
        return tuple((read_regular(self.file_of(digest), _LARGEST) or b"").decode().split())

    def forget_but(self, needed: AbstractSet[Digest]) -> None:
        """Forget all but some blobs."""
        names = {self.file_of(digest).name for digest in needed}
        with suppress(FileNotFoundError):
            for file in self._folder.iterdir():
                if file.name not in names:
                    file.unlink(missing_ok=True)

    def file_of(self, digest: Digest) -> Path:
        """Say where it is noted who has a blob."""
        return self._folder / digest.replace(":", "-")
