"""wherry's own static base on a registry on loopback, for peers that take their base from nowhere else."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from subjects import BASE_NAME
from wherry.base.static import static_base
from wherry.oci import media
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.manifest import Index
from wherry.platform import Platform
from wherry.store.contract import write_document
from wherry.store.disk import DiskStore

_LISTENING = re.compile(r"serving on port (\d+)")
_PATIENCE = 10.0


@contextmanager
def served_base(folder: Path, platforms: Sequence[str]) -> Iterator[str | None]:
    """Serve the base while the caller measures; give the registry's address, or None where crane is missing."""
    if not shutil.which("crane"):
        yield None
        return
    _lay(folder / "layout", [Platform.parse(text) for text in platforms])
    words = ["crane", "registry", "serve", "--address", "127.0.0.1:0"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
    try:
        registry = f"127.0.0.1:{_port(server, folder / 'log')}"
        push = ["crane", "push", str(folder / "layout"), f"{registry}/{BASE_NAME}:latest"]
        subprocess.run(push, check=True, capture_output=True)
        yield registry
    finally:
        server.terminate()
        server.wait()


def _lay(folder: Path, platforms: Sequence[Platform]) -> None:
    """Write the base of each platform, and one index of them, as a layout."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = DiskStore(folder)
    index = Index.of(tuple(_entry(store, platform) for platform in platforms))
    store.tag(f"{BASE_NAME}:latest", write_document(store, media.OCI_INDEX, index.encoded()))


def _entry(store: DiskStore, platform: Platform) -> Descriptor:
    return msgspec.structs.replace(static_base(store, platform).descriptor, platform=PlatformDocument.of(platform))


def _port(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        if told := _LISTENING.search(log.read_text()):
            return told[1]
        time.sleep(0.02)
    raise TimeoutError(f"crane's registry does not answer: {log.read_text()}")
