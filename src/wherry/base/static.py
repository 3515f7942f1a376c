"""The embedded base: accounts, /tmp, nsswitch, certificates, time zones; enough for a static binary.

It is assembled offline from files of this package (`scripts/base_data.py` makes them), in two layers, so that
`static-notz` shares the first one.
Both are the same blobs for every platform, program and day. What it leaves out, with the reason:

- device nodes, /proc, /sys, /etc/hosts, /etc/resolv.conf: the runtime makes them
- /etc/services: Go's own table has what services look up by name (net.LookupPort)
- /etc/mime.types: Go's own table has the web's types (mime.TypeByExtension), the rest is sniffed
- the zones' posix/ and right/ copies, tables and text form: nothing but zone files is opened at run time
- labels and fingerprints next to the certificates: 25 kB that no program reads

Sources: GoogleContainerTools/distroless for accounts, folders and settings that users rely on (nonroot is 65532);
RFC 9636 (TZif), RFC 7468 (PEM).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from threading import Lock

from wherry.digest import Digest
from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import BytesContent, Entry, EntryKind, sort_entries, with_parents
from wherry.oci import media
from wherry.oci.config import History, ImageConfig, Layer, RootFS, RuntimeConfig
from wherry.oci.image import Image
from wherry.oci.manifest import Manifest
from wherry.platform import Platform
from wherry.store.contract import BlobSink, write_document

ENCODING = Encoding("gzip", 9)
"""Fixed, so that the layers are the same blobs under every image, however its own layers are compressed."""
NONROOT = 65532

_LOCK = Lock()
_PACKED: dict[tuple[str, Encoding], Layer] = {}
_CREATED = "1970-01-01T00:00:00Z"
_FORM = "1"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_RELEASE = "etc/os-release"
_ZONES = "usr/share/zoneinfo"
_DATA = Path(__file__).parent / "data"
_NOTICE = b"# Mozilla's certificate authorities, from the certifi package (MPL-2.0); its comments are left out.\n"

_FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
        "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    "etc/os-release": (
        'NAME="wherry static"\nID=wherry-static\nPRETTY_NAME="wherry static, a base for static programs"\n'
    ),
}


def static_base(sink: BlobSink, platform: Platform, *, zones: bool = True, encoding: Encoding = ENCODING) -> Image:
    """Store the embedded base of one platform.

    Args:
        sink: where its blobs go.
        platform: what its config names; the layers are the same for all.
        zones: with time zones (`static`) or without (`static-notz`).
        encoding: how its layers are compressed.

    Cost: 0.1 s for the first of a process, since the zones are many files.
    """
    parts = ("accounts, certificates", "time zones") if zones else ("accounts, certificates",)
    layers = [(_layer(part, encoding, sink), _step(part)) for part in parts]
    environment = (f"PATH={_PATH}", f"SSL_CERT_FILE=/{_CERTIFICATES}")
    runtime = RuntimeConfig(user=str(NONROOT), env=environment, working_dir="/home/nonroot")
    return base_image(sink, platform, layers, runtime)


def scratch_base(sink: BlobSink, platform: Platform) -> Image:
    """Store a base of nothing: no layer, no setting."""
    return base_image(sink, platform, [], RuntimeConfig())


@cache
def static_base_key() -> Mapping[str, str]:
    """Name all that decides the bytes of the embedded base."""
    versions = _versions()
    return {
        "form": _FORM,
        "certificates": Digest.of(_bundle()),
        "zones": f"tzdata {versions['tzdata']} ({versions['iana']})",
        "encoder": ENCODING.encoder,
    }


def embedded_digests() -> Mapping[str, frozenset[str]]:
    """Give the SHA-256 of every file that the embedded data makes, in hexadecimal digits: certificates and zones."""
    import hashlib

    zones = frozenset(hashlib.sha256(zone).hexdigest() for _, zone in _zone_files())
    return {
        "certificates": frozenset({hashlib.sha256(_NOTICE + _bundle()).hexdigest()}),
        "zones": zones,
    }


def embedded_versions() -> Mapping[str, str]:
    """Name the versions of what the embedded data was made of: certifi, tzdata, iana."""
    return _versions()


def base_image(
    sink: BlobSink, platform: Platform, layers: list[tuple[Layer, History]], runtime: RuntimeConfig
) -> Image:
    """Store the documents of a base whose layers are stored."""
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        created=_CREATED,
        config=runtime,
        rootfs=RootFS(diff_ids=tuple(layer.diff_id for layer, _ in layers)),
        history=tuple(step for _, step in layers),
    )
    stored = write_document(sink, media.OCI_CONFIG, config.encoded())
    manifest = Manifest.of(stored, tuple(layer.blob for layer, _ in layers))
    return Image.of(write_document(sink, media.OCI_MANIFEST, manifest.encoded()), manifest, config)


def _layer(part: str, encoding: Encoding, sink: BlobSink) -> Layer:
    """Pack a layer, or find that this process did and the sink still has it: all platforms share it."""
    with _LOCK:
        layer = _PACKED.get((part, encoding))
        if layer is None or not sink.has(layer.blob):
            entries = _zones() if part == "time zones" else _accounts_and_certificates()
            layer = _PACKED[part, encoding] = pack(entries, encoding, sink, threads=1)
        return layer


def _step(what: str) -> History:
    return History(created=_CREATED, created_by=f"wherry base static: {what}")


def account_entries() -> Iterator[Entry]:
    """Give accounts, nsswitch and home directories, as every base of ours has them."""
    for path, text in _FILES.items():
        if path != _RELEASE:
            yield _file(path, text.encode())
    yield Entry(path="home/nonroot", kind=EntryKind.FOLDER, mode=0o700, uid=NONROOT, gid=NONROOT)
    yield Entry(path="root", kind=EntryKind.FOLDER, mode=0o700)
    yield Entry(path="tmp", kind=EntryKind.FOLDER, mode=0o1777)


def _accounts_and_certificates() -> Iterable[Entry]:
    own = (_file(_RELEASE, _FILES[_RELEASE].encode()), _file(_CERTIFICATES, _NOTICE + _bundle()))
    return sort_entries(with_parents([*account_entries(), *own]))


def _zones() -> Iterable[Entry]:
    """Give zone files, equal ones as hard links, similar ones adjacent: that saves a third of the compressed bytes."""
    names: dict[bytes, list[str]] = {}
    for name, zone in _zone_files():
        names.setdefault(zone, []).append(name)
    files = [_file(f"{_ZONES}/{min(same)}", zone) for zone, same in sorted(names.items(), key=_likeness)]
    links = [
        Entry(path=f"{_ZONES}/{name}", kind=EntryKind.HARDLINK, mode=0o644, target=f"{_ZONES}/{first}")
        for first, *others in sorted(map(sorted, names.values()))
        for name in others
    ]
    entries = with_parents([*files, *links])
    folders = sort_entries(entry for entry in entries if entry.kind is EntryKind.FOLDER)
    return [*folders, *files, *links]


def _likeness(zone: tuple[bytes, list[str]]) -> tuple[bytes, int, list[str]]:
    # The last line of a zone file is its rule for the future: zones that share it share most of their past.
    return zone[0].split(b"\n")[-2], len(zone[0]), sorted(zone[1])


def _zone_files() -> Iterator[tuple[str, bytes]]:
    from zipfile import ZipFile

    with ZipFile(_DATA / "zones.zip") as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def _versions() -> Mapping[str, str]:
    found: dict[str, str] = json.loads((_DATA / "versions.json").read_bytes())
    return found


def _bundle() -> bytes:
    return (_DATA / "certificates.pem").read_bytes()


def _file(path: str, content: bytes) -> Entry:
    return Entry(path=path, kind=EntryKind.FILE, mode=0o644, size=len(content), content=BytesContent(content))
