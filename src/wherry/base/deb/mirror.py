"""An archive of Debian packages: releases verified, indexes and packages by their digests, all kept.

Source: Debian repository format (InRelease, by-hash, Packages).
"""

import hashlib
import lzma
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cmp_to_key
from pathlib import Path

import msgspec

from wherry.base.deb.releases import DebianRelease, Suite
from wherry.base.deb.signature import BadRelease, signed_text
from wherry.debian.control import Paragraph, find_packages, find_providers
from wherry.debian.release import ReleaseFile
from wherry.debian.versions import compare_versions
from wherry.errors import InvalidDocument, NotFound
from wherry.store.files import read_regular, replacing
from wherry.typed import from_json

_LARGEST_RELEASE = 8 << 20
_LARGEST_INDEX = 64 << 20
_LARGEST_PACKAGE = 1 << 30

Fetch = Callable[[str, int], Iterator[bytes]]
"""Give the bytes of a URL, at most so many; it raises NotFound where the server has no such file."""


class PinnedDeb(msgspec.Struct, frozen=True, kw_only=True):
    """A package of one architecture, by its digest."""

    name: str
    version: str
    architecture: str
    """`all` for a package of every architecture."""
    path: str
    """Below the archive's root."""
    sha256: str
    size: int
    security: bool = False
    """Whether it is in the security archive."""


@dataclass(frozen=True, slots=True)
class DebSource:
    """Where packages come from."""

    archive: str
    """A URL, such as `https://mirror.example/debian`."""
    security: str
    fetch: Fetch
    cache: Path
    clock: Callable[[], float]
    offline: bool = False
    keyring: bytes | None = None
    """Certificates; None: Debian's own."""

    def url(self, path: str, *, security: bool) -> str:
        """Name a file of one of the archives."""
        return f"{(self.security if security else self.archive).rstrip('/')}/{path}"


class _Seen(msgspec.Struct, frozen=True):
    date: str
    sha256: str


class Mirror:
    """Reads an archive; one for a build, so that each file is fetched once."""

    def __init__(self, source: DebSource) -> None:
        self._source = source
        self._releases: dict[str, tuple[ReleaseFile, str]] = {}

    def release_digests(self, release: DebianRelease) -> dict[str, str]:
        """Give the digest of each suite's release file, in hex: it decides which packages there are."""
        return {suite.name: self._release(suite)[1] for suite in release.suites}

    def pinned(self, release: DebianRelease, names: Collection[str], architecture: str) -> tuple[PinnedDeb, ...]:
        """Find the newest version of packages.

        Raises:
            NotFound: no suite has one for the architecture.
            BadRelease: the archive is not what Debian signed.
        """
        found = {fields["Package"]: one for fields, one in self.paragraphs(release, names, architecture)}
        absent = sorted(set(names) - set(found))
        if absent:
            raise NotFound(
                f"Debian {release.number} has no {', '.join(absent)} for {architecture}",
                hint="use another base, or leave that platform out",
            )
        return tuple(found[name] for name in sorted(found))

    def paragraphs(
        self, release: DebianRelease, names: Collection[str], architecture: str, *, providing: bool = False
    ) -> list[tuple[Paragraph, PinnedDeb]]:
        """Find the newest versions of packages, with all that the index says of each; what is not there is left out.

        Args:
            release: the release; all its suites are read.
            names: of packages, or of what they provide.
            architecture: Debian's name of it.
            providing: whether packages that provide one of the names are meant, not those that are called so.

        Raises:
            BadRelease: the archive is not what Debian signed.
        """
        newest = cmp_to_key(compare_versions)
        found: dict[str, tuple[Paragraph, PinnedDeb]] = {}
        for suite in release.suites:
            for fields, one in self._packages(suite, names, architecture, providing=providing):
                before = found.get(one.name)
                if before is None or newest(one.version) > newest(before[1].version):
                    found[one.name] = fields, one
        return [found[name] for name in sorted(found)]

    def package(self, wanted: PinnedDeb) -> Path:
        """Have a package in the cache.

        Raises:
            NotFound: the archive does not have it any more; it is named.
            BadRelease: the archive has something else.
        """
        place = self._source.cache / "packages" / wanted.sha256[:2] / wanted.sha256
        url = self._source.url(wanted.path, security=wanted.security)
        try:
            return self._kept(place, url, wanted.sha256, wanted.size)
        except NotFound as error:
            if self._source.offline:
                raise NotFound(
                    f"{wanted.name} {wanted.version}: not in the cache, and --offline asks no mirror",
                    hint="build once online",
                ) from error
            raise NotFound(
                f"{wanted.name} {wanted.version}: the mirror has no {wanted.path}",
                hint="run `wherry base update`, or set WHERRY_DEBIAN_MIRROR to a snapshot that has it",
            ) from error

    def _release(self, suite: Suite) -> tuple[ReleaseFile, str]:
        if suite.name not in self._releases:
            self._releases[suite.name] = self._read_release(suite)
        return self._releases[suite.name]

    def _read_release(self, suite: Suite) -> tuple[ReleaseFile, str]:
        place = self._source.cache / "releases" / suite.name
        name = f"dists/{suite.name}/InRelease"
        if self._source.offline:
            document = read_regular(place / "InRelease", _LARGEST_RELEASE)
            if document is None:
                raise NotFound(f"{name}: not in the cache, and --offline asks no mirror", hint="build once online")
        else:
            document = b"".join(self._source.fetch(self._source.url(name, security=suite.security), _LARGEST_RELEASE))
        found = ReleaseFile.parse(signed_text(document, suite.keys, name, self._source.keyring), name)
        digest = hashlib.sha256(document).hexdigest()
        if not self._source.offline:
            self._check(found, suite, place / "seen.json", digest)
            place.mkdir(parents=True, exist_ok=True)
            with replacing(place / "InRelease") as out:
                out.write(document)
            with replacing(place / "seen.json") as out:
                out.write(msgspec.json.encode(_Seen(found.date.isoformat(), digest)))
        return found, digest

    def _check(self, found: ReleaseFile, suite: Suite, record: Path, digest: str) -> None:
        """Refuse a release of another suite, one that expired, and one older than what was seen before."""
        name = f"dists/{suite.name}/InRelease"
        if found.codename != suite.name:
            raise BadRelease(f"{name}: is of {found.codename}", hint="use another mirror")
        now = datetime.fromtimestamp(self._source.clock(), UTC)
        if found.valid_until is not None and found.valid_until < now:
            raise BadRelease(
                f"{name}: expired on {found.valid_until:%Y-%m-%d %H:%M} UTC",
                hint="the mirror is out of date: use another one, or check this machine's clock",
            )
        content = read_regular(record, _LARGEST_RELEASE)
        if content is None:
            return
        with suppress(msgspec.DecodeError, ValueError):
            seen = from_json(content, _Seen)
            if found.date < datetime.fromisoformat(seen.date) and digest != seen.sha256:
                raise BadRelease(
                    f"{name}: of {found.date:%Y-%m-%d %H:%M} UTC, older than the one seen before ({seen.date})",
                    hint="the mirror replays an old release: use another one",
                )

    def _packages(
        self, suite: Suite, names: Collection[str], architecture: str, *, providing: bool
    ) -> Iterator[tuple[Paragraph, PinnedDeb]]:
        path = f"main/binary-{architecture}/Packages.xz"
        release, _ = self._release(suite)
        if path not in release.files:
            return
        sha256, size = release.files[path]
        place = self._source.cache / "indexes" / f"{sha256}.xz"
        name = f"dists/{suite.name}/main/binary-{architecture}/by-hash/SHA256/{sha256}"
        url = self._source.url(name, security=suite.security)
        if size > _LARGEST_INDEX:
            raise BadRelease(f"{name}: {size} bytes", hint="use another mirror")
        try:
            index = self._kept(place, url, sha256, size)
        except NotFound:  # some proxies serve an index by its name only
            plain = self._source.url(f"dists/{suite.name}/{path}", security=suite.security)
            index = self._kept(place, plain, sha256, size)
        with lzma.open(index) as stream:
            try:
                for fields in (find_providers if providing else find_packages)(stream, names, name):
                    yield fields, _pinned(fields, name, security=suite.security)
            except (lzma.LZMAError, EOFError) as error:
                raise InvalidDocument(name, f"damaged: {error}", hint=f"delete {index}") from error

    def _kept(self, place: Path, url: str, sha256: str, size: int) -> Path:
        """Have a file in the cache; it is hashed each time, since a cache is not believed."""
        if place.is_file() and place.stat().st_size == size and _hash_of(place) == sha256:
            return place
        if self._source.offline:
            raise NotFound(f"{url}: not in the cache, and --offline asks no mirror", hint="build once online")
        if size > _LARGEST_PACKAGE:
            raise BadRelease(f"{url}: {size} bytes", hint="use another mirror")
        place.parent.mkdir(parents=True, exist_ok=True)
        sink_hash = hashlib.sha256()
        with replacing(place) as out:
            for chunk in self._source.fetch(url, size + 1):
                sink_hash.update(chunk)
                out.write(chunk)
            if sink_hash.hexdigest() != sha256:
                raise BadRelease(
                    f"{url}: its SHA-256 is {sink_hash.hexdigest()}, what Debian signed is {sha256}",
                    hint="the mirror is out of step or was changed: use another one (WHERRY_DEBIAN_MIRROR)",
                )
        return place


def _hash_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pinned(fields: Paragraph, name: str, *, security: bool) -> PinnedDeb:
    try:
        found = PinnedDeb(
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields["Architecture"],
            path=fields["Filename"],
            sha256=fields["SHA256"],
            size=int(fields["Size"]),
            security=security,
        )
    except (KeyError, ValueError) as error:
        raise InvalidDocument(name, f"{fields.get('Package')}: {error}", hint="use another mirror") from error
    return found
