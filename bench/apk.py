"""Alpine packages, their index and their signatures: what apko makes images of, written here since no server has them.

A package is three gzip streams in a row, each of a tar: the signature of the second, `.PKGINFO` with the hash of the
third, and the files. The first two lack the blocks that end a tar, so that all is one archive. An index is the same
with two streams.

Sources: apk-tools 2.14, doc/apk-package.5.scd and doc/apk-v2.5.scd (package and index format); Alpine's wiki, "Apk
spec".
"""

import base64
import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from wherry.base.static import static_base
from wherry.layer.changes import layers_of
from wherry.layer.tar import read_tar
from wherry.platform import Platform
from wherry.store.memory import MemoryStore

ARCHITECTURE = "x86_64"
KEY = "bench.rsa.pub"
_VERSION = "1.0.0-r0"
_BITS = 2048


@dataclass(frozen=True, slots=True)
class Package:
    """A package: its name, and its files in a tar's form, folders before what is in them."""

    name: str
    files: Sequence[tuple[tarfile.TarInfo, bytes]]


def static_package() -> Package:
    """Give wherry's own static base as a package."""
    store = MemoryStore()
    files = []
    for opened in layers_of(store, static_base(store, Platform("linux", "amd64"))):
        for entry, body in read_tar(opened()):
            info = tarfile.TarInfo(entry.path)
            info.type, info.mode, info.uid, info.gid = entry.kind.value, entry.mode, entry.uid, entry.gid
            info.linkname, info.size = entry.target, entry.size
            files.append((info, body.read()))
    return Package("static-base", files)


def program_package(program: Path) -> Package:
    """Give a program as a package that has it at /app."""
    content = program.read_bytes()
    info = tarfile.TarInfo("app")
    info.mode, info.size = 0o755, len(content)
    return Package("app", [(info, content)])


def write_repository(folder: Path, packages: Iterable[Package]) -> Path:
    """Write packages, their index and the key that signed them; give the key's file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    place = folder / ARCHITECTURE
    place.mkdir(parents=True)
    rows = [_write(place, package, key) for package in packages]
    index = _stream([("DESCRIPTION", b"bench"), ("APKINDEX", "\n\n".join([*rows, ""]).encode())], whole=True)
    (place / "APKINDEX.tar.gz").write_bytes(_signed(index, key) + index)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / KEY).write_bytes(public)
    return folder / KEY


def _write(place: Path, package: Package, key: rsa.RSAPrivateKey) -> str:
    """Write a package; give its lines of the index."""
    content = _files(package.files)
    size = sum(len(text) for _, text in package.files)
    facts = {
        "pkgname": package.name,
        "pkgver": _VERSION,
        "pkgdesc": package.name,
        "url": "https://example.com",
        "arch": ARCHITECTURE,
        "size": str(size),
        "license": "none",
        "datahash": hashlib.sha256(content).hexdigest(),
    }
    control = _stream([(".PKGINFO", "".join(f"{name} = {fact}\n" for name, fact in facts.items()).encode())])
    whole = _signed(control, key) + control + content
    (place / f"{package.name}-{_VERSION}.apk").write_bytes(whole)
    checksum = base64.b64encode(hashlib.sha1(control, usedforsecurity=False).digest()).decode()
    rows = {
        "C": f"Q1{checksum}", "P": package.name, "V": _VERSION, "A": ARCHITECTURE, "S": str(len(whole)),
        "I": str(size), "T": package.name, "U": facts["url"], "L": "none",
    }  # fmt: skip
    return "\n".join(f"{letter}:{text}" for letter, text in rows.items())


def _signed(stream: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """Give the stream that stands before another and has its signature."""
    signature = key.sign(stream, padding.PKCS1v15(), hashes.SHA256())
    return _stream([(f".SIGN.RSA256.{KEY}", signature)])


def _stream(files: Iterable[tuple[str, bytes]], *, whole: bool = False) -> bytes:
    """Pack small files; `whole`: with the blocks that end a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        end = tar.offset
    return gzip.compress(out.getvalue() if whole else out.getvalue()[:end], mtime=0)


def _files(files: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Pack the files of a package, each with the checksum that is looked for."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry, content in files:
            if entry.isfile():
                digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
                entry.pax_headers = {"APK-TOOLS.checksum.SHA1": digest}
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)
