"""What is attached to an image in a registry: listed by the referrers API, or kept in the index under a fallback tag.

Most registries that are self-hosted (distribution 2.8 and 3) have no referrers API, so the index under `sha256-HEX` is
the normal case. Registries ignore If-Match, so two writers that read the same index would lose one entry: a writer
looks again, at random distances, until its entry stays. That makes a loss unlikely, and only the API rules it out.
Source: OCI distribution-spec v1.1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

import random
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import msgspec

from wherry.digest import Digest
from wherry.errors import InvalidDocument
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.manifest import Index, Manifest
from wherry.registry.client import Request, origin
from wherry.registry.errors import RegistryBusy
from wherry.registry.repository import Repository, pull_scope
from wherry.registry.urls import resolve
from wherry.store.copy import Opener
from wherry.store.layout import media_type_of

LOOKS = 3
"""Times in a row that an entry has to be found before its writer goes away."""
_SHORTEST, _LONGEST = 0.02, 0.12
"""Seconds between two looks; longer where the registry is slow, see `_Pace`."""
_WRITES = 60
"""Times an entry is written before its writer gives up."""
_PAGES = 100
_NO_API = frozenset({400, 404, 405, 406, 415, 501})
_OK = 200

Change = Callable[[bytes | None], bytes | None]
"""Makes the document to write of the one that is there (None: none); None where nothing is left to do."""


def fallback_tag(digest: Digest) -> str:
    """Name the tag under which registries without the API keep an image's referrers."""
    return f"{digest.algorithm}-{digest.encoded}"[:128]


class RegistryAttachments:
    """Attachments of the images of one repository; `app.attachments.Attachments` in a registry."""

    def __init__(
        self,
        repository: Repository,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.repository = repository
        self._sleep = sleep
        self._clock = clock

    def __str__(self) -> str:
        """Give the repository's whole name."""
        return str(self.repository)

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `BlobSource.read`."""
        return self.repository.read(blob, offset)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """List what is attached to a digest: what the API lists, and what the fallback tag has besides.

        Raises:
            RegistryError, AccessDenied, InvalidDocument: the registry would not say; that is not "nothing".
        """
        listed = self.listed(subject)
        found = self.repository.read_tag(fallback_tag(subject))
        if found and found[0].media_type in media.INDEXES:
            listed += Index.parse(found[1], f"{self}:{fallback_tag(subject)}").manifests
        return tuple({blob.digest: blob for blob in reversed(listed)}.values())[::-1]

    def tagged(self, tag: str) -> tuple[Descriptor, bytes] | None:
        """Read the document under a tag; None only where the registry says that there is none.

        Raises:
            RegistryError, AccessDenied: the registry would not say.
        """
        return self.repository.read_tag(tag)

    def add_blob(self, media_type: str, blob: bytes) -> Descriptor:
        """Store a blob."""
        described = Descriptor.of(media_type, blob)
        self.repository.upload(described, Opener(lambda offset: iter([blob[offset:]])))
        return described

    def attach(self, document: bytes) -> Descriptor:
        """Store a manifest that has a subject, and have it listed.

        Where the registry does not confirm that it lists it, the entry is written to the fallback tag too.

        Raises:
            RegistryError, AccessDenied: the registry refuses it, or lost the entry each time.
        """
        described = Descriptor.of(media.OCI_MANIFEST, document)
        subject, entry = entry_of(document, described)
        if not self.repository.put_attached(described, document):
            self.amend(fallback_tag(subject), lambda current: with_entry(current, entry))
        return described

    def put(self, media_type: str, document: bytes) -> Descriptor:
        """Store a manifest or an index under its digest."""
        described = Descriptor.of(media_type, document)
        self.repository.put(described, document)
        return described

    def tag(self, tag: str, root: Descriptor, document: bytes) -> None:
        """Store a manifest or an index under a tag."""
        self.repository.put(root, document, tag)

    def amend(self, tag: str, change: Change) -> None:
        """Change the document under a tag, and look again until the change stays.

        Raises:
            RegistryError, AccessDenied: the registry would not say what is there, so that nothing is written.
            RegistryBusy: others write so much that the change was lost each time.
        """
        pace = _Pace(self._clock, self._sleep)
        kept, writes = 0, 0
        while kept < LOOKS:
            pace.begin()
            found = self.repository.read_tag(tag) or self._looked_again(tag, pace)
            new = change(found[1] if found else None)
            if new is None:
                kept += 1
            elif writes >= _WRITES:
                raise RegistryBusy(
                    f"{self}:{tag}: others changed it {writes} times meanwhile, and the entry was lost each time",
                    hint="run it again once they are done; a registry with the referrers API has no such race",
                )
            else:
                self.repository.put(Descriptor.of(media_type_of(new) or media.OCI_MANIFEST, new), new, tag)
                kept, writes = 0, writes + 1
            if not writes:
                return
            if kept < LOOKS:
                pace.rest(writes)

    def _looked_again(self, tag: str, pace: "_Pace") -> tuple[Descriptor, bytes] | None:
        """Read a tag that seems to be absent once more: it may be in the midst of another writer's change."""
        pace.rest(0)
        return self.repository.read_tag(tag)

    def listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Ask the API alone; empty where there is none.

        Raises:
            RegistryError, AccessDenied, InvalidDocument: as `referrers`.
        """
        url = f"/v2/{self.repository.name}/referrers/{subject}"
        listed: list[Descriptor] = []
        for _ in range(_PAGES):
            answer = self.repository.client.send(
                Request(
                    method="GET",
                    url=url,
                    what=f"referrers of {self}@{subject}",
                    ok=frozenset({_OK, *_NO_API}),
                    scopes=pull_scope(self.repository.name),
                    headers={"Accept": media.OCI_INDEX},
                )
            )
            with answer:
                body = answer.head(LARGEST + 1)
                link = answer.headers.get("Link", "")
                if answer.status != _OK or not body.lstrip().startswith(b"{"):
                    return tuple(listed)
            try:
                listed += Index.parse(body, f"referrers of {self}@{subject}").manifests
            except InvalidDocument:
                if b'"manifests"' not in body:  # a page of something that takes every address
                    return tuple(listed)
                raise
            url = self._next(answer.url, link)
            if not url:
                break
        return tuple(listed)

    def _next(self, url: str, link: str) -> str:
        """Read where the next page is; another host is not gone to."""
        target, _, rest = link.partition(">")
        if "next" not in rest or not target.startswith("<"):
            return ""
        found = resolve(url, target[1:], self.repository.client.registry)
        parts = urlsplit(found)
        same = origin(found) == origin(self.repository.client.root)
        return parts.path + (f"?{parts.query}" if parts.query else "") if same else ""


class _Pace:
    """Says how long to wait between looks: random, so that writers part, and longer where the registry is slow."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock, self._sleep = clock, sleep
        self._began = 0.0
        self._slowest = 0.0

    def begin(self) -> None:
        """Start to measure a look, or a look and a write."""
        self._began = self._clock()

    def rest(self, writes: int) -> None:
        """Wait; a writer that lost its entry often waits longer."""
        self._slowest = max(self._slowest, self._clock() - self._began)
        longest = max(_LONGEST, self._slowest) * min(writes, 8)
        self._sleep(random.uniform(_SHORTEST, max(longest, 2 * _SHORTEST)))  # noqa: S311 - it parts writers, it guards nothing


def entry_of(document: bytes, described: Descriptor) -> tuple[Digest, Descriptor]:
    """Give a manifest's subject, and its entry in a list of referrers: with type and all annotations, as the spec asks.

    Raises:
        InvalidDocument: it is no manifest, or has no subject.
    """
    manifest = Manifest.parse(document, str(described.digest))
    if manifest.subject is None:
        raise InvalidDocument(str(described.digest), "has no subject, so it is attached to nothing")
    entry = msgspec.structs.replace(
        described,
        artifact_type=manifest.artifact_type or manifest.config.media_type,
        annotations=manifest.annotations,
    )
    return manifest.subject.digest, entry


def with_entry(current: bytes | None, entry: Descriptor) -> bytes | None:
    """Add an entry to the index of a fallback tag; None where it has it.

    Raises:
        InvalidDocument: what is under the tag is not an index; it is not replaced.
    """
    if current is None:
        return Index.of((entry,)).encoded()
    index = Index.parse(current, "the index of referrers")
    if any(blob.digest == entry.digest for blob in index.manifests):
        return None
    return msgspec.structs.replace(
        index, media_type=index.media_type or media.OCI_INDEX, manifests=(*index.manifests, entry)
    ).encoded()
