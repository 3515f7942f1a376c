"""HTTP/1.1 on one connection: a request goes out, the head of its answer comes in, then its body as it is asked for.

This is what a registry without a proxy in between needs of HTTP, and little is loaded for it: to import urllib3 takes
longer than a registry takes to say that nothing is to be moved. Nothing is followed or tried again on this level, and
an answer that breaks the grammar ends the connection.

Sources: RFC 9112 (HTTP/1.1), sections 2.2, 4, 5, 6, 7.1 and 9; RFC 9110, sections 6.4.1 and 15.2.
"""

import os
import select
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from typing import Protocol

    class Wire(Protocol):
        """What is needed of a socket, plain or encrypted."""

        def sendall(self, data: bytes, /) -> object:
            """Send all of it."""

        def recv(self, size: int, /) -> bytes:
            """Receive at most so many bytes; none at the end."""

        def fileno(self) -> int:
            """Give its descriptor."""

        def gettimeout(self) -> float | None:
            """Give the seconds that it waits."""

        def close(self) -> object:
            """Close it."""


_LARGEST_HEAD = 64 << 10
"""Bytes of a status line with all its fields, and of what is between or behind chunks."""
_RECEIVED = 256 << 10
"""Bytes that are taken from the system at a time."""
_SENT = 4 << 20
"""Bytes of a file that are handed to the system at a time."""
_LONGEST_SIZE = 12
"""Digits of a chunk's size."""
_UNSENDABLE = frozenset("\r\n\0")
_SAFE = "/?#[]@!$&'()*+,;=:%-._~"
"""What stays as it is in a target: RFC 3986, section 2, and the sign of what is encoded already."""
_BODILESS = frozenset({204, 304})
_INTERIM, _SWITCHED, _FINAL = 100, 101, 200
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})


class BadAnswer(ConnectionError):
    """What came is not an answer of HTTP/1.1, or ended too early."""


class Headers(Mapping[str, str]):
    """The fields of an answer by name, in any case; several of one name are joined by commas."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        """Give a field's value."""
        return ", ".join(self._fields[name.lower()])

    def __iter__(self) -> Iterator[str]:
        """Yield the names in lower case."""
        return iter(self._fields)

    def __len__(self) -> int:
        """Count the names."""
        return len(self._fields)

    def getlist(self, name: str) -> list[str]:
        """Give each value of a name."""
        return list(self._fields.get(name.lower(), ()))


class Response:
    """The head of an answer, and its body as it comes."""

    def __init__(self, connection: "Connection", status: int, headers: Headers, body: "_Body", *, keeps: bool) -> None:
        self.status = status
        self.headers = headers
        self.released: Callable[[Connection], None] = Connection.close
        """Is given the connection once the answer is read and another request may follow."""
        self._connection = connection
        self._body = body
        self._keeps = keeps

    def read(self, size: int) -> bytes:
        """Give the next bytes of the body, at most so many; none at its end.

        Raises:
            BadAnswer: the connection ended before the body did.
            OSError: as `socket.recv`.
        """
        try:
            return self._body.read(size)
        except BaseException:
            self._connection.close()
            raise

    def finish(self, limit: int) -> None:
        """Read what is left where that is known to be at most so much; then give the connection back, or close it."""
        try:
            while (left := self._body.left) and left <= limit:
                self.read(left)
        except OSError:
            return
        if self._keeps and self._body.over and not self._connection.closed:
            self.released(self._connection)
        else:
            self._connection.close()


class FileBody:
    """A body that is a file: the system sends it without showing it to us, where it does not have to be encrypted."""

    def __init__(
        self, path: str, size: int, opened: Callable[[int], Iterable[bytes]], sent: Callable[[int], object]
    ) -> None:
        """Take a file; nothing is opened yet.

        Args:
            path: its path.
            size: bytes that it has.
            opened: gives them from an offset on, for who must see them.
            sent: is told of bytes that went out unseen.
        """
        self.path = path
        self.size = size
        self.sent = sent
        self._opened = opened

    def __iter__(self) -> Iterator[bytes]:
        """Yield its bytes."""
        return iter(self._opened(0))


class Connection:
    """One connection; requests go over it one after the other."""

    def __init__(self, wire: "Wire", host: str) -> None:
        """Take a connected socket with its time limit.

        Args:
            wire: the socket.
            host: what `Host` says.
        """
        self._wire = wire
        self._host = host
        self._held = bytearray()
        """What came and was not taken yet."""
        self.closed = False

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> Response:
        """Send a request, and wait for the head of its answer.

        Args:
            method: such as `GET`.
            target: path and query.
            headers: the fields; a body that is not bytes needs its `Content-Length` among them.
            body: a server may answer and hang up before it has all of it.

        Raises:
            BadAnswer: what came is not an answer.
            OSError: the connection broke, or nothing came in time.
        """
        try:
            cut = self._sent(_head(method, target, self._host, headers, body), body)
            try:
                return self._answer(method, keeps=cut is None)
            except OSError as error:
                if cut is not None:
                    raise cut from error
                raise
        except BaseException:
            self.close()
            raise

    def is_idle(self) -> bool:
        """Report whether nothing came since the last answer: neither bytes nor an end."""
        if self.closed or self._held:
            return False
        poll = select.poll()
        poll.register(self._wire, select.POLLIN)
        return not poll.poll(0)

    def take(self, size: int) -> bytes:
        """Give the next bytes, at most so many; none where the connection ended."""
        if self._held:
            part = bytes(self._held[:size])
            del self._held[: len(part)]
            return part
        return self._wire.recv(min(size, _RECEIVED))

    def line(self) -> bytes:
        """Give the next line, without its end.

        Raises:
            BadAnswer: it has no end, or is too long.
        """
        while (end := self._held.find(b"\n")) < 0:
            self._more()
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        return line.removesuffix(b"\r")

    def __del__(self) -> None:
        """Close it where nobody did."""
        self.close()

    def close(self) -> None:
        """Close it."""
        self.closed = True
        self._wire.close()

    def _sent(self, head: bytes, body: bytes | Iterable[bytes] | None) -> OSError | None:
        """Send; give the error where the other end stopped listening before it had all, which may have a reason."""
        try:
            if body is None or isinstance(body, bytes):
                self._wire.sendall(head + (body or b""))
                return None
            self._wire.sendall(head)
            if isinstance(body, FileBody) and not hasattr(self._wire, "context"):
                self._send_file(body)
                return None
            for chunk in body:
                self._wire.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError) as error:
            return error
        return None

    def _send_file(self, body: FileBody) -> None:
        file = os.open(body.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            at = 0
            while at < body.size:
                try:
                    size = os.sendfile(self._wire.fileno(), file, at, min(_SENT, body.size - at))
                except BlockingIOError:
                    self._wait_for_room()
                    continue
                if not size:
                    raise OSError(f"{body.path} became shorter")
                at += size
                body.sent(size)
        finally:
            os.close(file)

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self._wire, select.POLLOUT)
        seconds = self._wire.gettimeout()
        if not poll.poll(None if seconds is None else seconds * 1000):
            raise TimeoutError("timed out")

    def _answer(self, method: str, *, keeps: bool) -> Response:
        status = 0
        while status < _FINAL:
            version, status = _status(self.line())
            headers = Headers(self._fields())
            if status == _SWITCHED:
                raise BadAnswer("it switches to another protocol")
        options = {word.strip() for word in headers.get("Connection", "").lower().split(",")}
        keeps = keeps and "close" not in options and (version != b"HTTP/1.0" or "keep-alive" in options)
        if method == "HEAD" or status in _BODILESS:
            return Response(self, status, headers, _Plain(self, 0), keeps=keeps)
        codings = headers.get("Transfer-Encoding", "").lower()
        if codings:
            chunked = codings.rpartition(",")[2].strip() == "chunked"
            return Response(
                self, status, headers, _Chunked(self) if chunked else _Plain(self, None), keeps=chunked and keeps
            )
        length = _length(headers.getlist("Content-Length"))
        return Response(self, status, headers, _Plain(self, length), keeps=keeps and length is not None)

    def _fields(self) -> Iterator[tuple[str, str]]:
        read = 0
        while line := self.line():
            read += len(line)
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip() or read > _LARGEST_HEAD:
                raise BadAnswer("its head is not one of HTTP")
            yield name, value.strip()

    def _more(self) -> None:
        if len(self._held) > _LARGEST_HEAD:
            raise BadAnswer("it has a line without an end")
        part = self._wire.recv(_LARGEST_HEAD)
        if not part:
            raise BadAnswer("the connection ended")
        self._held += part


class _Plain:
    """A body of known length, or one that ends with its connection."""

    def __init__(self, connection: Connection, left: int | None) -> None:
        self._connection = connection
        self.left = left
        """Bytes that are to come; None: unknown."""
        self.over = left == 0

    def read(self, size: int) -> bytes:
        if self.over:
            return b""
        part = self._connection.take(size if self.left is None else min(size, self.left))
        if self.left is None:
            self.over = not part
            return part
        if not part:
            raise BadAnswer(f"the connection ended {self.left} bytes too early")
        self.left -= len(part)
        self.over = not self.left
        return part


class _Chunked:
    """A body in chunks, each with its size before it."""

    left = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chunk = 0
        """Bytes of the present chunk that are to come."""
        self.over = False

    def read(self, size: int) -> bytes:
        if self.over:
            return b""
        if not self._chunk:
            self._chunk = _chunk_size(self._connection.line())
        if not self._chunk:
            self._pass_trailers()
            return b""
        part = self._connection.take(min(size, self._chunk))
        if not part:
            raise BadAnswer("the connection ended within a chunk")
        self._chunk -= len(part)
        if not self._chunk and self._connection.line():
            raise BadAnswer("a chunk is longer than it says")
        return part

    def _pass_trailers(self) -> None:
        read = 0
        while line := self._connection.line():
            read += len(line)
            if read > _LARGEST_HEAD:
                raise BadAnswer("too much follows its body")
        self.over = True


_Body = _Plain | _Chunked


def _head(
    method: str, target: str, host: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
) -> bytes:
    fields = {"Host": host, "Accept-Encoding": "identity", **headers}
    if "Content-Length" not in fields:
        if body is not None and not isinstance(body, bytes):
            raise ValueError("a body of unknown length")
        if body or method in _WITH_LENGTH:
            fields["Content-Length"] = str(len(body or b""))
    lines = [f"{method} {quote(target, safe=_SAFE)} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if any(_UNSENDABLE.intersection(line) for line in lines):
        raise ValueError("a field of a request has a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _status(line: bytes) -> tuple[bytes, int]:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit() or int(code) < _INTERIM or rest[3:4] not in {b"", b" "}:
        raise BadAnswer("it is not HTTP/1.1")
    return version, int(code)


def _length(values: list[str]) -> int | None:
    """Read the length of a body; None where nothing is said."""
    said = {word.strip() for value in values for word in value.split(",")}
    if not said:
        return None
    length = said.pop()
    if said or not (length.isascii() and length.isdigit()) or len(length) > 18:  # noqa: PLR2004 - digits of 2**63
        raise BadAnswer("it has no valid length")
    return int(length)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not 0 < len(digits) <= _LONGEST_SIZE or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadAnswer("a chunk has no valid size")
    return int(digits, 16)
