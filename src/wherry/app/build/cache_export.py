"""Caches of Dockerfile builds, carried to and from folders and registries: `--cache-to`, `--cache-from`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from wherry.app.progress import Progress
from wherry.app.session import Session
from wherry.build.cache_export import CacheExport, MountedCache, fields, import_records, read_export, write_export
from wherry.counted import counted
from wherry.errors import InvalidUsage, NotFound, WherryError
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import Reference
from wherry.sandbox.client import SandboxClient
from wherry.sandbox.spec import DiffTar
from wherry.store.contract import BlobSource
from wherry.store.disk import DiskStore
from wherry.store.results import Results

_FROM = ("type", "ref", "src", "registry.insecure")
_TO = ("type", "ref", "dest", "mode", "mounts", "registry.insecure")
_NAME = "cache"


def bring(session: Session, texts: Sequence[str], results: Results, progress: Progress) -> None:
    """Import cache records; a cache that is missing or unreadable is reported and skipped."""
    for text, source, root, place in _found(session, texts, progress):
        try:
            exported = read_export(source, root)
        except WherryError as error:
            progress.warn(f"--cache-from {text}: {error.message}")
            continue
        new = import_records(exported, results, session.clock())
        for layer in exported.layers:
            if session.store.has(layer.blob):
                continue
            if place:
                session.store.elsewhere.note(layer.blob.digest, place)
            else:
                session.store.write(layer.blob, source.read(layer.blob))
        progress.line(f"cache from {text}: {new} of {counted(len(exported.records), 'step')} imported")


def import_mounts(session: Session, texts: Sequence[str], client: SandboxClient, progress: Progress) -> None:
    """Fill caches of mounts that are not there yet with what a cache carries."""
    from wherry.build.caches import cache_folder
    from wherry.layer.decompress import open_layer
    from wherry.layer.tar import read_tar

    for _, source, root, _place in _found(session, texts):
        mounts: tuple[MountedCache, ...] = ()
        with suppress(WherryError):  # it is reported when the records are imported
            mounts = read_export(source, root).mounts
        for one in mounts:
            with cache_folder(session.cache_folder / "mounts", one.name, "locked") as folder:
                if any(folder.iterdir()):
                    continue
                trash = folder.with_suffix(".trash")
                trash.mkdir(exist_ok=True)
                entries = read_tar(open_layer(source, one.layer.blob, one.layer.diff_id), f"cache {one.name}")
                client.unpack(entries, folder, trash, ())
                trash.rmdir()
                progress.line(f"cache mount {one.name} filled")


def carrier(session: Session, texts: Sequence[str], progress: Progress) -> Callable[[CacheExport], None] | None:
    """Return what exports a build's cache to --cache-to; None without it.

    Raises:
        InvalidUsage: the words name no place.
    """
    places = [_destination(text) for text in texts]
    if not places:
        return None

    def carry(exported: CacheExport) -> None:
        root = write_export(exported, session.store)
        for kind, place in places:
            if kind == "registry":
                from wherry.app.transfer import push_roots

                push_roots(session, session.store, {place: root}, progress)
            else:
                from wherry.image.export import export

                folder = session.cwd / place
                export("oci", {_NAME: root}, session.store, folder, tar=False)
                progress.line(f"cache with {counted(len(exported.records), 'step')} written to {place}")

    return carry


def packer(texts: Sequence[str]) -> Callable[[SandboxClient, Path, DiskStore], tuple[MountedCache, ...]]:
    """Return what exports cache mounts, if a `--cache-to` has `mounts=true`."""
    if not any(fields(text, _TO, "--cache-to").get("mounts") == "true" for text in texts):
        return lambda _client, _folder, _store: ()

    def pack(client: SandboxClient, folder: Path, store: DiskStore) -> tuple[MountedCache, ...]:
        return tuple(_packed(client, folder, store))

    return pack


def _packed(client: SandboxClient, folder: Path, store: DiskStore) -> Iterator[MountedCache]:
    from wherry.layer.compress import Encoding, pack_tar

    for base in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not (base / "name").is_file() or not (base / "0").is_dir():
            continue
        job = DiffTar(task="tar", ids=client.mapping.for_trees, folder=str(base / "0"), below=[], latest=-1)
        with client.tar(job) as chunks:
            yield MountedCache((base / "name").read_text(), pack_tar(chunks, Encoding("zstd", 1), store))


def _destination(text: str) -> tuple[str, str]:
    values = fields(text, _TO, "--cache-to")
    key = "ref" if values["type"] == "registry" else "dest"
    if not values.get(key):
        raise InvalidUsage(f"--cache-to {text}: no location given", hint=f"add {key}=…")
    if values["type"] == "registry":
        from wherry.app.places import pushable

        pushable(values[key])
    return values["type"], values[key]


def _found(
    session: Session, texts: Sequence[str], progress: Progress | None = None
) -> Iterator[tuple[str, BlobSource, Descriptor, str]]:
    """Open caches: the words, where it is read from, its root, and the repository that has its blobs.

    A cache that cannot be opened is skipped; with `progress`, it is reported.
    """
    for text in texts:
        values = fields(text, _FROM, "--cache-from")
        key = "ref" if values["type"] == "registry" else "src"
        if not values.get(key):
            raise InvalidUsage(f"--cache-from {text}: no location given", hint=f"add {key}=…")
        try:
            if key == "ref":
                reference = Reference.parse(values[key])
                repository = session.registries.source(reference)
                root = repository.resolve(str(reference.digest) if reference.digest else reference.tag)
                yield text, repository, root, f"{reference.registry}/{reference.repository}"
            else:
                from wherry.store.layout import LayoutFolder

                folder = session.cwd / values[key]
                if not folder.is_dir():
                    raise NotFound(
                        f"{values[key]}: no such file or directory", hint="--cache-to of an earlier build writes it"
                    )
                layout = LayoutFolder(folder)
                yield text, layout, layout.resolve(_NAME), ""
        except WherryError as error:
            if progress:
                progress.warn(f"--cache-from {text}: {error.message}")
