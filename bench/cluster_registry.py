"""What one real registry gives on loopback: bytes a second of blobs, and requests a second. Bounded: 12 s, 512 MB."""

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from registries import CNCF, DEBIAN, distribution

_BLOB = 32 << 20
_STREAMS = (1, 2, 4, 8)
_PATIENCE = 10.0
_LIMIT = 2.5
"""Seconds of each measurement."""


@dataclass(frozen=True, slots=True)
class MeasuredRegistry:
    """Of CNCF distribution, by streams side by side."""

    version: str
    bandwidth: dict[int, float]
    requests: dict[int, float]
    round_trip: float
    """Seconds of a request when there is no other."""
    load: float


def measure() -> MeasuredRegistry:
    """Start a registry, ask it, and end it."""
    program = CNCF if Path(CNCF).exists() else DEBIAN
    with tempfile.TemporaryDirectory() as folder, distribution(Path(folder), program=program) as registry:
        port = int(registry.host.rpartition(":")[2])
        content = os.urandom(_BLOB)
        name = f"/v2/bench/blobs/sha256:{hashlib.sha256(content).hexdigest()}"
        _push(port, content, name)
        load = os.getloadavg()[0]
        bandwidth = {count: _rate(port, "GET", name, count) * _BLOB for count in _STREAMS}
        requests = {count: _rate(port, "HEAD", name, count) for count in _STREAMS}
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()
    version = " ".join(word for word in said[1:] if "/" in word or word.startswith("v"))
    return MeasuredRegistry(version, bandwidth, requests, 1 / requests[1], load)


def _rate(port: int, method: str, path: str, count: int) -> float:
    """Give the answers a second of some streams side by side."""
    done = [0] * count
    due = time.monotonic() + _LIMIT

    def ask(number: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)) as connection:
            while time.monotonic() < due:
                connection.request(method, path)
                answer = connection.getresponse()
                while answer.read(1 << 20):
                    pass
                done[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - began)


def _push(port: int, content: bytes, name: str) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)) as connection:
        connection.request("POST", "/v2/bench/blobs/uploads/")
        answer = connection.getresponse()
        answer.read()
        place = answer.headers["Location"].partition(f":{port}")[2]
        digest = name.rpartition("/")[2].replace(":", "%3A")
        connection.request("PUT", f"{place}&digest={digest}", content)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.CREATED:
            raise SystemExit(f"the registry takes no blob: HTTP {answer.status}")
