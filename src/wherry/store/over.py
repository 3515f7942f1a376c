"""A source with a few documents of our own in front of it: an index over some of an image's platforms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from wherry.digest import Digest
from wherry.errors import InvalidUsage
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Index
from wherry.platform import Platform
from wherry.store.contract import BlobSource, read_whole
from wherry.store.images import image_for


@dataclass(frozen=True, slots=True)
class DocumentOverlay:
    """Reads from given documents first."""

    documents: Mapping[Digest, bytes]
    source: BlobSource

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `BlobSource.read`."""
        if blob.digest in self.documents:
            return iter([self.documents[blob.digest][offset:]])
        return self.source.read(blob, offset)


def narrowed(
    source: BlobSource, root: Descriptor, platforms: Sequence[Platform], name: str
) -> tuple[BlobSource, Descriptor]:
    """Choose some platforms of an image; give where to read the result from, and its root.

    One platform gives its manifest unchanged. Several give a new index, with the old one's annotations and its entries
    for them unchanged, unless that is all there is.

    Raises:
        NotFound: it has none of a platform; the hint lists those it has.
    """
    if not platforms:
        return source, root
    chosen = [image_for(source, root, platform, name).descriptor for platform in dict.fromkeys(platforms)]
    if len(chosen) == 1:
        return source, chosen[0]
    if root.media_type not in media.INDEXES:
        raise InvalidUsage(f"{name}: has one platform, but {len(chosen)} were requested", hint="remove --platform")
    digests = {descriptor.digest for descriptor in chosen}
    index = Index.parse(read_whole(source, root), str(root.digest))
    kept = tuple(entry for entry in index.manifests if entry.digest in digests)
    if kept == index.manifests:
        return source, root
    document = msgspec.structs.replace(index, manifests=kept, media_type=index.media_type or root.media_type).encoded()
    new = Descriptor.of(root.media_type, document)
    return DocumentOverlay({new.digest: document}, source), new


def parse_wanted(texts: Sequence[str]) -> tuple[Platform, ...]:
    """Read `--platform` of commands that select from an image; `all`, or none, selects everything.

    Raises:
        NotFound: it is not a platform.
    """
    words = [word for text in texts for word in text.split(",") if word]
    return () if "all" in words else tuple(Platform.parse(word) for word in words)
