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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock

from wherry.base.certificates import BUNDLE, own_certificates
from wherry.base.settings import DEFAULTS, Account, BaseSettings
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
MINIMAL = "ultra-minimal"

_LOCK = Lock()
_PACKED: dict[tuple[str, Encoding, str], Layer] = {}
_CREATED = "1970-01-01T00:00:00Z"
_FORM = "1"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CERTIFICATES = BUNDLE
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


def static_base(
    sink: BlobSink,
    platform: Platform,
    *,
    zones: bool = True,
    encoding: Encoding = ENCODING,
    settings: BaseSettings = DEFAULTS,
) -> Image:
    """Store the embedded base of one platform.

    Args:
        sink: where its blobs go.
        platform: what its config names; the layers are the same for all.
        zones: with time zones (`static`) or without (`static-notz`).
        encoding: how its layers are compressed.
        settings: what it has in place of its defaults.

    Cost: 0.1 s for the first of a process, since the zones are many files.
    """
    parts = ("accounts, certificates", "time zones") if zones else ("accounts, certificates",)
    layers = [(_layer(part, encoding, sink, settings), _step("static", part)) for part in parts]
    environment = (f"PATH={_PATH}", f"SSL_CERT_FILE=/{_CERTIFICATES}")
    runtime = RuntimeConfig(user=str(NONROOT), env=environment, working_dir="/home/nonroot")
    return base_image(sink, platform, layers, runtime)


def minimal_base(sink: BlobSink, platform: Platform, settings: BaseSettings = DEFAULTS) -> Image:
    """Store the smallest root that a runtime can start: mount points, accounts, and the certificates that are named.

    A runtime mounts /proc, /dev and /sys; on a root that can't be written it can't make their folders.
    """
    part = "mount points, accounts" + (", certificates" if settings.certificates else "")
    environment = (f"PATH={_PATH}", *([f"SSL_CERT_FILE=/{_CERTIFICATES}"] if settings.certificates else []))
    layer = _layer(part, ENCODING, sink, settings)
    return base_image(
        sink,
        platform,
        [(layer, _step(MINIMAL, part))],
        RuntimeConfig(user=str(NONROOT), env=environment, working_dir="/"),
    )


def scratch_base(sink: BlobSink, platform: Platform, settings: BaseSettings = DEFAULTS) -> Image:
    """Store a base of nothing: no layer, no setting; of the certificates that are named, and no more."""
    if not settings.certificates:
        return base_image(sink, platform, [], RuntimeConfig())
    layer = _layer("certificates", ENCODING, sink, settings)
    return base_image(sink, platform, [(layer, _step("scratch", "certificates"))], RuntimeConfig())


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


def _layer(part: str, encoding: Encoding, sink: BlobSink, settings: BaseSettings) -> Layer:
    """Pack a layer, or find that this process did and the sink still has it: all platforms share it."""
    said = "" if part == "time zones" else repr(sorted(settings.content().items()))
    with _LOCK:
        layer = _PACKED.get((part, encoding, said))
        if layer is None or not sink.has(layer.blob):
            layer = _PACKED[part, encoding, said] = pack(_entries(part, settings), encoding, sink, threads=1)
        return layer


def _entries(part: str, settings: BaseSettings) -> Iterable[Entry]:
    if part == "time zones":
        return _zones()
    certificates = () if part == "mount points, accounts" else (_file(_CERTIFICATES, _own_bundle(part, settings)),)
    if part == "certificates":
        return sort_entries(with_parents(certificates))
    if part.startswith("mount points"):
        folders = (Entry(path=name, kind=EntryKind.FOLDER) for name in ("dev", "proc", "sys"))
        files = (_file(path, _FILES[path].encode()) for path in ("etc/group", "etc/nsswitch.conf", "etc/passwd"))
        return sort_entries(with_parents([*folders, *files, *certificates]))
    own = (_file(_RELEASE, _FILES[_RELEASE].encode()), *certificates)
    return sort_entries(with_parents([*account_entries(), *own]))


def _own_bundle(part: str, settings: BaseSettings) -> bytes:
    """Make the file of certificates: of `scratch` and `ultra-minimal`, which have none, those that are named."""
    if not settings.certificates:
        return _NOTICE + _bundle()
    full = part == "accounts, certificates"
    return (_NOTICE if full or settings.roots else b"") + settings.bundle(own_certificates() if full else ())


def _step(base: str, what: str) -> History:
    return History(created=_CREATED, created_by=f"wherry base {base}: {what}")


def account_entries(users: Sequence[Account] = ()) -> Iterator[Entry]:
    """Give accounts, nsswitch and home directories, as every base of ours has them, and some more users."""
    groups = {(one.name, one.gid) for one in users if one.gid not in {0, NONROOT, 65534}}
    more = {
        "etc/passwd": "".join(f"{one.name}:x:{one.uid}:{one.gid}::{one.home}:/sbin/nologin\n" for one in users),
        "etc/group": "".join(f"{name}:x:{gid}:\n" for name, gid in sorted(groups)),
    }
    for path, text in _FILES.items():
        if path != _RELEASE:
            yield _file(path, (text + more.get(path, "")).encode())
    for one in users:
        if one.home not in {"/", "/nonexistent", "/home/nonroot", "/root", "/tmp"}:  # noqa: S108 - of the image
            yield Entry(path=one.home.strip("/"), kind=EntryKind.FOLDER, mode=0o700, uid=one.uid, gid=one.gid)
    yield Entry(path="home/nonroot", kind=EntryKind.FOLDER, mode=0o700, uid=NONROOT, gid=NONROOT)
    yield Entry(path="root", kind=EntryKind.FOLDER, mode=0o700)
    yield Entry(path="tmp", kind=EntryKind.FOLDER, mode=0o1777)


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
