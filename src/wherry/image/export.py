"""An image on its way out of the store: archives for other tools, or its root file system as a tar or as files.

Blobs leave as they are stored, never compressed again, so the digest that was printed holds for every copy. The same
image gives the same bytes. Files and folders appear whole or not at all.

Sources: docker/buildx, docs "docker buildx build --output"; moby/buildkit, exporter/local and exporter/tar (as of
2026): several platforms get a folder each, called `linux_amd64` and the like.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Literal

from wherry.errors import InvalidUsage
from wherry.image.folder import new_folder
from wherry.layer.changes import flatten, layers_of, packable
from wherry.layer.entry import Entry, EntryKind, Readable
from wherry.layer.tar import write_tar
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.layout import BLOBS, INDEX, LAYOUT, MARKER
from wherry.platform import Platform
from wherry.store.archive import index_of, write_docker_archive, write_oci_archive
from wherry.store.contract import BlobSource, walk
from wherry.store.files import ByteSink, cannot_write, replacing
from wherry.store.images import images_of

Form = Literal["oci", "docker", "tar", "local"]


def export(
    form: Form,
    roots: Mapping[str, Descriptor],
    source: BlobSource,
    to: Path | ByteSink,
    *,
    tar: bool = True,
    split: bool | None = None,
) -> tuple[str, ...]:
    """Write images somewhere else.

    Args:
        form: which of buildx's forms.
        roots: manifests or indexes by name; one without a name by its digest.
        source: what their blobs are read from.
        to: a path, or a stream such as `World.binary_out`.
        tar: for `oci`: an archive, or a folder.
        split: for `tar` and `local`: a folder for each platform; None: where there are several.

    Returns:
        What could not be written as the image has it, a line each: device nodes, attributes.

    Raises:
        InvalidUsage: the form can't hold that many images or platforms, or a folder can't be a stream.
        CannotWrite: no space, not allowed, or the folder is not empty; nothing was changed.
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: what is stored is broken.
    """
    match form:
        case "oci" if not tar:
            _write_layout(_folder(to), roots, source)
        case "oci":
            with _stream(to) as out:
                write_oci_archive(out, source, roots)
        case "docker":
            _refuse_several(roots, source)
            with _stream(to) as out:
                write_docker_archive(out, source, roots)
        case "tar":
            images = _images(form, roots, source, split=split)
            with _stream(to) as out:
                write_tar(packable(_all(images, source)), out.write)
        case "local":
            return _unpack(_folder(to), _images(form, roots, source, split=split), source)
    return ()


def _folder(to: Path | ByteSink) -> Path:
    if not isinstance(to, Path):
        raise InvalidUsage("cannot write a directory to stdout", hint="set dest=DIR")
    return to


@contextmanager
def _stream(to: Path | ByteSink) -> Iterator[ByteSink]:
    if not isinstance(to, Path):
        yield to
        return
    with replacing(to) as file:
        yield file


def _refuse_several(roots: Mapping[str, Descriptor], source: BlobSource) -> None:
    for name, root in roots.items():
        platforms = [str(image.platform) for image in images_of(source, root)]
        if len(platforms) > 1:
            raise InvalidUsage(
                f"{name}: a docker archive holds one platform, but the image has {', '.join(platforms)}",
                hint="use type=oci, or build one with --platform",
            )


def _images(
    form: Form, roots: Mapping[str, Descriptor], source: BlobSource, *, split: bool | None
) -> list[tuple[str, Image]]:
    """Choose what is flattened, each with the folder it goes to; an empty name is the top."""
    if len({root.digest for root in roots.values()}) != 1:
        raise InvalidUsage(
            f"type={form} holds one image, but there are {', '.join(roots) or 'none'}",
            hint="use type=oci, or build one at a time",
        )
    images = images_of(source, next(iter(roots.values())))
    if split is False and len(images) > 1:
        raise InvalidUsage(
            f"platform-split=false: {len(images)} platforms cannot share one root",
            hint="remove platform-split=, or build one with --platform",
        )
    split = len(images) > 1 if split is None else split
    return [(folder_of(image.platform) if split else "", image) for image in images]


def folder_of(platform: Platform) -> str:
    """Name the folder that a platform gets among others: `linux_arm_v7`."""
    return str(platform).replace("/", "_")


def _all(images: Iterable[tuple[str, Image]], source: BlobSource) -> Iterator[tuple[Entry, Readable]]:
    for folder, image in images:
        tree = flatten(layers_of(source, image))
        yield from _moved(tree, folder) if folder else tree


def _moved(tree: Iterable[tuple[Entry, Readable]], folder: str) -> Iterator[tuple[Entry, Readable]]:
    """Put a root into a folder, which comes first; symbolic links stay as a container sees them."""
    top = Entry(path="", kind=EntryKind.FOLDER), io.BytesIO()
    entries = iter(tree)
    first = next(entries, top)
    for entry, body in chain([] if first[0].path == "" else [top], [first], entries):
        target = f"{folder}/{entry.target}" if entry.kind is EntryKind.HARDLINK else entry.target
        yield replace(entry, path=f"{folder}/{entry.path}".rstrip("/"), target=target), body


def _unpack(folder: Path, images: Iterable[tuple[str, Image]], source: BlobSource) -> tuple[str, ...]:
    from wherry.layer.unpack import unpack

    skipped: list[str] = []
    with new_folder(folder) as draft:
        for name, image in images:
            skipped += unpack(flatten(layers_of(source, image)), draft / name).skipped
    return tuple(skipped)


def _write_layout(folder: Path, roots: Mapping[str, Descriptor], source: BlobSource) -> None:
    index = index_of(roots)
    with new_folder(folder) as draft:
        try:
            for name, document in ((MARKER, LAYOUT.encoded()), (INDEX, index.encoded())):
                (draft / name).write_bytes(document)
            for blob in walk(index.manifests, source):
                path = draft / BLOBS / blob.digest.algorithm / blob.digest.encoded
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.writelines(source.read(blob))
        except OSError as error:
            raise cannot_write(folder, error) from error
