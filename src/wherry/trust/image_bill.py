"""The bill of an image: programs and their modules, packages of its distribution, known data, every file.

Source: OCI image-spec v1.1.1, layer.md; what each reader it uses names.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from wherry.analysis.image import index as kinds
from wherry.analysis.image.index import LayerIndex
from wherry.analysis.image.union import Union
from wherry.analysis.mapped import map_elf
from wherry.elf.reader import MAGIC
from wherry.errors import InvalidDocument
from wherry.layer.changes import is_bookkeeping
from wherry.layer.decompress import open_layer
from wherry.layer.tar import TarBody, read_tar
from wherry.oci.image import Image
from wherry.store.contract import BlobSource
from wherry.trust.bill import Bill, Ingredient, IngredientKind, Licence, joined, purl
from wherry.trust.distribution import LARGEST_LIST, OS_RELEASE, distribution_of, installed, is_package_list
from wherry.trust.go_bill import GoFacts, go_parts

_TITLE = "org.opencontainers.image.title"
_EPOCH = "1970-01-01T00:00:00Z"
_BLOCK = 1 << 20
_EXECUTABLE = 0o111
_MODE = 3


@dataclass(frozen=True, slots=True)
class KnownData:
    """Data whose origin is known by the digests of its files."""

    name: str
    version: str
    purl: str
    licence: str
    note: str
    digests: frozenset[str]
    """SHA-256 of its files, in hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillOptions:
    """What a bill holds, and what is known."""

    name: str
    """Of the image, where it does not name itself."""
    folder: Path
    """Where one program at a time can be put."""
    go: GoFacts
    known: Sequence[KnownData] = ()
    files: bool = True


@dataclass
class _Read:
    """What one pass over the layers found."""

    files: list[Ingredient] = field(default_factory=list)
    parts: dict[str, Ingredient] = field(default_factory=dict)
    programs: list[Ingredient] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)

    def add(self, part: Ingredient) -> None:
        """Take a part; one that is there already gets the packages of both."""
        there = self.parts.get(part.ref)
        if there is not None:
            part = replace(there, packages=tuple(sorted({*there.packages, *part.packages})))
        self.parts[part.ref] = part


def image_bill(source: BlobSource, image: Image, layers: Sequence[LayerIndex], options: BillOptions) -> Bill:
    """Read what an image is made of.

    Args:
        source: where its blobs are.
        image: its documents.
        layers: the indexes of its layers, base first.
        options: see there.

    Raises:
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: a layer is not what the image says.

    Cost: every layer is decompressed once; a block of a file at a time in memory, and the lists of packages.
    """
    read = _Read()
    visible = _visible(layers)
    for number, rows in enumerate(visible):
        if rows:
            _read_layer(source, image, number, rows, read, options)
    packages = list(_packages(read.texts, image))
    data = list(_data(read.files, options.known))
    files = read.files if options.files else []
    everything = [*read.parts.values(), *read.programs, *packages, *data, *files]
    tops = [one.ref for one in (*read.programs, *packages, *data, *files)]
    root = _root(image, options.name, tuple(sorted(tops)))
    parts = {one.ref: one for one in everything}
    created = image.config.created or _EPOCH
    return Bill(root=root, created=_whole_seconds(created), parts=tuple(parts[ref] for ref in sorted(parts)))


def index_bill(digest: str, name: str, bills: Iterable[Bill]) -> Bill:
    """Make the bill of an index of the bills of its images."""
    address = purl("oci", name, digest)
    root = Ingredient(
        kind=IngredientKind.INDEX, ref=address, name=name, version=digest, purl=address, sha256=digest.partition(":")[2]
    )
    return joined(root, bills)


def name_of(image: Image, name: str) -> str:
    """Give what an image calls itself, or else the last part of the name that it was asked for by."""
    title = (image.config.runtime.labels or {}).get(_TITLE, "")
    plain = name.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return title if title and len(title) <= 200 and title.isprintable() else plain or "image"  # noqa: PLR2004 - a name


def _root(image: Image, name: str, uses: tuple[str, ...]) -> Ingredient:
    digest, platform = str(image.descriptor.digest), image.platform
    own = name_of(image, name)
    address = purl("oci", own, digest, arch=platform.architecture)
    labels = image.config.runtime.labels or {}
    wanted = ("source", "revision", "version", "base.name", "base.digest")
    notes = [(key, labels.get(f"org.opencontainers.image.{key}", "")) for key in wanted]
    notes.append(("platform", str(platform)))
    return Ingredient(
        kind=IngredientKind.IMAGE, ref=address, name=own, version=digest, purl=address,
        sha256=digest.partition(":")[2], notes=tuple((key, value) for key, value in notes if value), uses=uses,
    )  # fmt: skip


def _visible(layers: Sequence[LayerIndex]) -> list[dict[int, list[str]]]:
    """Give the files that a container sees, by layer and row, with their names."""
    union = Union(layers)
    found: list[dict[int, list[str]]] = [{} for _ in layers]
    for path, _, number in union.walk():
        layer, row = union.place(number)
        if layers[layer].kinds[row] == kinds.FILE:
            found[layer].setdefault(row, []).append(path.decode(errors="backslashreplace"))
    return found


def _read_layer(
    source: BlobSource, image: Image, number: int, rows: Mapping[int, Sequence[str]], read: _Read, options: BillOptions
) -> None:
    blob = image.manifest.stack[number]
    row = -1
    opened = open_layer(source, blob, image.config.diff_ids[number])
    for entry, body in read_tar(opened, f"layer {blob.digest}"):
        if is_bookkeeping(entry):
            continue
        row += 1
        names = rows.get(row)
        if names:
            _read_file(body, sorted(names), entry.mode, read, options)


def _read_file(body: TarBody, names: Sequence[str], mode: int, read: _Read, options: BillOptions) -> None:
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    keep = next((name for name in names if is_package_list(name) or name in OS_RELEASE), "")
    chunk = body.read(_BLOCK)
    program = bool(mode & _EXECUTABLE) and chunk.startswith(MAGIC)
    spool = options.folder / "program"
    kept = bytearray()
    with spool.open("wb") if program else nullcontext() as out:
        while chunk:
            sha1.update(chunk)
            sha256.update(chunk)
            if out is not None:
                out.write(chunk)
            elif keep and len(kept) <= LARGEST_LIST:
                kept += chunk
            chunk = body.read(_BLOCK)
    if keep:
        read.texts[keep] = bytes(kept)
    digest = sha256.hexdigest()
    if program:
        _read_program(spool, f"/{names[0]}", digest, read, options)
    for name in names:
        read.files.append(Ingredient(
            kind=IngredientKind.FILE, ref=f"file:/{name}#{digest}", name=f"/{name}", sha256=digest,
            sha1=sha1.hexdigest(),
        ))  # fmt: skip


def _read_program(spool: Path, path: str, digest: str, read: _Read, options: BillOptions) -> None:
    notes: tuple[tuple[str, str], ...] = ()
    uses: tuple[str, ...] = ()
    version = ""
    try:
        found = go_parts(map_elf(spool, path), options.go)
    except InvalidDocument as error:
        found, notes = None, (("unreadable", error.problem),)
    if found is not None:
        info, parts = found
        for part in parts:
            read.add(part)
        uses = tuple(sorted(part.ref for part in parts))
        version = info.main.version if info.main and info.main.version != "(devel)" else ""
        notes = (("go", info.go_version), ("package", info.path))
    read.programs.append(Ingredient(
        kind=IngredientKind.PROGRAM, ref=f"program:{path}#{digest}", name=path, version=version, sha256=digest,
        notes=notes, uses=uses,
    ))  # fmt: skip


def _packages(texts: Mapping[str, bytes], image: Image) -> Iterator[Ingredient]:
    release = next((texts[path] for path in OS_RELEASE if path in texts), b"")
    distribution, release_version = distribution_of(release)
    seen = set()
    for path in sorted(texts):
        if not is_package_list(path):
            continue
        for one in installed(path, texts[path]):
            vendor = distribution or ("debian" if one.kind == "deb" else "alpine")
            distro = f"{vendor}-{release_version}" if release_version else vendor
            address = purl(
                one.kind, f"{vendor}/{one.name}", one.version, arch=one.architecture or image.platform.architecture,
                distro=distro,
            )  # fmt: skip
            if address not in seen:
                seen.add(address)
                yield Ingredient(
                    kind=IngredientKind.PACKAGE, ref=address, name=one.name, version=one.version, purl=address,
                    notes=(("source-package", one.source),) if one.source else (),
                )  # fmt: skip


def _data(files: Sequence[Ingredient], known: Sequence[KnownData]) -> Iterator[Ingredient]:
    there = {one.sha256 for one in files}
    for one in known:
        if one.digests & there:
            yield Ingredient(
                kind=IngredientKind.DATA, ref=one.purl, name=one.name, version=one.version, purl=one.purl,
                licence=Licence(one.licence), notes=(("contents", one.note),),
            )  # fmt: skip


def _whole_seconds(moment: str) -> str:
    """Cut parts of a second off, which SPDX has no place for; a time that is not written in UTC counts as none."""
    whole = moment.partition(".")[0].rstrip("Z")
    return f"{whole}Z" if len(whole) == len("1970-01-01T00:00:00") else _EPOCH
