"""How other calls of wherry reach a container that runs: a socket in its folder, on which its supervisor answers.

One request a connection, as JSON on one line; the answer is a length and a `marshal` document, maybe with descriptors.
Both ends are wherry of the same user (or root), which the kernel vouches for.

| ask | answer |
|---|---|
| enter | the job, the names of the descriptors that come with it, the control groups; or `error` and `hint` |
| signal | empty, once it is sent |
| stop | the exit code, once the container ended: asked by the signal, killed after `seconds` |
| wait | the exit code, once it ended |

Source: unix(7), SO_PEERCRED and SCM_RIGHTS; the path of a socket has 108 bytes, so it is reached through /proc/self/fd.
"""

import marshal
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from wherry import __version__
from wherry.errors import CannotWrite, HostUnable, NotFound
from wherry.runtime.records import CONTROL, KnownContainer
from wherry.typed import from_json

_LONGEST = 1 << 20
_LARGEST = 64 << 20
_HANDLES = 16
_LENGTH = struct.Struct("<I")
_PEER = struct.Struct("3i")
_PATIENCE = 5.0
"""Seconds within which a request has to be whole, and for the last answers once the container ended."""


class ControlRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked."""

    ask: str
    signal: int = 15
    seconds: float = 10.0
    user: str | None = None
    """Of `enter`: who the program runs as; None: as the container's own."""


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """What is answered; the descriptors are the receiver's to close."""

    document: Mapping[str, Any] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()


class ControlServer:
    """The supervisor's end: a thread that accepts, and one a connection."""

    def __init__(self, folder: Path, answer: Callable[[ControlRequest], ControlAnswer]) -> None:
        """Begin to listen.

        Args:
            folder: of the container.
            answer: called in a thread of the request's own.

        Raises:
            CannotWrite: the folder takes no socket.
        """
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX)
        self._at_work: list[threading.Thread] = []
        try:
            with _Near(folder) as path:
                self._socket.bind(path)
            self._socket.listen(64)
        except OSError as error:
            self._socket.close()
            raise CannotWrite(
                f"{folder}: cannot make a socket there: {error.strerror}",
                hint="use a store on a file system that has sockets: wherry --store DIR …",
            ) from error
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; what is being answered is waited for, for a while."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE)
        self._socket.close()
        for thread in self._at_work:
            thread.join(_PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(line,), daemon=True)
            self._at_work = [*(one for one in self._at_work if one.is_alive()), thread]
            thread.start()

    def _serve(self, line: socket.socket) -> None:
        with line, suppress(OSError, msgspec.DecodeError):
            line.settimeout(_PATIENCE)
            if _peer(line) not in (os.geteuid(), 0):
                return
            with line.makefile("rb") as stream:
                request = from_json(stream.readline(_LONGEST), ControlRequest)
            line.settimeout(None)
            answer = self._answer(request)
            body = marshal.dumps({"wherry": __version__, **answer.document})
            try:
                socket.send_fds(line, [_LENGTH.pack(len(body))], list(answer.descriptors))
            finally:
                for descriptor in answer.descriptors:
                    os.close(descriptor)
            line.sendall(body)


def ask(known: KnownContainer, request: ControlRequest) -> ControlAnswer:
    """Ask a container's supervisor, and wait for its answer.

    Raises:
        NotFound: the container has ended.
        HostUnable: it belongs to another user, or to another version of wherry.
    """
    name = known.record.name
    with socket.socket(socket.AF_UNIX) as line:
        try:
            with _Near(known.folder) as path:
                line.connect(path)
            _check_peer(line)
            line.sendall(msgspec.json.encode(request) + b"\n")
            head, descriptors, _, _ = socket.recv_fds(line, _LENGTH.size, _HANDLES)
            body = _received(line, head)
        except PermissionError as error:
            raise HostUnable(f"{name}: {error.strerror}", hint="ask as the user who started it, or as root") from error
        except OSError as error:
            raise _ended(name) from error
    if not body:
        raise _ended(name)
    document = marshal.loads(body)  # noqa: S302 - the kernel vouched for a process of ours, or root's
    if document.get("wherry") != __version__ and request.ask == "enter":
        for descriptor in descriptors:
            os.close(descriptor)
        raise HostUnable(
            f"{name} was started by wherry {document.get('wherry')}, and this is {__version__}",
            hint="stop it and start it again, or use that version",
        )
    return ControlAnswer(document, tuple(descriptors))


def _received(line: socket.socket, head: bytes) -> bytes:
    if len(head) < _LENGTH.size:
        return b""
    left = _LENGTH.unpack(head)[0]
    if left > _LARGEST:
        return b""
    body = bytearray()
    while left > 0 and (chunk := line.recv(min(left, 1 << 16))):
        body += chunk
        left -= len(chunk)
    return bytes(body) if left == 0 else b""


def _ended(name: str) -> NotFound:
    return NotFound(
        f"{name}: the container has ended", hint=f"`wherry logs {name}` shows what it printed, if it is kept"
    )


def _peer(line: socket.socket) -> int:
    credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return int(_PEER.unpack(credentials)[1])


def _check_peer(line: socket.socket) -> None:
    if _peer(line) not in (os.geteuid(), 0):
        raise PermissionError(1, "it belongs to another user")


class _Near:
    """A short path of the socket, for as long as the folder is open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened = -1

    def __enter__(self) -> str:
        self._opened = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._opened}/{CONTROL}"

    def __exit__(self, *_: object) -> None:
        os.close(self._opened)
