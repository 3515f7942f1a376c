"""The attached streams of a container, as a Kubernetes API server of a test sends them."""

import base64
import hashlib
import json
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Attaching(BaseHTTPRequestHandler):
    """A handler that can switch to a WebSocket."""

    def attach(self, running: "Mapping[str, subprocess.Popen[bytes]]", ended: Callable[[str, int], None]) -> None:
        """Join a process's streams to the connection, until it ends."""
        name = parse_qs(urlsplit(self.path).query)["container"][0]
        key = self.headers["Sec-WebSocket-Key"].encode()
        accepted = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()  # noqa: S324 - the protocol's own
        self.send_response(101)
        for field_name, text in (
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accepted),
            ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
        ):  # fmt: skip
            self.send_header(field_name, text)
        self.end_headers()
        process, turn = running[name], threading.Lock()

        def move(stream: int, pipe: Any) -> None:
            while chunk := pipe.read1(1 << 16):
                with turn:
                    self._frame(bytes((stream,)) + chunk)

        movers = [threading.Thread(target=move, args=pair) for pair in ((1, process.stdout), (2, process.stderr))]
        for mover in movers:
            mover.start()
        threading.Thread(target=self._take, args=(process,), daemon=True).start()
        for mover in movers:
            mover.join()
        ended(name, process.wait())
        with turn, suppress(OSError):
            self._frame(b"\x03" + json.dumps({"status": "Success"}).encode())
        self.close_connection = True

    def _frame(self, payload: bytes) -> None:
        size = len(payload)
        length = (
            bytes((size,))
            if size < 126
            else b"\x7e" + size.to_bytes(2, "big")
            if size < 1 << 16
            else b"\x7f" + size.to_bytes(8, "big")
        )
        self.wfile.write(b"\x82" + length + payload)
        self.wfile.flush()

    def _take(self, process: "subprocess.Popen[bytes]") -> None:
        with suppress(OSError, ValueError):  # the client is gone, or the server
            self._hand_on(process)

    def _hand_on(self, process: "subprocess.Popen[bytes]") -> None:
        """Hand on what comes until the end of it."""
        while head := self.rfile.read(2):
            size = head[1] & 0x7F
            if size >= 126:
                size = int.from_bytes(self.rfile.read(2 if size == 126 else 8), "big")
            mask, masked = self.rfile.read(4), self.rfile.read(size)
            payload = bytes(letter ^ mask[place % 4] for place, letter in enumerate(masked))
            if payload[:1] == b"\x00":
                with suppress(OSError):
                    process.stdin.write(payload[1:])
                    process.stdin.flush()
            elif payload[:1] == b"\xff" or head[0] & 0xF == 8:
                break
        with suppress(OSError):
            process.stdin.close()
