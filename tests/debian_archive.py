"""A Debian archive of a test's own: packages, indexes and releases that a key of the test signs."""

import hashlib
import io
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pysequoia

from wherry.base.deb.mirror import DebSource, Mirror
from wherry.base.deb.releases import DebianRelease, Suite
from wherry.errors import NotFound

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def tar_of(files: Mapping[str, bytes | str], form: str = "xz") -> bytes:
    """Make a tar: bytes are files, a text is a symbolic link's target, a name with a slash at its end is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            found = tarfile.TarInfo(f"./{name}")
            found.mtime = 1_700_000_000
            if name.endswith("/"):
                found.type, found.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                found.type, found.linkname = tarfile.SYMTYPE, content
            else:
                found.size, found.mode = len(content), 0o644
            archive.addfile(found, io.BytesIO(content) if isinstance(content, bytes) else None)
    return lzma.compress(out.getvalue()) if form == "xz" else out.getvalue()


def deb(
    name: str,
    version: str,
    files: Mapping[str, bytes | str],
    architecture: str = "amd64",
    postinst: str = "",
    triggers: str = "",
    **fields: str,
) -> bytes:
    """Make a package."""
    control = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
    control += "".join(f"{key}: {value}\n" for key, value in fields.items())
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": tar_of(
            {
                "control": control.encode(),
                "md5sums": b"0  x\n",
                "postinst": (postinst or "#!/bin/sh\nfalse\n").encode(),
                **({"triggers": triggers.encode()} if triggers else {}),
            }
        ),
        "data.tar.xz": tar_of(files),
    }
    out = b"!<arch>\n"
    for member, content in members.items():
        out += f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


class Archive:
    """Files by URL, signed by a key; a test may damage any of them."""

    def __init__(self) -> None:
        self.secret = pysequoia.Tsk.generate("Archive <archive@example.com>")
        self.key = self.secret.extract_certificate()
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        keys = frozenset({self.key.fingerprint.lower()})
        self.release = DebianRelease("99", (Suite("test", keys), Suite("test-security", keys, security=True)), {})

    def publish(self, suite: str, packages: list[bytes], **fields: str) -> None:
        """Put packages into a suite, with an index and a release."""
        base = "http://a/debian-security" if suite.endswith("security") else "http://a/debian"
        paragraphs = []
        for content in packages:
            lines = _control(content)
            path = f"pool/{lines['Package']}_{lines['Version'].replace(':', '%3a')}.deb"
            self.files[f"{base}/{path}"] = content
            lines |= {"Filename": path, "Size": str(len(content)), "SHA256": hashlib.sha256(content).hexdigest()}
            paragraphs.append("".join(f"{key}: {value}\n" for key, value in lines.items()))
        index = lzma.compress("\n".join(paragraphs).encode())
        sha = hashlib.sha256(index).hexdigest()
        self.files[f"{base}/dists/{suite}/main/binary-amd64/by-hash/SHA256/{sha}"] = index
        head = {"Codename": suite, "Date": _date(NOW - timedelta(days=1)), **fields}
        text = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in head.items() if value)
        text += f"SHA256:\n {sha} {len(index)} main/binary-amd64/Packages.xz\n"
        self.files[f"{base}/dists/{suite}/InRelease"] = self.signed(text)

    def signed(self, text: str, key: pysequoia.Tsk | None = None) -> bytes:
        """Sign a text."""
        signer = (key or self.secret).signer()
        return bytes(pysequoia.sign(signer, text.encode(), mode=pysequoia.SignatureMode.CLEAR))

    def mirror(self, cache: Path, *, offline: bool = False) -> Mirror:
        """Read it as a build does."""
        return Mirror(
            DebSource(
                "http://a/debian",
                "http://a/debian-security",
                self.fetch,
                cache,
                NOW.timestamp,
                offline,
                bytes(self.key),
            )
        )

    def fetch(self, url: str, most: int) -> Iterator[bytes]:
        """Give a file, in pieces."""
        self.asked.append(url)
        if url not in self.files:
            raise NotFound(f"{url}: not there")
        assert len(self.files[url]) <= most
        yield from (self.files[url][at : at + 1000] for at in range(0, len(self.files[url]), 1000))


def _date(time: datetime) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S UTC")


def date_of(**ago: float) -> str:
    """Write a time before now as a release has it."""
    return _date(NOW - timedelta(**ago))


def _control(content: bytes) -> dict[str, str]:
    at = content.index(b"control.tar.xz")
    size = int(content[at + 48 : at + 58])
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(content[at + 60 : at + 60 + size]))) as archive:
        text = archive.extractfile("./control").read().decode()
    return dict(line.split(": ", 1) for line in text.splitlines())
