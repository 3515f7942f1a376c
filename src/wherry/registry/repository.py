"""One repository of one registry, with a store's promises.

Source: OCI distribution-spec v1.1.1 ("Pull", "Push", "Content Discovery"; `OCI-Chunk-Min-Length` under "Pushing a blob
in chunks").
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from wherry.digest import Digest
from wherry.errors import BlobMissing, DigestMismatch, InvalidDocument, SizeMismatch
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.registry.answers import DOCUMENTS, described, document_in, hashed, refuse_length, tags_in
from wherry.registry.client import ATTEMPTS, Answer, Client, Request, origin
from wherry.registry.errors import AccessDenied, NotInRegistry, RegistryError
from wherry.registry.pools import CutOff
from wherry.registry.upload import Upload, checked
from wherry.registry.urls import resolve
from wherry.store.contract import CHUNK, verified
from wherry.store.copy import BlobMove, Opener
from wherry.store.layout import media_type_of

if TYPE_CHECKING:
    from tempfile import SpooledTemporaryFile

_ACCEPT = ", ".join([*sorted(DOCUMENTS), "application/json;q=0.1"])
_KEPT = 8 << 20
"""Bytes of documents that are remembered, so that a copy reads each once."""
_SMALL = 64 << 10
"""Bytes up to which a blob is sent as fast as it is asked for."""
_ASKED = 4
"""Small blobs that are asked for before it is asked whether there is such a repository at all."""
_OK, _CREATED, _PARTIAL, _NOT_FOUND = 200, 201, 206, 404
_NO_HEAD = frozenset({405, 501})
"""What a registry answers that knows no HEAD (RFC 9110, sections 15.5.6 and 15.6.2)."""
_ABSENT = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"})
"""Codes of a 404 that mean what they say: the spec's, and Harbor's own."""
_LOST = "the registry has lost it, or never had it: push the image there again"
_SPOOLED = 32 << 20
"""Bytes of a draft kept in memory; a larger one goes through a temporary file."""


class Repository:
    """Keeps the promises of `store/contract.py`, over HTTP; safe to use from any thread."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self._documents: dict[Digest, bytes] = {}
        self._small = 0
        """Small blobs that were to be uploaded."""
        self._unknown: bool | None = None
        """Whether the registry knows no such repository; None: it was not asked."""
        self._turn = threading.Lock()

    def __str__(self) -> str:
        """Give the repository's whole name."""
        return f"{self.client.registry}/{self.name}"

    def resolve(self, reference: str) -> Descriptor:
        """Find what a tag or a digest stands for now.

        HEAD is asked first; where its answer does not say enough, the document itself is read.

        Raises:
            NotInRegistry: nothing; RegistryError, AccessDenied: the registry would not say.
        """
        path = f"manifests/{quote(reference, safe=':')}"
        with self._send(
            "HEAD", path, f"{self._spoken(reference)}", {_OK, _NOT_FOUND, *_NO_HEAD}, accept=True
        ) as answer:
            found = described(answer) if answer.status == _OK else None
            missing = answer.status == _NOT_FOUND
        if found and (":" not in reference or found.digest == reference):
            return found
        if missing:
            with suppress(NotInRegistry, BlobMissing):
                return self._fetched(reference)[0]
            raise NotInRegistry(f"{self._spoken(reference)}: not found", hint=f"`wherry tags {self}` lists the tags")
        return self._fetched(reference)[0]

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob in chunks; a cut is mended by asking for the rest.

        Raises:
            BlobMissing: the repository has none.
            DigestMismatch, SizeMismatch: it sends something else; no more bytes are taken than were promised.
        """
        chunks = self.chunks(blob, offset)
        return chunks if offset else verified(blob, chunks, f"{self}@{blob.digest}")

    def chunks(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the blob from an offset on, unverified but for its size, for a caller that verifies it.

        Raises:
            BlobMissing, SizeMismatch: as `read`.
        """
        if blob.media_type in DOCUMENTS:
            yield self._document(blob)[offset:]
            return
        at = offset
        for chunk in self._resumed(blob, offset):
            at += len(chunk)
            if at > blob.size:
                break
            yield chunk
        if at != blob.size:
            raise SizeMismatch(f"{self}@{blob.digest}", expected=blob.size, actual=at)

    def has(self, blob: Descriptor) -> bool:
        """Report whether the repository has the blob, with the right size where it says one; no where it won't say."""
        kind = "manifests" if blob.media_type in DOCUMENTS else "blobs"
        path = f"{kind}/{blob.digest}"
        with self._send("HEAD", path, f"{self}@{blob.digest}", {_OK, _NOT_FOUND, *_NO_HEAD}, accept=True) as head:
            return head.status == _OK and head.length in {None, blob.size}

    def write(self, blob: Descriptor, chunks: Iterable[bytes]) -> None:
        """Store the blob whole or not at all. The chunks can be taken once, so a cut is not mended: see `upload`."""
        if self.has(blob):
            return
        if blob.media_type in DOCUMENTS:
            self.put(blob, b"".join(checked(blob, chunks)))
        else:
            self._upload().send(blob, Opener.once(chunks), attempts=1)

    def upload(self, blob: Descriptor, opener: Opener, *, mount_from: str = "") -> BlobMove:
        """Store a blob that can be read again from any offset, unless it is there; tell how.

        Args:
            blob: no manifest or index.
            opener: gives its bytes from an offset on.
            mount_from: a repository of the same registry that may have it; asking for a mount also reports whether the
                blob is here, so that is not asked before.
        """
        if not mount_from and not self._surely_lacks(blob) and self.has(blob):
            return BlobMove.THERE
        return self._upload().send(blob, opener, mount_from=mount_from, attempts=ATTEMPTS)

    def put(self, blob: Descriptor, document: bytes, tag: str = "") -> None:
        """Store a manifest or an index, under a tag or under its digest.

        Raises:
            RegistryError: the registry refuses it, or calls it by another digest.
        """
        if len(document) > LARGEST:
            raise InvalidDocument(str(blob.digest), f"{len(document)} bytes; the limit for documents is {LARGEST}")
        self._put(blob, document, tag or str(blob.digest))

    def put_attached(self, blob: Descriptor, document: bytes) -> bool:
        """Store a manifest that has a subject; report whether the registry says that it lists it for its subject.

        Raises:
            RegistryError: as `put`.
        """
        return "OCI-Subject" in self._put(blob, document, str(blob.digest))

    def read_tag(self, tag: str) -> tuple[Descriptor, bytes] | None:
        """Read the document under a tag as it is now; None only where the registry says that there is none.

        A 404 without the spec's words comes from something between this machine and the registry: it is an error, since
        whoever took it for "nothing there" would replace what is there.

        Raises:
            RegistryError, AccessDenied: the registry would not say, so that nothing is known.
        """
        try:
            return self._fetched(tag)
        except NotInRegistry as error:
            if _ABSENT.isdisjoint(error.codes):
                raise RegistryError(
                    f"{error.message}; that is not how a registry says that a tag is absent",
                    hint="check the address, and what is between this machine and the registry",
                ) from error
            return None

    def _put(self, blob: Descriptor, document: bytes, reference: str) -> Mapping[str, str]:
        list(checked(blob, [document]))
        with self._send(
            "PUT",
            f"manifests/{reference}",
            f"push {self._spoken(reference)}",
            {_CREATED, _OK, 202},
            push=True,
            headers={"Content-Type": blob.media_type},
            body=document,
        ) as answer:
            headers = answer.headers
        named = headers.get("Docker-Content-Digest", str(blob.digest))
        if named != blob.digest and named.startswith(f"{blob.digest.algorithm}:"):
            raise RegistryError(
                f"{self._spoken(reference)}: the registry stored it as {named}, not as {blob.digest}",
                hint="a proxy between this machine and the registry changes the upload",
            )
        return headers

    def tag(self, name: str, root: Descriptor) -> None:
        """Point a tag at a manifest or an index that is there."""
        self.put(root, self._document(root), name)

    def tags(self) -> Iterator[str]:
        """Yield the tags in the registry's order, page by page.

        Raises:
            NotInRegistry: there is no such repository.
        """
        url = f"/v2/{self.name}/tags/list"
        seen = {url}
        while url:
            with self._sent(url, f"tags of {self}") as answer:
                yield from tags_in(answer.head(LARGEST), str(self))
                url = self._next(answer)
            if url in seen:
                return
            seen.add(url)

    def delete(self, reference: str) -> None:
        """Take a tag or a manifest away.

        Raises:
            RegistryError: the registry does not allow it.
        """
        path = f"manifests/{reference}"
        scopes = (f"repository:{self.name}:delete,pull",)
        with self.client.send(
            Request(
                method="DELETE",
                url=f"/v2/{self.name}/{path}",
                what=f"delete {self._spoken(reference)}",
                ok=frozenset({202, _OK}),
                scopes=scopes,
            )
        ):
            pass

    @contextmanager
    def draft(self) -> "Iterator[RepositoryBlobWriter]":
        """Open a blob that is still being made; it is sent at its end, when its digest is known."""
        from tempfile import SpooledTemporaryFile  # as slow to load as a registry is to answer

        with SpooledTemporaryFile(_SPOOLED) as file:
            yield RepositoryBlobWriter(self, file)

    def _surely_lacks(self, blob: Descriptor) -> bool:
        """Report whether a small blob need not be asked for: some were, in vain, and no such repository is known.

        What a push that was cut has left there is sent again then, as far as it is small.
        """
        if blob.size > _SMALL:
            return False
        with self._turn:
            self._small += 1
            if self._small <= _ASKED:
                return False
            if self._unknown is None:
                self._unknown = self._is_unknown()
            return self._unknown

    def _is_unknown(self) -> bool:
        try:
            next(self.tags(), None)
        except NotInRegistry:
            return True
        except (RegistryError, AccessDenied, InvalidDocument):
            return False
        return False

    def _upload(self) -> Upload:
        return Upload(self.client, self.name, self.has)

    def _resumed(self, blob: Descriptor, offset: int) -> Iterator[bytes]:
        at, attempts = offset, 0
        while at < blob.size or (not blob.size and not attempts):
            attempts += 1
            try:
                for chunk in self._ranged(blob, at):
                    at += len(chunk)
                    attempts = 1
                    yield chunk
            except CutOff:
                if attempts >= ATTEMPTS:
                    raise
                continue
            if at < blob.size and attempts >= ATTEMPTS:
                return
            if at >= blob.size:
                return

    def _ranged(self, blob: Descriptor, at: int) -> Iterator[bytes]:
        """Yield what comes of a blob from an offset on; the rest of a whole body is passed over."""
        headers = {"Range": f"bytes={at}-"} if at else {}
        try:
            answer = self._sent(
                f"/v2/{self.name}/blobs/{blob.digest}", f"{self}@{blob.digest}", headers=headers, ok={_OK, _PARTIAL}
            )
        except NotInRegistry as error:
            raise BlobMissing(str(blob.digest), f"{self}: {error.message}", hint=_LOST) from error
        with answer:
            skip = at if answer.status == _OK else 0
            if answer.status == _PARTIAL and not answer.headers.get("Content-Range", "").startswith(f"bytes {at}-"):
                raise RegistryError(f"{self}@{blob.digest}: the registry sent a wrong range", hint="run it again")
            refuse_length(answer, blob, skip or at, str(self))
            for chunk in answer.chunks(CHUNK):
                kept = chunk[skip:]
                skip = max(0, skip - len(chunk))
                if kept:
                    yield kept

    def _document(self, blob: Descriptor) -> bytes:
        with self._turn:
            document = self._documents.get(blob.digest)
        if document is None:
            found, document = self._fetched(str(blob.digest))
            if found.digest != blob.digest:
                raise DigestMismatch(f"{self}@{blob.digest}", expected=blob.digest, actual=found.digest)
        if len(document) != blob.size:
            raise SizeMismatch(f"{self}@{blob.digest}", expected=blob.size, actual=len(document))
        return document

    def _fetched(self, reference: str) -> tuple[Descriptor, bytes]:
        path = f"/v2/{self.name}/manifests/{quote(reference, safe=':')}"
        try:
            answer = self._sent(path, self._spoken(reference), headers={"Accept": _ACCEPT})
        except NotInRegistry as error:
            if ":" in reference:
                raise BlobMissing(reference, f"{self}: {error.message}", hint=_LOST) from error
            raise
        with answer:
            document = document_in(answer, self._spoken(reference))
            said = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        media_type = said if said in DOCUMENTS else media_type_of(document)
        if media_type is None:
            raise InvalidDocument(self._spoken(reference), f"{said or 'no media type'} is not an image")
        algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
        digest = hashed(document, algorithm)
        if ":" in reference and digest != reference:
            raise DigestMismatch(self._spoken(reference), expected=reference, actual=digest)
        self._keep(digest, document)
        return Descriptor(media_type=media_type, digest=digest, size=len(document)), document

    def _keep(self, digest: Digest, document: bytes) -> None:
        with self._turn:
            if sum(map(len, self._documents.values())) + len(document) > _KEPT:
                self._documents.clear()
            self._documents[digest] = document

    def _next(self, answer: Answer) -> str:
        """Read where the next page is; another host is not gone to."""
        link = answer.headers.get("Link", "")
        target, _, rest = link.partition(">")
        if 'rel="next"' not in rest.replace("rel=next", 'rel="next"') or not target.startswith("<"):
            return ""
        url = resolve(answer.url, target[1:], self.client.registry)
        if origin(url) != origin(self.client.root):
            return ""
        parts = urlsplit(url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def _sent(self, url: str, what: str, headers: dict[str, str] | None = None, ok: set[int] | None = None) -> Answer:
        return self.client.send(
            Request(
                method="GET",
                url=url,
                what=what,
                ok=frozenset(ok or {_OK}),
                scopes=pull_scope(self.name),
                headers=headers or {},
            )
        )

    def _send(  # noqa: PLR0913 - a request has that many parts, and all but three are named
        self,
        method: str,
        path: str,
        what: str,
        ok: set[int],
        *,
        accept: bool = False,
        push: bool = False,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        return self.client.send(
            Request(
                method=method,
                url=f"/v2/{self.name}/{path}",
                what=what,
                ok=frozenset(ok),
                scopes=push_scope(self.name) if push else pull_scope(self.name),
                headers={**({"Accept": _ACCEPT} if accept else {}), **(headers or {})},
                body=body,
            )
        )

    def _spoken(self, reference: str) -> str:
        return f"{self}@{reference}" if ":" in reference else f"{self}:{reference}"


class RepositoryBlobWriter:
    """A blob on its way to a registry."""

    def __init__(self, repository: Repository, file: "SpooledTemporaryFile[bytes]") -> None:
        self._repository = repository
        self._file = file
        self._state = Digest.of(b"").hasher()
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self._state.update(chunk)
        self._size += len(chunk)
        self._file.write(chunk)

    def commit(self, media_type: str) -> Descriptor:
        """Name the bytes by their digest and send them."""
        blob = Descriptor(media_type=media_type, digest=Digest.from_hash(self._state), size=self._size)
        if not self._repository.has(blob):
            self._repository.write(blob, self._chunks())
        return blob

    def _chunks(self) -> Iterator[bytes]:
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            yield chunk


def pull_scope(repository: str) -> tuple[str, ...]:
    """Name what reading needs."""
    return (f"repository:{repository}:pull",)


def push_scope(repository: str) -> tuple[str, ...]:
    """Name what writing needs."""
    return (f"repository:{repository}:pull,push",)
