"""Go's build cache, carried from one empty machine to the next by a registry, as an OCI artifact.

A layer has what one build compiled; the next adds one of what it compiled itself, so that little is sent each time.
What builds no longer use goes when the layers are packed anew. Whoever can write the cache can put other code into
programs: a build for a comparison (`--verify`) uses none.

Sources: Go 1.26, cmd/go/internal/cache (`fileName`, `used`, `Trim`: names, and when an entry counts as used).
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from wherry.app.attachments import NO_CONFIG
from wherry.app.gathered import file_entries
from wherry.app.session import Session
from wherry.counted import counted
from wherry.errors import InvalidDocument, WherryError
from wherry.layer.compress import Encoding, pack
from wherry.layer.decompress import LayerStream, decompress
from wherry.layer.entry import ArchiveLimits, Entry, EntryKind
from wherry.layer.tar import TarBody, read_tar
from wherry.layer.unpack import unpack
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.oci.reference import Reference
from wherry.registry.errors import NotInRegistry
from wherry.registry.repository import Repository
from wherry.store.contract import read_whole
from wherry.store.copy import Opener

ARTIFACT: Final = "application/vnd.wherry.go-cache.v1"
LAYER: Final = "application/vnd.wherry.go-cache.v1.tar+zstd"
_ENTRY: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}-[ad]")
_MOST_LAYERS: Final = 8
_MOST_ENTRIES: Final = 500_000
_LARGEST: Final = 16 << 30
_AGE: Final = 3 * 3600
"""Seconds that what is brought seems old: Go marks what it uses of older than an hour, deletes what is days old."""
_ENCODING: Final = Encoding("zstd", 3)
_THREADS: Final = 2


@dataclass
class CarriedGoCache:
    """The cache of one build; it is worth nothing more than time, so that a failure is only reported."""

    session: Session
    bring_from: tuple[str, ...] = ()
    carry_to: tuple[str, ...] = ()
    _brought: dict[str, int] = field(default_factory=dict)
    """Sizes of entries that came, by path."""
    _layers: tuple[Descriptor, ...] = ()
    _place: str = ""
    """The repository that has the layers."""

    @property
    def folder(self) -> Path:
        """Where Go keeps it."""
        named = self.session.environment.get("GOCACHE")
        home = self.session.home or Path("/")
        base = Path(self.session.environment.get("XDG_CACHE_HOME") or home / ".cache")
        return Path(named) if named else base / "go-build"

    def bring(self) -> None:
        """Fill Go's cache from the first reference that has one."""
        for name in self.bring_from:
            try:
                if self._bring(name):
                    return
            except NotInRegistry:
                self.session.note(f"cache from {name}: nothing there yet")
            except WherryError as error:
                self.session.progress.warn(f"--cache-from {name}: {error.message}")

    def carry(self) -> None:
        """Send what the build added to it."""
        for name in self.carry_to:
            try:
                self._carry(name)
            except WherryError as error:
                self.session.progress.warn(f"--cache-to {name}: {error.message}")

    def _bring(self, name: str) -> bool:
        reference = _reference(name)
        repository = self.session.registries.repository(reference)
        root = repository.resolve(str(reference.digest or reference.tag))
        manifest = Manifest.parse(read_whole(repository, root), name)
        if manifest.artifact_type != ARTIFACT:
            raise InvalidDocument(name, "is not a cache of Go that wherry wrote", hint="use another tag for it")
        old = int(time.time()) - _AGE
        for layer in manifest.stack:
            self._unpack(repository, layer, old)
        self._layers, self._place = manifest.stack, str(repository)
        self.session.note(f"cache from {name}: {counted(len(self._brought), 'entry of Go')}")
        return True

    def _unpack(self, repository: Repository, layer: Descriptor, old: int) -> None:
        if layer.media_type != LAYER:
            raise InvalidDocument(str(repository), f"{layer.media_type!r} is not a layer of a cache of Go")
        limits = ArchiveLimits(entries=_MOST_ENTRIES, size=_LARGEST)
        chunks = decompress(repository.read(layer), "zstd", name="cache of Go", limit=2 * _LARGEST)
        entries = self._checked(read_tar(LayerStream(chunks), "cache of Go", limits), old)
        unpack(entries, self.folder, limits=limits)

    def _checked(self, entries: Iterator[tuple[Entry, TarBody]], old: int) -> Iterator[tuple[Entry, TarBody]]:
        for entry, body in entries:
            if entry.kind is EntryKind.FOLDER and len(entry.path) <= 2:  # noqa: PLR2004 - two hexadecimal digits
                continue  # made with what is in it
            if entry.kind is not EntryKind.FILE or not _ENTRY.fullmatch(entry.path):
                raise InvalidDocument("cache of Go", f"{entry.path[:100]!r} is not an entry of it")
            self._brought[entry.path] = entry.size
            yield replace(entry, mode=0o644, mtime=old, xattrs={}), body

    def _carry(self, name: str) -> None:
        from tempfile import TemporaryDirectory

        from wherry.store.disk import DiskStore

        reference = _reference(name)
        repository = self.session.registries.repository(reference)
        used = self._used()
        new = {path: file for path, file in used.items() if path not in self._brought}
        kept = str(repository) == self._place and not self._is_worn(used)
        if kept and not new:
            self.session.note(f"cache to {name}: nothing new")
            return
        files = new if kept else used
        with TemporaryDirectory(prefix="go-cache-", dir=self.session.cache_folder) as scratch:
            store = DiskStore(Path(scratch))
            made = pack(file_entries(files, exact=False), _ENCODING, store, threads=_THREADS).blob
            layer = Descriptor(media_type=LAYER, digest=made.digest, size=made.size)
            repository.upload(layer, Opener(lambda offset: store.read(made, offset)))
        config = Descriptor.of(media.OCI_EMPTY, NO_CONFIG)
        repository.upload(config, Opener(lambda offset: iter([NO_CONFIG[offset:]])))
        layers = (*self._layers, layer) if kept else (layer,)
        document = Manifest(
            schema_version=2, media_type=media.OCI_MANIFEST, artifact_type=ARTIFACT, config=config, layers=layers
        ).encoded()
        repository.put(Descriptor.of(media.OCI_MANIFEST, document), document, reference.tag)
        self.session.note(f"cache to {name}: {counted(len(files), 'entry of Go')}, {layer.size:,} bytes")

    def _used(self) -> dict[str, Path]:
        """Find the entries that this build made or used."""
        since = time.time() - _AGE / 2
        found: dict[str, Path] = {}
        for folder in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if len(folder.name) != 2 or not folder.is_dir():  # noqa: PLR2004 - two hexadecimal digits
                continue
            with os.scandir(folder) as entries:
                for one in entries:
                    path = f"{folder.name}/{one.name}"
                    if _ENTRY.fullmatch(path) and one.stat().st_mtime > since:
                        found[path] = folder / one.name
        return found

    def _is_worn(self, used: Mapping[str, Path]) -> bool:
        """Report whether the layers are many, or most of what they have is of no use."""
        unused = sum(size for path, size in self._brought.items() if path not in used)
        return len(self._layers) >= _MOST_LAYERS or 2 * unused > sum(self._brought.values())


def _reference(name: str) -> Reference:
    """Read a reference, or buildx's `type=registry,ref=…` of one."""
    fields = dict(part.partition("=")[::2] for part in name.split(",")) if "=" in name else {"ref": name}
    return Reference.parse(fields.get("ref", ""))
