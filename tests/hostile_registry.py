"""A registry in memory that misbehaves as it is told: it cuts, corrupts, redirects, throttles and lies."""

import itertools
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from registries import serving
from wherry.digest import Digest

_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha(?:256|512):[0-9a-f]+)")
_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<session>[^/]*)")
_TAGS = re.compile(r"/v2/(?P<name>.+)/tags/list")


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: int
    """Bytes of body that came."""


@dataclass
class Hostile:
    """What it keeps, how it behaves, and what it was asked."""

    host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Media type and document, by tag and by digest, in one namespace for all repositories."""
    asked: list[Asked] = field(default_factory=list)
    busy: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Answers given before any other: a status and headers each."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection of a blob's download ends, one a download."""
    ranges: bool = True
    """Whether a Range is honoured."""
    corrupt: bool = False
    """Whether a blob's first byte is another."""
    surplus: int = 0
    """Bytes sent behind a blob's end; its Content-Length says so."""
    silent_length: bool = False
    """Whether no Content-Length is sent with a blob, so that its end is the connection's."""
    short: int = 0
    """Bytes that a blob's body and its Content-Length leave off at the end."""
    fallback: tuple[int, bytes] | None = None
    """Status and body of any answer about a tag such as `sha256-HEX`; None: as for other tags."""
    head: str = "right"
    """Of manifests: `right`, `refused` (405), `lies` (another digest), or `bare` (no digest, no type)."""
    elsewhere: str = ""
    """Where blobs are redirected to: a URL prefix."""
    loop: bool = False
    """Whether blobs redirect to themselves."""
    challenge: str = ""
    """The WWW-Authenticate of a 401 to whoever shows no `authorization`."""
    authorization: str = ""
    chunk_min: int = 0
    """The OCI-Chunk-Min-Length of an upload, whose PUT may have no body then."""
    largest_put: int = 1 << 40
    """Bytes of a body above which a PUT is refused."""
    put_refusal: int = 413
    """The status of a PUT whose body is too large, or that should have none."""
    busy_bodies: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Answers given to the bodies of blobs before any is taken: a status and headers each."""
    lost: int = 0
    """Blobs that are stored without an answer: the connection ends in its place."""
    dropped: int = 0
    """Uploads that are dropped in the midst of their body."""
    keeps_dropped: bool = False
    """Whether the part of a dropped chunk that came is kept."""
    mounts: bool = True
    mount_refusal: int = 0
    """The status of an upload that asks for a mount; 0: it is answered as it should be."""
    absolute: bool = False
    """Whether Location has scheme and host."""
    uploads_at: str = ""
    """The host that uploads are sent to, where it is another."""
    digest_said: str = ""
    """The Docker-Content-Digest of a PUT, where it isn't the right one."""
    error_body: bytes = b""
    """Of every error."""
    careless: bool = False
    """Whether manifests may point at what is not there."""
    refused_layers: str = ""
    """The end of a media type, such as `+zstd`: manifests with such a layer are invalid here."""
    page: int = 0
    """Tags of one page; 0: all."""
    next_link: str = ""
    """The Link of a page, in place of the right one."""
    uploads: dict[str, bytearray] = field(default_factory=dict)
    """What came of each that is not finished."""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    stored: list[str] = field(default_factory=list)
    """The digest of each upload that was finished, in order."""
    connections: int = 0
    """Connections that were ever made."""
    open: int = 0
    """Connections that are open now."""
    moment: Callable[[], bool] = field(default=lambda: True)
    """Called when a request came and in the midst of each blob that is sent; where it says no, the connection ends."""
    turn: threading.Condition = field(default_factory=threading.Condition)

    def idle(self) -> None:
        """Wait until nobody is connected, so that nothing is on its way any more."""
        with self.turn:
            assert self.turn.wait_for(lambda: self.open == 0, timeout=60)

    def count(self, method: str, part: str = "") -> int:
        """Count requests of a method whose path has a part in it."""
        return sum(asked.method == method and part in asked.path for asked in self.asked)

    def sent(self) -> int:
        """Count the bytes of blobs that were uploaded."""
        return sum(asked.body for asked in self.asked if "/blobs/uploads/" in asked.path)


@contextmanager
def hostile() -> Iterator[Hostile]:
    """Run one until the block ends."""
    state = Hostile()

    class Handler(_Handler):
        registry = state

    with serving(Handler) as host:
        state.host = host
        yield state


class _Handler(BaseHTTPRequestHandler):
    registry: Hostile
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def setup(self) -> None:
        """Count who comes."""
        super().setup()
        with self.registry.turn:
            self.registry.connections += 1
            self.registry.open += 1

    def finish(self) -> None:
        """Count who goes."""
        try:
            super().finish()
        except (OSError, ValueError):
            pass  # what was not sent yet has no reader
        finally:
            with self.registry.turn:
                self.registry.open -= 1
                self.registry.turn.notify_all()

    def handle_one_request(self) -> None:
        """Pass over what a client that gave up leaves."""
        try:
            super().handle_one_request()
        except (ConnectionError, ValueError):
            self.close_connection = True

    def _any(self) -> None:
        registry = self.registry
        body = self._body()
        if body is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        with registry.turn:
            registry.asked.append(Asked(self.command, self.path, headers, len(body)))
            busy = registry.busy.pop(0) if registry.busy and self.path != "/v2/" else None
            if registry.busy_bodies and body and "/blobs/uploads/" in self.path:
                busy = registry.busy_bodies.pop(0)
        if not registry.moment():
            self._reset()
        elif busy:
            self._answer(busy[0], busy[1], registry.error_body)
        elif registry.challenge and headers.get("authorization") != registry.authorization:
            self._answer(401, {"WWW-Authenticate": registry.challenge}, registry.error_body)
        else:
            self._route(urlsplit(self.path).path, body)

    def __getattr__(self, name: str) -> object:
        """Answer every method alike."""
        if name.startswith("do_"):
            return self._any
        raise AttributeError(name)

    def _body(self) -> bytes | None:
        length = int(self.headers.get("Content-Length") or 0)
        with self.registry.turn:
            drop = (
                length > 1 and self.command in {"PUT", "PATCH"} and "/blobs/" in self.path and self.registry.dropped > 0
            )
            self.registry.dropped -= drop
        if drop:
            came = self.rfile.read(length // 2)
            if self.registry.keeps_dropped and self.command == "PATCH":
                self.registry.uploads[urlsplit(self.path).path.rpartition("/")[2]] += came
            self._reset()
            return None
        return self.rfile.read(length)

    def _route(self, path: str, body: bytes) -> None:
        if path == "/v2/":
            self._answer(200)
        elif match := _MANIFEST.fullmatch(path):
            self._manifest(match["reference"], body)
        elif match := _UPLOAD.fullmatch(path):
            self._upload(match["name"], match["session"], body)
        elif match := _BLOB.fullmatch(path):
            self._blob(match["digest"])
        elif _TAGS.fullmatch(path):
            self._tags()
        else:
            self._error(404, "UNSUPPORTED")

    def _manifest(self, reference: str, body: bytes) -> None:
        registry = self.registry
        if self.command == "PUT":
            self._put_manifest(reference, body)
            return
        if registry.fallback and reference.startswith("sha256-"):
            self._answer(registry.fallback[0], {}, registry.fallback[1])
            return
        if self.command == "HEAD" and registry.head == "refused":
            self._error(405, "UNSUPPORTED")
            return
        if reference not in registry.manifests:
            self._error(404, "MANIFEST_UNKNOWN")
            return
        media_type, document = registry.manifests[reference]
        headers = {"Content-Type": media_type, "Docker-Content-Digest": str(Digest.of(document))}
        if self.command == "HEAD" and registry.head == "lies":
            headers["Docker-Content-Digest"] = str(Digest.of(b"something else"))
        if self.command == "HEAD" and registry.head == "bare":
            headers = {}
        self._answer(200, headers, document)

    def _put_manifest(self, reference: str, body: bytes) -> None:
        document = json.loads(body)
        needed = [document["config"], *document["layers"]] if "config" in document else []
        unwanted = self.registry.refused_layers
        if unwanted and any(one["mediaType"].endswith(unwanted) for one in needed):
            self._error(400, "MANIFEST_INVALID", "unknown media type of a layer")
            return
        missing = [one["digest"] for one in needed if one["digest"] not in self.registry.blobs]
        missing += [
            one["digest"] for one in document.get("manifests", ()) if one["digest"] not in self.registry.manifests
        ]
        if missing and not self.registry.careless:
            self._error(404, "MANIFEST_BLOB_UNKNOWN", missing[0])
            return
        digest = str(Digest.of(body))
        for name in {reference, digest}:
            self.registry.manifests[name] = (self.headers["Content-Type"], body)
        self._answer(201, {"Docker-Content-Digest": self.registry.digest_said or digest})

    def _blob(self, digest: str) -> None:
        registry = self.registry
        if digest not in registry.blobs:
            self._error(404, "BLOB_UNKNOWN")
            return
        content = registry.blobs[digest]
        if self.command == "GET" and (registry.elsewhere or registry.loop):
            self._answer(307, {"Location": self.path if registry.loop else f"{registry.elsewhere}{self.path}"})
            return
        if self.command == "HEAD":
            self._answer(200, {"Docker-Content-Digest": digest}, content)
            return
        self._send_blob(content)

    def _send_blob(self, content: bytes) -> None:
        registry = self.registry
        start = 0
        if registry.ranges and (said := self.headers.get("Range")):
            start = int(said.removeprefix("bytes=").partition("-")[0])
        if registry.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:]
        rest = content[start : len(content) - registry.short] + b"x" * registry.surplus
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if registry.silent_length:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        with registry.turn:
            cut = registry.cuts.pop(0) if registry.cuts else None
        if cut is None:
            self.wfile.write(rest[: len(rest) // 2])
            if registry.moment():
                self.wfile.write(rest[len(rest) // 2 :])
            else:
                self._reset()
        else:
            self.wfile.write(rest[:cut])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def _upload(self, name: str, session: str, body: bytes) -> None:
        registry = self.registry
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        if self.command == "POST":
            self._begin(name, query)
        elif session not in registry.uploads:
            self._error(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "PATCH":
            self._chunk(name, session, body)
        elif self.command == "GET":
            self._answer(204, self._where(name, session))
        else:
            self._finish(session, query["digest"], body)

    def _begin(self, name: str, query: dict[str, str]) -> None:
        registry = self.registry
        if registry.mount_refusal and "mount" in query:
            self._error(registry.mount_refusal, "DENIED")
            return
        if registry.mounts and query.get("mount") in registry.blobs:
            self._answer(201, {"Location": f"/v2/{name}/blobs/{query['mount']}"})
            return
        with registry.turn:
            session = f"s{next(registry.numbers)}"
            registry.uploads[session] = bytearray()
        asks = {"OCI-Chunk-Min-Length": str(registry.chunk_min)} if registry.chunk_min else {}
        self._answer(202, {**self._where(name, session), **asks})

    def _chunk(self, name: str, session: str, body: bytes) -> None:
        upload = self.registry.uploads[session]
        start = int(self.headers["Content-Range"].partition("-")[0])
        if start != len(upload):
            self._error(416, "BLOB_UPLOAD_INVALID")
            return
        upload += body
        self._answer(202, self._where(name, session))

    def _finish(self, session: str, digest: str, body: bytes) -> None:
        registry = self.registry
        if len(body) > registry.largest_put or (registry.chunk_min and body):
            self._error(registry.put_refusal, "SIZE_INVALID")
            return
        content = bytes(registry.uploads[session]) + body
        state = Digest.parse(digest).hasher()
        state.update(content)
        if Digest.from_hash(state) != digest:
            self._error(400, "DIGEST_INVALID")
            return
        with registry.turn:
            registry.blobs[digest] = content
            registry.stored.append(digest)
            del registry.uploads[session]
            lost = registry.lost > 0
            registry.lost -= lost
        if lost:
            self._reset()
        else:
            self._answer(201, {"Docker-Content-Digest": digest})

    def _where(self, name: str, session: str) -> dict[str, str]:
        host = self.registry.uploads_at or (self.registry.host if self.registry.absolute else "")
        root = f"http://{host}" if host else ""
        at = len(self.registry.uploads[session])
        return {"Location": f"{root}/v2/{name}/blobs/uploads/{session}?state=a%2Fb", "Range": f"0-{max(0, at - 1)}"}

    def _tags(self) -> None:
        registry = self.registry
        tags = sorted(name for name in registry.manifests if ":" not in name)
        last = parse_qs(urlsplit(self.path).query).get("last", [""])[0]
        rest = [tag for tag in tags if tag > last]
        page = rest[: registry.page] if registry.page else rest
        headers = {}
        if len(page) < len(rest):
            path = urlsplit(self.path).path
            headers["Link"] = registry.next_link or f'<{path}?last={page[-1]}&n={registry.page}>; rel="next"'
        self._answer(200, headers, json.dumps({"name": "x", "tags": page}).encode())

    def _error(self, status: int, code: str, detail: str = "") -> None:
        document = {"errors": [{"code": code, "message": code.lower().replace("_", " "), "detail": detail}]}
        self._answer(status, {}, self.registry.error_body or json.dumps(document).encode())

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        """End the connection at once, as a crash does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
