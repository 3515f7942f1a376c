"""An OCI layout folder, read. Untrusted input: links, sizes and index are all checked.

Source: OCI image-spec v1.1.1, image-layout.md.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from wherry.digest import Digest
from wherry.errors import BlobMissing, InvalidDocument, InvalidUsage, NotFound, SizeMismatch
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.layout import BLOBS, INDEX, MARKER, Layout, name_of, unnamed
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import InvalidReference, Reference
from wherry.store.contract import CHUNK, children, verified
from wherry.store.files import open_regular, read_regular

EMPTY = Index(schema_version=2, media_type=media.OCI_INDEX, manifests=())
_SHORTEST_PREFIX = 4


class LayoutFolder:
    """Blobs and names of a layout folder; a BlobSource. Nothing is locked and nothing written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = f"{folder}{os.sep}{BLOBS}{os.sep}"

    def path_of(self, digest: Digest) -> str:
        """Give the path of a blob; digests are well-formed, so that it is below the folder."""
        return f"{self._blobs}{digest.algorithm}{os.sep}{digest.encoded}"

    def has(self, blob: Descriptor) -> bool:
        """Report whether a regular file of the blob's size is in its place. One `stat`."""
        try:
            found = os.lstat(self.path_of(blob.digest))
        except OSError:
            return False
        return found.st_size == blob.size and stat.S_ISREG(found.st_mode)

    def local(self, blob: Descriptor) -> bool:
        """See `LocalSource.local`."""
        return self.has(blob)

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob in chunks from an offset on; read from 0, it ends normally only if the digest holds.

        Raises:
            BlobMissing: it is not here.
            SizeMismatch, DigestMismatch: something else is.
            InvalidDocument: a link or a device is in its place.
        """
        chunks = self.chunks(blob, offset)
        return chunks if offset else verified(blob, chunks, str(blob.digest))

    def chunks(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob from an offset on, unverified but for its size, for a caller that verifies it.

        Raises:
            BlobMissing, SizeMismatch, InvalidDocument: as `read`.
        """
        file = open_regular(self.path_of(blob.digest))
        if file is None:
            raise BlobMissing(str(blob.digest), str(self.folder))
        with os.fdopen(file, "rb", buffering=0) as reader:
            size = os.fstat(file).st_size
            if size != blob.size:
                raise SizeMismatch(str(blob.digest), expected=blob.size, actual=size)
            reader.seek(offset)
            rest = max(0, size - offset)
            while rest and (chunk := reader.read(min(CHUNK, rest))):
                rest -= len(chunk)
                yield chunk
        if rest:
            raise SizeMismatch(str(blob.digest), expected=blob.size, actual=blob.size - rest)

    def check_marker(self) -> None:
        """Make sure that the folder calls itself a layout.

        Raises:
            NotFound: it does not.
            InvalidDocument: it is one of a version we do not know.
        """
        marker = read_regular(self.folder / MARKER, LARGEST)
        if marker is None:
            raise NotFound(f"{self.folder}: not an OCI layout: no {MARKER} file", hint="give a layout directory")
        Layout.parse(marker, str(self.folder / MARKER))

    def index(self) -> Index:
        """Read `index.json`; an empty one where there is none yet.

        Raises:
            InvalidDocument: it is not an index, or larger than one may be.
        """
        path = self.folder / INDEX
        document = read_regular(path, LARGEST)
        return EMPTY if document is None else Index.parse(document, str(path))

    def tags(self) -> dict[str, Descriptor]:
        """Give the roots by name; one without a name goes by its digest.

        Raises:
            InvalidDocument: as `index`.
        """
        return {name_of(entry): unnamed(entry) for entry in self.index().manifests}

    def resolve(self, text: str) -> Descriptor:
        """Find what a user means: a name, `name@digest`, a digest, or the start of one that is tagged.

        Raises:
            NotFound: nothing; the hint has the nearest names.
            InvalidUsage: the start of several digests.
        """
        tags = self.tags()
        if (name := find_name(text, tags)) is not None:
            return tags[name]
        try:
            digest = Reference.parse(text if "@" in text else f"x@{text}").digest
        except InvalidReference:
            digest = None
        found = self._by_digest(digest, tags) if digest else _by_prefix(text, tags)
        if found is None:
            raise NotFound(f"{text}: no such image in {self.folder}", hint=_nearest(text, tags))
        return found

    def _by_digest(self, digest: Digest, tags: dict[str, Descriptor]) -> Descriptor | None:
        for root in tags.values():
            if root.digest == digest:
                return root
        for root in tags.values():
            if root.media_type in media.INDEXES and self.has(root):
                for child in children(root, self):
                    if child.digest == digest:
                        return child
        return self._untagged(digest)

    def _untagged(self, digest: Digest) -> Descriptor | None:
        try:
            document = read_regular(self.path_of(digest), LARGEST)
        except InvalidDocument:
            return None
        if document is None or (media_type := media_type_of(document)) is None:
            return None
        return Descriptor(media_type=media_type, digest=digest, size=len(document))


def media_type_of(document: bytes) -> str | None:
    """Report whether bytes are a manifest or an index, by what they hold; None where they are neither."""
    if not document.startswith(b"{"):
        return None
    try:
        return Index.parse(document, INDEX).media_type or media.OCI_INDEX
    except InvalidDocument:
        pass
    try:
        return Manifest.parse(document, "manifest").media_type or media.OCI_MANIFEST
    except InvalidDocument:
        return None


def find_name(text: str, tags: dict[str, Descriptor]) -> str | None:
    """Find the name a user means: as it stands, in its familiar form (`api` is `api:latest`), or with its digest."""
    if text in tags:
        return text
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return None
    name = str(replace(reference, digest=None))
    if name in tags and reference.digest in {None, tags[name].digest}:
        return name
    return None


def _by_prefix(text: str, tags: dict[str, Descriptor]) -> Descriptor | None:
    prefix = text.removeprefix("sha256:")
    if len(prefix) < _SHORTEST_PREFIX:
        return None
    found = {root.digest: root for root in tags.values() if root.digest.encoded.startswith(prefix)}
    if len(found) > 1:
        names = ", ".join(digest.short for digest in sorted(found))
        raise InvalidUsage(f"{text}: ambiguous, matches several digests ({names})", hint="give more digits, or a name")
    return next(iter(found.values()), None)


def _nearest(text: str, tags: dict[str, Descriptor]) -> str:
    import difflib

    if not tags:
        return "the store is empty; add images with `wherry build`, `wherry pull` or `wherry load`"
    near = difflib.get_close_matches(text, tags, n=3, cutoff=0.4)
    if near:
        return f"did you mean {', '.join(near)}?"
    return "`wherry images` lists all images"
