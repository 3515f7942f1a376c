"""The names in a store's index: read, changed and renamed into place under a lock that is held for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from wherry.errors import CannotWrite, NotFound
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.layout import INDEX, name_of
from wherry.oci.manifest import Index
from wherry.store.files import incoming
from wherry.store.layout import LayoutFolder, find_name
from wherry.store.locks import alone
from wherry.store.prepare import OWN


class Names:
    """Changes the index of a layout folder."""

    def __init__(self, store: LayoutFolder) -> None:
        self._store = store
        self._own = store.folder / OWN

    def put(self, entry: Descriptor) -> None:
        """Point the name in an entry's annotations at it.

        Raises:
            CannotWrite: no space, not allowed, or the index would be larger than readers take.
        """
        with self._changing() as index:
            self._replace(index, _with(index, entry))

    def take(self, name: str) -> Descriptor:
        """Take a name away; give the root it led to.

        Raises:
            NotFound: no image has that name; the hint has the nearest.
        """
        with self._changing() as index:
            tags = self._store.tags()
            found = find_name(name, tags)
            if found is None:
                raise self.unknown(name)
            self._replace(index, tuple(entry for entry in index.manifests if name_of(entry) != found))
        return tags[found]

    def unknown(self, name: str) -> NotFound:
        """Say that an image is not named so: it may have other names, or a similar name exist."""
        try:
            root = self._store.resolve(name)
        except NotFound as error:
            return error
        names = ", ".join(tag for tag, tagged in self._store.tags().items() if tagged.digest == root.digest) or "none"
        return NotFound(f"{name}: identifies an image, but is not one of its names", hint=f"its names are: {names}")

    @contextmanager
    def _changing(self) -> Iterator[Index]:
        with alone(self._own / "tags.lock"):
            yield self._store.index()

    def _replace(self, index: Index, entries: tuple[Descriptor, ...]) -> None:
        if entries == index.manifests:
            return
        file_name = self._store.folder / INDEX
        document = msgspec.structs.replace(index, manifests=entries).encoded()
        if len(document) > LARGEST:
            raise CannotWrite(
                f"{file_name}: {len(document)} bytes with one more name; the limit is {LARGEST}",
                hint="remove some names with `wherry rm`",
            )
        with incoming(self._own, self._store.folder) as file:
            file.write(document)
            file.move(file_name, durable=True)


def _with(index: Index, entry: Descriptor) -> tuple[Descriptor, ...]:
    """Put an entry where its name was, or at the end; a nameless entry of the same root goes."""
    name, entries, placed = name_of(entry), [], False
    for old in index.manifests:
        if name_of(old) == name:
            if not placed:
                entries.append(entry)
            placed = True
        elif name_of(old) != entry.digest:
            entries.append(old)
    return tuple(entries) if placed else (*entries, entry)
