"""A checksum database of one's own: real notes, real tiles, in a folder that Go's `GOPROXY=file://…` reads too.

Source: go.dev/ref/mod, "Checksum database"; golang.org/x/mod, sumdb/note (keys) and sumdb/tlog (tiles).
"""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wherry.golang.modpath import escape
from wherry.trust.note import check_text, key_hash
from wherry.trust.tiles import LogTile
from wherry.trust.tlog import TreeHead, head_text, node_hash, record_hash, tree_hash


def hashes_of(records: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """Hash all complete subtrees of a log."""
    rows = [[record_hash(record) for record in records]]
    while len(rows[-1]) > 1:
        below = rows[-1]
        rows.append([node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])
    return lambda level, number: rows[level][number]


class ChecksumLog:
    """A log that can be written, signed, and made to lie."""

    def __init__(self, name: str = "sum.example.com", *, filler: int = 300, seed: bytes = b"\x07" * 32) -> None:
        self.name = name
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = b"\x01" + self._private.public_key().public_bytes_raw()
        self._hash = key_hash(name, public)
        self.key = f"{name}+{self._hash:08x}+{base64.b64encode(public).decode()}"
        self.records: list[bytes] = []
        self.modules: dict[tuple[str, str], int] = {}
        self.fill(filler)

    def fill(self, count: int, word: str = "filler") -> None:
        """Add records that nobody asks for."""
        for number in range(len(self.records), len(self.records) + count):
            self.records.append(f"example.com/{word} v0.0.{number} h1:{number}\n".encode())

    def add(self, path: str, version: str, *lines: str) -> None:
        """Add the record of a module: its lines of go.sum."""
        self.modules[path, version] = len(self.records)
        self.records.append(("\n".join(lines) + "\n").encode())

    def sign(self, text: str) -> bytes:
        """Make a note."""
        check_text(text)
        signature = self._hash.to_bytes(4, "big") + self._private.sign(text.encode())
        return f"{text}\n\N{EM DASH} {self.name} {base64.b64encode(signature).decode()}\n".encode()

    def head(self) -> bytes:
        """Sign the tree as it is."""
        size = len(self.records)
        return self.sign(head_text(TreeHead(size, tree_hash(size, hashes_of(self.records)))))

    def answer(self, path: str, version: str) -> bytes:
        """Answer a lookup."""
        number = self.modules[path, version]
        return f"{number}\n".encode() + self.records[number] + b"\n" + self.head()

    def write(self, proxy: Path) -> Path:
        """Write all that a server would have below a proxy's folder; what was there before stays."""
        root = proxy / "sumdb" / self.name
        files = {"supported": b"ok", "latest": self.head()}
        files |= {
            f"lookup/{escape(path)}@{escape(version)}": self.answer(path, version) for path, version in self.modules
        }
        hash_at, size, level = hashes_of(self.records), len(self.records), 0
        while size:
            for number in range(-(-size // 256)):
                width = min(256, size - number * 256)
                content = b"".join(hash_at(8 * level, number * 256 + at) for at in range(width))
                files[LogTile(level, number, width).path] = content
            size, level = size >> 8, level + 1
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return root
