"""Print the digests of fixed inputs as JSON; run again on another CPU, it has to print the same.

`python tests/golden_digests.py > tests/golden/digests.json` writes what the tests compare with: to be done
only where an encoder's version changed.
"""

import json

from wherry.base.static import static_base
from wherry.image.assemble import assemble
from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import BytesContent, Entry, EntryKind
from wherry.oci.config import History, RuntimeConfig
from wherry.platform import Platform
from wherry.store.memory import MemoryStore

WORDS = (
    b"func ",
    b"return ",
    b"\x48\x89\x44\x24",
    b"\x00" * 9,
    b"runtime.",
    b"http",
    b"\xe8",
    b"\x0f\x1f\x40",
    b"err\n",
)


def synthetic(size: int) -> bytes:
    """Make bytes that compress as programs do, by a generator of our own that no library can change."""
    state, made = 1, bytearray()
    while len(made) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        noise = (state >> 32).to_bytes(4, "little")[: 1 + (state >> 40) % 4]
        made += WORDS[(state >> 60) % len(WORDS)] if state >> 63 else noise
    return bytes(made[:size])


def digests() -> dict[str, str]:
    """Pack, build the base and assemble; give each digest by what it is of."""
    store, platform = MemoryStore(), Platform.parse("linux/arm64")
    content = synthetic((1 << 20) + 300_000)
    entry = Entry(path="app", kind=EntryKind.FILE, size=len(content), content=BytesContent(content))
    found: dict[str, str] = {}
    for encoding in (Encoding("gzip", 5), Encoding("gzip", 6), Encoding("gzip", 9), Encoding("zstd", 9)):
        layer = pack([entry], encoding, store, threads=2)
        found["tar"], found[encoding.encoder] = layer.diff_id, layer.blob.digest
    base = static_base(store, platform)
    found |= {f"base layer {number}": blob.digest for number, blob in enumerate(base.manifest.stack)}
    image = assemble(
        base,
        [(pack([entry], Encoding("none", 0), store), History(created_by="test"))],
        RuntimeConfig(entrypoint=("/app",), env=("A=b",), labels={"z": "1", "a": "2"}),
        platform=platform,
        created="2026-01-02T03:04:05Z",
        annotations={"k": "v"},
        sink=store,
    )
    return found | {"image": image.digest}


if __name__ == "__main__":
    print(json.dumps(digests(), indent=2))  # noqa: T201 - the output is the point
