"""What differs between two images, from the outside in, and the likely cause.

Documents first (platforms, config, annotations), then layers, then headers of their tars, then files; two Go programs
are taken apart by `differing_programs`. Layers are compared as they are unpacked: where only the compressed bytes
differ, the compressor is the cause.

Sources: OCI image-spec v1.1.1, config.md and layer.md; POSIX.1-2017, pax, "ustar Interchange Format".
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from wherry.analysis.difference import Compared, Difference, cause
from wherry.analysis.differing_programs import compare_files
from wherry.analysis.subjects import starts_as_program
from wherry.finding import Finding
from wherry.layer.decompress import open_layer
from wherry.layer.entry import Entry, EntryKind
from wherry.layer.tar import TarBody, read_tar
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.store.contract import BlobSource

_RECIPE = "dev.wherry.recipe"
_COMMITS = ("config.recipe.module.revision", "config.Labels.org.opencontainers.image.revision")
_BLOCK = 1 << 20
_LONGEST_MAGIC = 4
_MOST_NAMED = 3
_FIELDS = (
    ("kind", "type", ""),
    ("mode", "mode", "permissions"),
    ("uid", "owner", "ownership"),
    ("gid", "group", "ownership"),
    ("size", "size", "content"),
    ("target", "link target", "content"),
    ("device", "device", "content"),
    ("mtime", "time", "timestamps"),
    ("xattrs", "extended attributes", "xattrs"),
)
"""Fields of an entry: how `Entry` has them, what they are called, and the cause where only they differ."""


def compare_images(
    first: tuple[BlobSource, Image], second: tuple[BlobSource, Image], *, folder: Path | None = None
) -> Compared:
    """Compare the images of one platform.

    Args:
        first: where its blobs are, and its documents.
        second: the same of the other.
        folder: where programs that differ are put for as long as this takes; None: a temporary folder.

    Raises:
        BlobMissing, DigestMismatch, InvalidArchive, InvalidDocument: a blob is not what the image says.

    Cost: layers that differ are read twice; of an entry its header and hash are held.
    """
    one, other = first[1], second[1]
    if one.descriptor.digest == other.descriptor.digest:
        return Compared(str(one.platform), (), None)
    found: list[Difference] = list(_documents(one, other))
    causes: list[Finding] = list(_document_causes(one, other, found))
    with TemporaryDirectory(prefix="wherry-", dir=folder) as place:
        for number, pair in enumerate(zip_longest(_layers(one), _layers(other)), 1):
            more, why = _layer(number, first[0], second[0], pair, Path(place))
            found += more
            causes += why
    if not found:
        found.append(Difference("manifest", "bytes", str(one.descriptor.digest), str(other.descriptor.digest)))
        causes.append(cause("encoding", "the manifests say the same in other bytes: another tool wrote one of them"))
    return Compared(str(one.platform), tuple(found), _likeliest(causes))


_RANK = (
    "platform", "toolchain", "experiment", "microarchitecture", "cgo", "buildmode", "path-not-trimmed", "tags", "pgo",
    "vcs-stamp", "flags", "module-version", "vendored", "go-line", "stripped", "linker-flag", "no-build-id",
    "source-changed", "same-code", "base", "content", "missing-entry", "ownership", "permissions", "xattrs",
    "entry-order", "timestamps", "tar-encoding", "compression", "labels", "config", "annotations", "encoding",
)  # fmt: skip
"""Causes, the one that explains most first: a change of source changes labels and times as well."""


def _likeliest(causes: Iterable[Finding]) -> Finding | None:
    return min(causes, key=lambda one: _RANK.index(one.rule), default=None)


def _documents(one: Image, other: Image) -> Iterator[Difference]:
    if one.platform != other.platform:
        yield Difference("platform", "platform", str(one.platform), str(other.platform))
    yield from _fields("config", "config", _flat(one), _flat(other))
    annotations = [dict(image.manifest.annotations or {}) for image in (one, other)]
    yield from _fields("annotation", "annotations", *annotations)
    kinds = [image.manifest.media_type or "" for image in (one, other)]
    if kinds[0] != kinds[1]:
        yield Difference("manifest", "mediaType", *kinds)


def _fields(level: str, place: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Difference(level, f"{place}.{name}", before.get(name, ""), after.get(name, ""))


def _flat(image: Image) -> dict[str, str]:
    """Give the config's fields but for what layers decide; the recipe and labels one by one."""
    document = msgspec.json.decode(image.config.encoded())
    found: dict[str, str] = {}
    for name, value in document.items():
        if name == "rootfs":
            continue
        if name == "config":
            for inner, setting in value.items():
                if inner == "Labels":
                    found |= {f"Labels.{key}": text for key, text in setting.items() if key != _RECIPE}
                    found |= _recipe(setting.get(_RECIPE, ""))
                else:
                    found[inner] = _text(setting)
        elif name == "history":
            found |= {f"history.{number}": _text(line) for number, line in enumerate(value, 1)}
        else:
            found[name] = _text(value)
    return found


def _recipe(text: str) -> dict[str, str]:
    try:
        document = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {"recipe": text}
    flat: dict[str, str] = {}
    for name, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, dict):
            flat |= {f"recipe.{name}.{key}": _text(inner) for key, inner in value.items()}
        else:
            flat[f"recipe.{name}"] = _text(value)
    return flat


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, order="deterministic").decode()


def _document_causes(one: Image, other: Image, found: list[Difference]) -> Iterator[Finding]:
    names = [difference.place for difference in found]
    systems = [(image.platform.os, image.platform.architecture) for image in (one, other)]
    if systems[0] != systems[1]:
        yield cause("platform", f"one is for {one.platform}, the other for {other.platform}")
    base = next((difference for difference in found if difference.place == "config.recipe.base.digest"), None)
    if base:
        yield cause(
            "base", "they stand on different bases", f"{base.before or 'none'} and {base.after or 'none'}",
            remedy="lock the base (`wherry lock`), or name it by its digest",
        )  # fmt: skip
    commit = next((difference for difference in found if difference.place in _COMMITS), None)
    if commit:
        yield cause(
            "vcs-stamp", "they are built from different commits, or one outside of a checkout",
            f"{commit.before or 'none'} and {commit.after or 'none'}",
        )  # fmt: skip
    times = [name for name in names if name == "config.created" or name.startswith("config.history.")]
    if times and _only_times(one, other):
        yield cause("timestamps", "the images have other times", *times, remedy="set SOURCE_DATE_EPOCH in both builds")
    labels = [name for name in names if name.startswith(("config.Labels.", "config.recipe."))]
    if labels:
        yield cause("labels", f"labels differ: {', '.join(labels[:_MOST_NAMED])}")
    rest = [
        name
        for name in names
        if name.startswith("config.") and name not in labels and name not in times and name != "config.created"
    ]
    if rest:
        yield cause("config", f"the config differs: {', '.join(rest[:_MOST_NAMED])}")
    if any(name.startswith("annotations.") for name in names):
        yield cause("annotations", "annotations of the manifest differ")


def _only_times(one: Image, other: Image) -> bool:
    lines = [
        [(line.created_by, line.comment, line.empty_layer) for line in image.config.history or ()]
        for image in (one, other)
    ]
    return lines[0] == lines[1]


@dataclass(frozen=True, slots=True)
class _Layer:
    blob: Descriptor
    diff_id: str


def _layers(image: Image) -> list[_Layer]:
    return [_Layer(blob, str(diff)) for blob, diff in zip(image.manifest.stack, image.config.diff_ids, strict=True)]


def _layer(
    number: int, source: BlobSource, other_source: BlobSource, pair: tuple[_Layer | None, _Layer | None], folder: Path
) -> tuple[list[Difference], list[Finding]]:
    one, other = pair
    name = f"layer {number}"
    if one is None or other is None:
        sides = [side.diff_id if side else "none" for side in pair]
        return [Difference("layer", name, *sides)], [cause("content", f"{name} is in one image only")]
    if one.blob.digest == other.blob.digest:
        return [], []
    if one.diff_id == other.diff_id:
        kinds = [f"{side.blob.media_type}, {side.blob.size:,} bytes" for side in (one, other)]
        why = cause(
            "compression", f"{name} holds the same bytes, compressed in another way", *kinds,
            remedy="build with the same --compression, --compression-level and release of wherry",
        )  # fmt: skip
        return [Difference("layer", f"{name} (compressed)", str(one.blob.digest), str(other.blob.digest))], [why]
    found = [Difference("layer", name, one.diff_id, other.diff_id)]
    before, after = _read(source, one), _read(other_source, other)
    entries, causes, changed = _entries(name, before, after)
    found += entries
    programs, whys = _programs(name, changed, (source, one, before), (other_source, other, after), folder)
    if not entries and not programs:
        causes.append(cause("tar-encoding", f"{name}: the same entries, written as tar in another way"))
    return found + programs, causes + whys


@dataclass(frozen=True, slots=True)
class _Read:
    place: int
    """Of the entry in the tar, from 0."""
    entry: Entry
    digest: bytes
    program: bool


def _read(source: BlobSource, layer: _Layer) -> dict[str, _Read]:
    found: dict[str, _Read] = {}
    stream = open_layer(source, layer.blob)
    for place, (entry, body) in enumerate(read_tar(stream, f"layer {layer.blob.digest}")):
        start, digest = b"", hashlib.sha256()
        while chunk := body.read(_BLOCK):
            start = start or chunk[:_LONGEST_MAGIC]
            digest.update(chunk)
        found[entry.path] = _Read(place, entry, digest.digest(), starts_as_program(start))
    return found


def _entries(
    name: str, before: dict[str, _Read], after: dict[str, _Read]
) -> tuple[list[Difference], list[Finding], list[str]]:
    """Compare headers; give the files with other bytes as well."""
    found: list[Difference] = []
    causes: list[Finding] = []
    changed: list[str] = []
    seen: set[str] = set()
    for path in dict.fromkeys((*before, *after)):
        one, other = before.get(path), after.get(path)
        if one is None or other is None:
            _once(found, seen, "missing", Difference("entry", f"{name} /{path}", *_there(one, other)))
            causes.append(cause("missing-entry", f"{name}: /{path} is in one of them only"))
            continue
        for field, word, rule in _FIELDS:
            values = [str(getattr(side.entry, field)) for side in (one, other)]
            if values[0] != values[1] and not (field == "size" and one.entry.kind is EntryKind.FILE):
                _once(found, seen, field, Difference("entry", f"{name} /{path} {word}", *values))
                causes.append(
                    cause(rule or "content", f"{name}: {word} of /{path} differs: {values[0]} and {values[1]}")
                )
        if one.digest != other.digest:
            changed.append(path)
            _once(found, seen, "bytes", Difference("file", f"{name} /{path}", one.digest.hex(), other.digest.hex()))
            if not (one.program and other.program):
                causes.append(cause("content", f"{name}: /{path} has other bytes"))
    if not found and list(before) != list(after):
        at = next(place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])
        found.append(Difference("entry", f"{name}, entry {at + 1}", list(before)[at], list(after)[at]))
        causes.append(cause("entry-order", f"{name}: the same entries in another order"))
    return found, causes, changed


def _once(found: list[Difference], seen: set[str], key: str, difference: Difference) -> None:
    """Note the first of a kind: a layer of other times has thousands."""
    if key not in seen:
        seen.add(key)
        found.append(difference)


def _there(one: object, other: object) -> tuple[str, str]:
    return ("there" if one else "missing", "there" if other else "missing")


def _programs(
    name: str,
    changed: list[str],
    first: tuple[BlobSource, _Layer, dict[str, _Read]],
    second: tuple[BlobSource, _Layer, dict[str, _Read]],
    folder: Path,
) -> tuple[list[Difference], list[Finding]]:
    path = next((one for one in changed if first[2][one].program and second[2][one].program), None)
    if path is None:
        return [], []
    files = [
        _spooled(source, layer, read[path].place, folder / f"{number}-{name.replace(' ', '-')}")
        for number, (source, layer, read) in enumerate((first, second))
    ]
    compared = compare_files(files[0], files[1], f"/{path}")
    return list(compared.differences), [compared.cause] if compared.cause else []


def _spooled(source: BlobSource, layer: _Layer, place: int, file: Path) -> Path:
    for number, (_, body) in enumerate(read_tar(open_layer(source, layer.blob), f"layer {layer.blob.digest}")):
        if number == place:
            _write(body, file)
    return file


def _write(body: TarBody, file: Path) -> None:
    with file.open("xb") as out:
        shutil.copyfileobj(body, out, _BLOCK)
