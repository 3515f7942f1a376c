"""Our standard streams, joined to those of an attached container.

Source: client-go, tools/remotecommand, `v5.channel.k8s.io`: 0 input, 1 output, 2 errors, 3 how it ended, 4 the
size of the terminal, 255 the end of a stream.
"""

import json
import os
import threading
from collections.abc import Callable
from typing import IO

from wherry.cluster.websocket import WebSocket

_INPUT, _OUTPUT, _ERRORS, _ENDED, _SIZE = 0, 1, 2, 3, 4
_END_OF_INPUT = bytes((255, _INPUT))
_CHUNK = 1 << 15
Take = Callable[[bytes], object]


class AttachedStreams:
    """Moves bytes both ways until the container ends."""

    def __init__(self, socket: WebSocket, *, out: Take, errors: Take) -> None:
        """Take the connection and where output goes."""
        self._socket = socket
        self._take = {_OUTPUT: out, _ERRORS: errors}
        self._turn = threading.Lock()
        self.problem = ""
        """What the API server says of the end, if it is no exit code."""

    def begin(self) -> None:
        """Let the container begin: it waits for a line."""
        self._send(_INPUT, b"\n")

    def resize(self, columns: int, lines: int) -> None:
        """Give its terminal a size."""
        self._send(_SIZE, json.dumps({"Width": columns, "Height": lines}).encode())

    def feed(self, source: IO[bytes] | int) -> threading.Thread:
        """Send what is read from a descriptor, in a thread; its end is the end of the container's input."""
        descriptor = source if isinstance(source, int) else source.fileno()

        def move() -> None:
            try:
                while chunk := os.read(descriptor, _CHUNK):
                    self._send(_INPUT, chunk)
                self.end_input()
            except OSError:
                return  # the connection is gone, or the descriptor is

        thread = threading.Thread(target=move, name="stdin", daemon=True)
        thread.start()
        return thread

    def end_input(self) -> None:
        """Say that no more input comes; servers before v5 can't be told."""
        if self._socket.protocol.startswith("v5"):
            with self._turn:
                self._socket.send(_END_OF_INPUT)

    def move(self) -> None:
        """Move output until the connection ends."""
        while (message := self._socket.receive()) is not None:
            if not message:
                continue
            if message[0] in self._take:
                self._take[message[0]](message[1:])
            elif message[0] == _ENDED:
                self.problem = _problem(message[1:])
                return

    def _send(self, stream: int, chunk: bytes) -> None:
        with self._turn:
            self._socket.send(bytes((stream,)) + chunk)


def _problem(status: bytes) -> str:
    try:
        document = json.loads(status)
    except ValueError:
        return status[:500].decode(errors="replace")
    if not isinstance(document, dict) or document.get("status") == "Success":
        return ""
    return "" if document.get("reason") == "NonZeroExitCode" else str(document.get("message") or "")
