"""A blob on its way to a registry: mounted, in one piece, or in chunks where the registry asks for them.

Source: OCI distribution-spec v1.1.1, "Pushing blobs" and "Mounting a blob from another repository".
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from wherry.digest import Digest
from wherry.errors import DigestMismatch, SizeMismatch
from wherry.oci.descriptor import Descriptor
from wherry.registry.client import Answer, Client, Request
from wherry.registry.errors import AccessDenied, LoggedOut, NotInRegistry, RegistryBusy, RegistryError
from wherry.registry.http1 import FileBody
from wherry.registry.pools import CutOff
from wherry.registry.urls import resolve
from wherry.store.copy import BlobMove, Opener

_PIECE = 16 << 20
"""Bytes of a chunk where the registry asks for chunks and not for a size."""
_LARGEST_PIECE = 1 << 30
_CREATED, _ACCEPTED, _NO_CONTENT = 201, 202, 204
_OK, _NOT_IN_RANGE = 200, 416
_NOT_WHOLE = frozenset({405, 413, _NOT_IN_RANGE})
"""What registries, and the proxies before them, answer to a blob in one piece that would come through in chunks."""
_BYTES = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True)
class Upload:
    """Sends blobs to one repository."""

    client: Client
    repository: str
    has: Callable[[Descriptor], bool]
    """Asked where a blob could not be mounted, and where it may have arrived without a confirmation."""

    def send(
        self,
        blob: Descriptor,
        opener: Opener,
        *,
        attempts: int,
        mount_from: str = "",
    ) -> BlobMove:
        """Store a blob; tell how.

        Args:
            blob: what it is.
            opener: gives its bytes.
            attempts: how often it is sent at most.
            mount_from: a repository that may have it.

        Raises:
            DigestMismatch, SizeMismatch: the chunks are not the blob; nothing was stored.
            AccessDenied, RegistryError: the registry would not take it.
        """
        with self._begun(blob, mount_from) as begun:
            if begun.status == _CREATED:
                return BlobMove.MOUNTED
            location, piece = self._location(begun), _piece(begun)
        if mount_from and self.has(blob):
            return BlobMove.THERE
        if piece is None:
            if self._in_one(blob, opener, location, attempts):
                return BlobMove.SENT
            with self._begin(blob, "") as begun:
                location, piece = self._location(begun), _piece(begun) or _PIECE
        self._in_pieces(blob, opener, location, piece)
        return BlobMove.SENT

    def _begun(self, blob: Descriptor, mount_from: str) -> Answer:
        """Begin with a mount where one is hoped for; a repository that we may not read from is no reason to stop."""
        if mount_from:
            try:
                return self._begin(blob, mount_from)
            except (AccessDenied, NotInRegistry):
                pass
        return self._begin(blob, "")

    def _begin(self, blob: Descriptor, mount_from: str) -> Answer:
        words = {"mount": str(blob.digest), "from": mount_from} if mount_from else {}
        own = f"repository:{self.repository}:pull,push"
        scopes = (own, f"repository:{mount_from}:pull") if mount_from else (own,)
        return self._request(
            "POST",
            f"/v2/{self.repository}/blobs/uploads/" + (f"?{urlencode(words)}" if words else ""),
            {_CREATED, _ACCEPTED},
            headers={"Content-Length": "0"},
            scopes=scopes,
            body=b"",
        )

    def _in_one(self, blob: Descriptor, opener: Opener, location: str, attempts: int) -> bool:
        """Send it in one piece, again where that may help; report whether the registry takes it so.

        Each attempt has a session of its own: it is unknown how much of a body arrived.
        """
        for attempt in range(1, attempts + 1):
            try:
                return self._whole(blob, opener, location)
            except (CutOff, RegistryBusy, LoggedOut) as error:
                if attempt == attempts:
                    raise
                self.client.rest(attempt, error)
            if self.has(blob):
                return True
            with self._begin(blob, "") as begun:
                location = self._location(begun)
        raise AssertionError("the last attempt returns or raises")

    def _whole(self, blob: Descriptor, opener: Opener, location: str) -> bool:
        headers = {**_BYTES, "Content-Length": str(blob.size)}
        body: bytes | Iterable[bytes] = b""
        if blob.size and opener.file:  # hashed before it came to this, and again by the registry
            body = FileBody(opener.file, blob.size, opener.open, opener.sent)
        elif blob.size:
            body = checked(blob, opener.open(0))
        url = with_query(location, digest=str(blob.digest))
        with self._request("PUT", url, {_CREATED, _NO_CONTENT, *_NOT_WHOLE}, headers=headers, body=body) as answer:
            return answer.status not in _NOT_WHOLE

    def _in_pieces(self, blob: Descriptor, opener: Opener, location: str, piece: int) -> None:
        """Send it in chunks, each of which is kept until the registry has said how far it got."""
        at = 0
        for chunk in _pieces(checked(blob, opener.open(0)), piece):
            location = self._piece(chunk, at, location)
            at += len(chunk)
        url = with_query(location, digest=str(blob.digest))
        try:
            with self._request("PUT", url, {_CREATED, _NO_CONTENT}, headers={"Content-Length": "0"}, body=b""):
                pass
        except NotInRegistry:
            # The session is over: our final request arrived but its answer was lost, or the registry ended it.
            if not self.has(blob):
                raise

    def _piece(self, chunk: bytes, begin: int, location: str) -> str:
        """Send a chunk; where a part of it is there already, since its answer was lost, only the rest."""
        at, end = begin, begin + len(chunk)
        while at < end:
            rest = chunk[at - begin :]
            headers = {**_BYTES, "Content-Length": str(len(rest)), "Content-Range": f"{at}-{end - 1}"}
            ok = {_ACCEPTED, _NO_CONTENT, _NOT_IN_RANGE}
            with self._request("PATCH", location, ok, headers=headers, body=rest) as answer:
                if answer.status != _NOT_IN_RANGE:
                    return self._location(answer)
            with self._request("GET", location, {_NO_CONTENT, _OK, _ACCEPTED}) as status:
                reached, location = _reached(status), self._location(status)
            if not at < reached <= end:
                raise RegistryError(
                    f"push to {self.client.registry}/{self.repository}: the registry refused bytes "
                    f"{headers['Content-Range']}",
                    hint="run it again; uploaded blobs are not sent twice",
                )
            at = reached
        return location

    def _location(self, answer: Answer) -> str:
        location = answer.headers.get("Location", "")
        url = resolve(answer.url, location, self.client.registry)
        if not location or urlsplit(url).scheme not in {"http", "https"}:
            raise RegistryError(
                f"push to {self.client.registry}/{self.repository}: the registry returned no upload location",
                hint="contact the registry's operator",
            )
        return url

    def _request(
        self,
        method: str,
        url: str,
        ok: set[int],
        *,
        headers: dict[str, str] | None = None,
        scopes: tuple[str, ...] = (),
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        return self.client.send(
            Request(
                method=method,
                url=url,
                what=f"push to {self.client.registry}/{self.repository}",
                ok=frozenset(ok),
                scopes=scopes or (f"repository:{self.repository}:pull,push",),
                headers=headers or {},
                body=body,
            )
        )


def with_query(url: str, **words: str) -> str:
    """Add to a URL's query; existing parameters are unchanged."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(words)}"


def checked(blob: Descriptor, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass chunks on, and make sure before their end that they are the blob: the last is held back until then.

    Raises:
        DigestMismatch, SizeMismatch: they are not; the last chunk was not passed on.
    """
    state, size, held = blob.digest.hasher(), 0, b""
    for chunk in chunks:
        size += len(chunk)
        if size > blob.size:
            break
        if held:
            yield held
        state.update(chunk)
        held = chunk
    if size != blob.size:
        raise SizeMismatch(str(blob.digest), expected=blob.size, actual=size)
    if (actual := Digest.from_hash(state)) != blob.digest:
        raise DigestMismatch(str(blob.digest), expected=blob.digest, actual=actual)
    if held:
        yield held


def _piece(answer: Answer) -> int | None:
    """Read whether chunks are asked for, and of how many bytes at least."""
    text = answer.headers.get("OCI-Chunk-Min-Length", "")
    if not (text.isascii() and text.isdigit()):
        return None
    return min(max(int(text[:12]), _PIECE), _LARGEST_PIECE)


def _reached(status: Answer) -> int:
    """Read how many bytes of an upload are there; `Range: 0-9` says ten."""
    last = status.headers.get("Range", "").rpartition("-")[2]
    return int(last[:18]) + 1 if last.isascii() and last.isdigit() else 0


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
