"""Bases of packages, as a build asks for them: what decides their bytes, their platforms, their images."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from wherry.base.certificates import BUNDLE
from wherry.base.deb.assemble import Assembled, assemble, digest_of
from wherry.base.deb.closure import IndexedDeb, closure_of
from wherry.base.deb.mirror import Mirror, PinnedDeb
from wherry.base.deb.releases import ARCHITECTURES, DebianRelease, DebName, debian_architecture
from wherry.base.settings import DEFAULTS, BaseSettings
from wherry.base.static import ENCODING, NONROOT, account_entries, base_image
from wherry.debian.control import provided
from wherry.layer.compress import pack
from wherry.layer.entry import Entry
from wherry.oci.config import History, RuntimeConfig
from wherry.oci.image import Image
from wherry.platform import Platform
from wherry.store.contract import BlobSink

_CREATED = "1970-01-01T00:00:00Z"
_FORM = "1"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DebPins = Mapping[str, Mapping[str, tuple[PinnedDeb, ...]]]
"""Packages by a base's name and Debian's architecture, as wherry.lock has them."""


@dataclass(frozen=True, slots=True)
class DebContents:
    """What a base was made of."""

    packages: tuple[PinnedDeb, ...]
    sizes: Mapping[str, int]
    """Bytes of files that are there, by package."""
    dropped: Mapping[str, int]
    """Bytes that were left out, by group."""
    scripts: Mapping[str, tuple[str, ...]]
    """What maintainer scripts, which were not run, would have done; by package."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Packages that only scripts use, or that the user left out, with one that needs each."""


class DebBases:
    """Makes bases of packages."""

    def __init__(
        self,
        mirror: Callable[[], Mirror],
        pins: DebPins,
        scratch: Path,
        warn: Callable[[str], None] = lambda _: None,
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take where packages come from.

        Args:
            mirror: gives the archive when it is first needed.
            pins: what wherry.lock pins.
            scratch: a folder for what is unpacked while a base is packed.
            warn: called with what the user should know.
            said: called with what is done, and with what was left out.
        """
        self._make, self._pins, self._scratch = mirror, pins, scratch
        self._warn, self._said = warn, said
        self._mirror: Mirror | None = None
        self._left_out: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
        self.contents: dict[tuple[str, str], DebContents] = {}
        """What bases were made of, by name and platform."""

    def content(self, name: str) -> Mapping[str, str]:
        """Name what decides the bytes of a base, on every platform."""
        wanted = DebName.parse(name)
        if wanted.release.warning:
            self._warn(f"base {name}: {wanted.release.warning}")
        pinned = self._pins.get(name)
        if pinned:
            listed = [(f"{arch}/{one.name}", one.sha256) for arch, every in pinned.items() for one in every]
            return {"form": _FORM, "name": name, "packages": digest_of(listed), "encoder": ENCODING.encoder}
        releases = self._opened().release_digests(wanted.release)
        return {"form": _FORM, "name": name, "releases": digest_of(releases.items()), "encoder": ENCODING.encoder}

    def platforms(self, name: str) -> tuple[Platform, ...]:
        """List the platforms that there are packages for."""
        DebName.parse(name)
        return tuple(map(Platform.parse, ARCHITECTURES))

    def pinned(self, name: str, platform: Platform) -> tuple[PinnedDeb, ...]:
        """Give the packages of a base: those of the lock, else the newest."""
        wanted = DebName.parse(name)
        architecture = debian_architecture(platform)
        locked = self._pins.get(name, {}).get(architecture)
        if locked:
            return locked
        self._said(f"base {name} {platform}: reading Debian's indexes")
        if not wanted.closed:
            return self._opened().pinned(wanted.release, wanted.packages, architecture)
        index = _Index(self._opened(), wanted.release, architecture)
        what = f"Debian {wanted.release.number} for {architecture}"
        found = closure_of(index, wanted.packages, wanted.without, what)
        self._left_out[name, str(platform)] = found.left_out
        return found.packages

    def image(
        self,
        name: str,
        platform: Platform,
        sink: BlobSink,
        settings: BaseSettings = DEFAULTS,
        extra: Iterable[Entry] = (),
    ) -> Image:
        """Have the base of one platform in a store.

        Args:
            name: the base's.
            platform: it has to be one of Debian's.
            sink: where it goes.
            settings: what it has in place of its defaults.
            extra: files that go before those of packages.

        Raises:
            NotFound: a package is gone; it is named.
            BadRelease, InvalidDocument: the archive is not what Debian signed.
        """
        wanted = DebName.parse(name)
        debs = self.pinned(name, platform)
        archives = list(self._archives(name, platform, debs))
        self._scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._scratch, prefix="deb-") as folder:
            found = assemble(
                archives,
                [*account_entries(settings.users), *extra],
                Path(folder, "bodies"),
                settings=settings,
                debug=wanted.debug,
                links=wanted.closed,
            )
            layer = pack(found.entries, ENCODING, sink, threads=os.cpu_count() or 1)
        self._tell(name, platform, debs, found)
        step = History(created=_CREATED, created_by=f"wherry base {name}: {_listed(debs)}")
        return base_image(sink, platform, [(layer, step)], _runtime(wanted, found.entries, settings))

    def _archives(self, name: str, platform: Platform, debs: Sequence[PinnedDeb]) -> Iterator[tuple[str, Path]]:
        for place, one in enumerate(debs, 1):
            self._said(f"base {name} {platform}: {one.name} {one.version} ({place} of {len(debs)})")
            yield one.name, self._opened().package(one)

    def _opened(self) -> Mirror:
        if self._mirror is None:
            self._mirror = self._make()
        return self._mirror

    def _tell(self, name: str, platform: Platform, debs: tuple[PinnedDeb, ...], found: Assembled) -> None:
        left_out = self._left_out.get((name, str(platform)), ())
        made = DebContents(debs, dict(found.sizes), dict(found.dropped), dict(found.scripts), left_out)
        self.contents[name, str(platform)] = made
        dropped = ", ".join(f"{group} {size / 1e6:.1f} MB" for group, size in sorted(found.dropped.items()))
        if dropped:
            self._said(f"base {name} {platform}: left out {dropped}")


@dataclass(frozen=True, slots=True)
class _Index:
    """See `PackageIndex`."""

    mirror: Mirror
    release: DebianRelease
    architecture: str

    def newest(self, names: Collection[str]) -> Mapping[str, IndexedDeb]:
        """See `PackageIndex`."""
        found = self.mirror.paragraphs(self.release, names, self.architecture)
        return {one.name: _indexed(fields, one) for fields, one in found}

    def providers(self, names: Collection[str]) -> Mapping[str, tuple[IndexedDeb, ...]]:
        """See `PackageIndex`."""
        found = self.mirror.paragraphs(self.release, names, self.architecture, providing=True)
        return {
            name: tuple(_indexed(fields, one) for fields, one in found if name in provided(fields, one.name))
            for name in names
        }


def _indexed(fields: Mapping[str, str], one: PinnedDeb) -> IndexedDeb:
    needs = [fields[key] for key in ("Pre-Depends", "Depends") if fields.get(key)]
    return IndexedDeb(one, ", ".join(needs))


def _runtime(wanted: DebName, entries: Sequence[Entry], settings: BaseSettings) -> RuntimeConfig:
    path = f"{_PATH}:/busybox" if wanted.debug else _PATH
    certificates = any(entry.path == BUNDLE for entry in entries)
    environment = {
        "PATH": path, **({"SSL_CERT_FILE": f"/{BUNDLE}"} if certificates else {}), **settings.environment,
    }  # fmt: skip
    return RuntimeConfig(
        user=str(NONROOT),
        env=tuple(f"{name}={text}" for name, text in environment.items()),
        entrypoint=("/busybox/sh",) if wanted.debug else (),
        working_dir="/home/nonroot",
    )


def _listed(debs: Sequence[PinnedDeb]) -> str:
    return " ".join(f"{one.name}={one.version}" for one in debs)
