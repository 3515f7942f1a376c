"""A case's context on disk, and what it downloads from loopback."""

import gzip
import hashlib
import io
import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from registries import serving

Entry = Mapping[str, Any]
"""One entry of a context, as the corpus has it."""


def lay(entries: Sequence[Entry], folder: Path) -> None:
    """Make a context's files, folders, links, sockets and archives."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        path = folder / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(entry, path)
    for entry in entries:  # last, as a mode may forbid to write below a folder
        if "mode" in entry and entry["type"] != "symlink":
            (folder / entry["path"]).chmod(int(entry["mode"], 8))


def _make(entry: Entry, path: Path) -> None:
    match entry["type"]:
        case "dir":
            path.mkdir(exist_ok=True)
        case "file":
            path.write_bytes(entry["content"].encode())
        case "symlink":
            path.symlink_to(entry["target"])
        case "socket":
            _bind(path)
        case "tar" | "tar.gz":
            path.write_bytes(archive(entry))
        case other:
            raise AssertionError(f"a context entry of type {other}")


def _bind(path: Path) -> None:
    """Leave a socket: by its name in its folder, as a path has room for 107 bytes only."""
    descriptor = os.open(path.parent, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"/proc/self/fd/{descriptor}/{path.name}")
    finally:
        os.close(descriptor)


def archive(entry: Entry) -> bytes:
    """Make a tar, compressed if its type says so."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as written:
        for part in entry["entries"]:
            written.addfile(*_member(part))
    plain = buffer.getvalue()
    return gzip.compress(plain, mtime=0) if entry["type"] == "tar.gz" else plain


def _member(part: Entry) -> tuple[tarfile.TarInfo, io.BytesIO]:
    member = tarfile.TarInfo(part["name"])
    member.type = {"dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE}.get(part["type"], tarfile.REGTYPE)
    member.mode = int(part.get("mode", "0755" if part["type"] == "dir" else "0644"), 8)
    member.uid, member.gid = part.get("uid", 0), part.get("gid", 0)
    member.linkname = part.get("target", "")
    content = part.get("content", "").encode()
    member.size = len(content)
    return member, io.BytesIO(content)


def unpack(packed: Path, folder: Path) -> None:
    """Unpack a context with the owners and extended attributes that it names."""
    folder.mkdir(parents=True)
    words = ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", str(packed), "-C", str(folder)]
    subprocess.run(words, check=True, capture_output=True)


def body(answer: Mapping[str, Any]) -> bytes:
    """Give what a path of the case's server answers."""
    return archive(answer["archive"]) if "archive" in answer else answer["content"].encode()


@contextmanager
def served(answers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Serve a case's answers; give the address."""
    bodies = {path: body(answer) for path, answer in answers.items()}
    modified = formatdate(1_700_000_000, usegmt=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found = bodies.get(path)
            self.send_response(404 if found is None else 200)
            headers = {"Last-Modified": modified, **answers.get(path, {}).get("headers", {})}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("ETag", hashlib.sha256(found or b"").hexdigest())
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(found or b"")

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as host:
        yield f"http://{host}"
