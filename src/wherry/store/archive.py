"""Images in one file: OCI layout tars and what `docker save` writes, read by seeking and written as a stream.

What we write for Docker is what buildx writes: a layout with a `manifest.json` next to it, so that a `docker load` of
any age takes it. The same images give the same bytes: fixed order, times 0, no owners.
Sources: OCI image-spec v1.1.1, image-layout.md; Docker image specification v1.2 (`manifest.json`).
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Self

import msgspec

from wherry.digest import Digest, InvalidDigest
from wherry.errors import BlobMissing, DigestMismatch, InvalidDocument, InvalidUsage, SizeMismatch
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST, encode
from wherry.oci.layout import BLOBS, CONTAINERD_NAME, INDEX, LAYOUT, MARKER, Layout, name_of, named, unnamed
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import Reference
from wherry.store.contract import CHUNK, BlobSource, read_whole, walk
from wherry.store.docker_save import MANIFEST, DockerImages, Saved, read_docker_save
from wherry.store.files import ByteSink
from wherry.store.images import images_of
from wherry.store.members import BLOCK, Member, Members


class ArchiveSource:
    """A BlobSource over a tar, plain or compressed; opened when first read."""

    def __init__(self, path: Path, *, scratch: Path | None = None, shown: str = "") -> None:
        """Take a path; nothing is opened yet.

        Args:
            path: the archive.
            scratch: folder for a compressed one while it is read; None: the system's.
            shown: what errors call it; empty: its path.
        """
        self._path = path
        self._shown = shown or str(path)
        self._scratch = scratch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if it was opened."""
        if "_members" in self.__dict__:
            self._members.close()

    def roots(self) -> dict[str, Descriptor]:
        """Give the images by name; one without a name goes by its digest.

        Raises:
            InvalidDocument: it is not an archive of images, or one that means harm.
        """
        return self._images.roots

    def has(self, blob: Descriptor) -> bool:
        """Report whether a blob of that digest and size is in the archive."""
        if (document := self._images.documents.get(blob.digest)) is not None:
            return len(document) == blob.size
        member = self._images.members.get(blob.digest)
        return member is not None and member.size == blob.size

    def local(self, blob: Descriptor) -> bool:
        """See `LocalSource.local`."""
        return self.has(blob)

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob in chunks from an offset on; read from 0, it ends normally only if the digest holds.

        Raises:
            BlobMissing: it is not in the archive.
            SizeMismatch, DigestMismatch: something else is.
        """
        state = blob.digest.hasher()
        document = self._images.documents.get(blob.digest)
        member = self._images.members.get(blob.digest)
        if member is None:
            if document is None:
                raise BlobMissing(str(blob.digest), self._shown)
            member = Member("", 0, len(document))
        if member.size != blob.size:
            raise SizeMismatch(str(blob.digest), expected=blob.size, actual=member.size)
        for start in range(offset, member.size, CHUNK):
            end = min(start + CHUNK, member.size)
            chunk = (
                self._members.read_at(member.offset + start, end - start) if document is None else document[start:end]
            )
            if not offset:
                state.update(chunk)
            yield chunk
        if not offset and (actual := Digest.from_hash(state)) != blob.digest:
            raise DigestMismatch(str(blob.digest), expected=blob.digest, actual=actual)

    @cached_property
    def _members(self) -> Members:
        return Members(self._path, self._scratch, self._shown)

    @cached_property
    def _images(self) -> DockerImages:
        members = self._members
        if (index := members.document(INDEX, LARGEST)) is not None:
            return self._layout(members, index)
        if members.find(MANIFEST) is not None:
            return read_docker_save(members)
        raise InvalidDocument(
            self._shown,
            f"not an image archive: it has neither {INDEX} nor {MANIFEST}",
            hint=f"pack a layout from its directory: tar -C DIR -cf FILE {MARKER} {INDEX} {BLOBS}",
        )

    def _layout(self, members: Members, index: bytes) -> DockerImages:
        name = f"{self._shown}: {MARKER}"
        Layout.parse(members.document(MARKER, LARGEST) or b"", name)
        entries = Index.parse(index, f"{self._shown}: {INDEX}").manifests
        blobs: dict[Digest, Member] = {}
        for path in members.names():
            folder, _, rest = path.partition("/")
            if folder == BLOBS and rest.count("/") == 1:
                try:
                    digest = Digest.parse(rest.replace("/", ":"))
                except InvalidDigest:
                    continue
                if member := members.find(path):
                    blobs[digest] = member
        return DockerImages({name_of(entry): unnamed(entry) for entry in entries}, {}, blobs)


def write_oci_archive(out: ByteSink, source: BlobSource, roots: Mapping[str, Descriptor]) -> None:
    """Write an OCI layout tar.

    Args:
        out: where to; `store.files.replacing` gives a file that is whole or not there.
        source: what the blobs are read from.
        roots: the images by name.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch: as `BlobSource.read`; what was written is of no use then.
        CannotWrite: no space, or not allowed.
    """
    _write(out, source, index_of(roots), {})


def write_docker_archive(out: ByteSink, source: BlobSource, roots: Mapping[str, Descriptor]) -> None:
    """Write an archive for `docker load`: an OCI layout tar with a `manifest.json`, as buildx's `type=docker`.

    Args:
        out: where to; `store.files.replacing` gives a file that is whole or not there.
        source: what the blobs are read from.
        roots: the images by name; each of one platform.

    Raises:
        InvalidUsage: an image has several platforms, which Docker's format can't hold.
        BlobMissing, DigestMismatch, SizeMismatch, CannotWrite: as `write_oci_archive`.
    """
    single = {name: _only_manifest(source, root, name) for name, root in roots.items()}
    names: dict[Digest, list[str]] = {}
    for name, root in sorted(single.items()):
        names.setdefault(root.digest, []).extend([] if name == root.digest else [name])
    saved = []
    for digest, tags in names.items():
        root = next(root for root in single.values() if root.digest == digest)
        manifest = Manifest.parse(read_whole(source, root), str(digest))
        layers = tuple(_path(layer) for layer in manifest.stack)
        saved.append(Saved(config=_path(manifest.config), layers=layers, repo_tags=tuple(tags) or None))
    _write(out, source, Index.of(_entries(single)), {MANIFEST: encode(saved)})


def index_of(roots: Mapping[str, Descriptor]) -> Index:
    """Name images as an archive's index does, so that a folder can say the same."""
    return Index.of(_entries(roots))


def _entries(roots: Mapping[str, Descriptor]) -> tuple[Descriptor, ...]:
    """Give an index's entries: a tag as buildx has it, besides the full name, and that alone where two share a tag."""
    tagged: dict[str, set[Digest]] = {}
    for name, root in roots.items():
        if name != root.digest:
            tagged.setdefault(Reference.parse(name).tag, set()).add(root.digest)
    entries = []
    for name, root in sorted(roots.items()):
        if name == root.digest:
            entries.append(root)
            continue
        reference = Reference.parse(name)
        entry = named(root, reference.tag if len(tagged[reference.tag]) == 1 and reference.tag else name)
        whole = {**entry.annotations, CONTAINERD_NAME: reference.canonical}
        entries.append(msgspec.structs.replace(entry, annotations=whole))
    return tuple(entries)


def _only_manifest(source: BlobSource, root: Descriptor, name: str) -> Descriptor:
    if root.media_type in media.MANIFESTS:
        return root
    images = images_of(source, root)
    if len(images) == 1:
        return images[0].descriptor
    platforms = ", ".join(str(image.platform) for image in images)
    raise InvalidUsage(
        f"{name}: {len(images)} platforms ({platforms}), but a docker archive holds one",
        hint="choose one with --platform, or write an OCI archive (--format oci)",
    )


def _path(blob: Descriptor) -> str:
    return f"{BLOBS}/{blob.digest.algorithm}/{blob.digest.encoded}"


def _write(out: ByteSink, source: BlobSource, index: Index, documents: Mapping[str, bytes]) -> None:
    for name, document in {MARKER: LAYOUT.encoded(), INDEX: index.encoded(), **documents}.items():
        out.write(_header(name, len(document)))
        out.write(document + bytes(-len(document) % BLOCK))
    blobs = {blob.digest: blob for blob in walk(index.manifests, source)}
    folders = {f"{BLOBS}/", *(f"{BLOBS}/{digest.algorithm}/" for digest in blobs)}
    for folder in sorted(folders):
        out.write(_header(folder, 0))
    for _, blob in sorted(blobs.items()):
        out.write(_header(_path(blob), blob.size))
        for chunk in source.read(blob):
            out.write(chunk)
        out.write(bytes(-blob.size % BLOCK))
    out.write(bytes(2 * BLOCK))


def _header(name: str, size: int) -> bytes:
    import tarfile

    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o644
    if name.endswith("/"):
        header.type, header.mode = tarfile.DIRTYPE, 0o755
    return header.tobuf(tarfile.GNU_FORMAT)
