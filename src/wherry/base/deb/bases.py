"""Bases of packages, as a build asks for them: what decides their bytes, their platforms, their images."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from wherry.base.deb.assemble import Assembled, assemble, digest_of
from wherry.base.deb.mirror import Mirror, PinnedDeb
from wherry.base.deb.releases import ARCHITECTURES, DebName, debian_architecture
from wherry.base.static import ENCODING, NONROOT, account_entries, base_image
from wherry.layer.compress import pack
from wherry.oci.config import History, RuntimeConfig
from wherry.oci.image import Image
from wherry.platform import Platform
from wherry.store.contract import BlobSink

_CREATED = "1970-01-01T00:00:00Z"
_FORM = "1"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DebPins = Mapping[str, Mapping[str, tuple[PinnedDeb, ...]]]
"""Packages by a base's name and Debian's architecture, as wherry.lock has them."""


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
            said: called with what was left out.
        """
        self._make, self._pins, self._scratch = mirror, pins, scratch
        self._warn, self._said = warn, said
        self._mirror: Mirror | None = None

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
        return locked or self._opened().pinned(wanted.release, wanted.packages, architecture)

    def image(self, name: str, platform: Platform, sink: BlobSink) -> Image:
        """Have the base of one platform in a store.

        Raises:
            NotFound: a package is gone; it is named.
            BadRelease, InvalidDocument: the archive is not what Debian signed.
        """
        wanted = DebName.parse(name)
        debs = self.pinned(name, platform)
        archives = [(one.name, self._opened().package(one)) for one in debs]
        self._scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._scratch, prefix="deb-") as folder:
            found = assemble(archives, account_entries(), Path(folder, "bodies"), debug=wanted.debug)
            layer = pack(found.entries, ENCODING, sink, threads=os.cpu_count() or 1)
        self._tell(name, platform, found)
        step = History(created=_CREATED, created_by=f"wherry base {name}: {_listed(debs)}")
        path = f"{_PATH}:/busybox" if wanted.debug else _PATH
        runtime = RuntimeConfig(
            user=str(NONROOT),
            env=(f"PATH={path}", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"),
            entrypoint=("/busybox/sh",) if wanted.debug else (),
            working_dir="/home/nonroot",
        )
        return base_image(sink, platform, [(layer, step)], runtime)

    def _opened(self) -> Mirror:
        if self._mirror is None:
            self._mirror = self._make()
        return self._mirror

    def _tell(self, name: str, platform: Platform, found: Assembled) -> None:
        dropped = ", ".join(f"{group} {size / 1e6:.1f} MB" for group, size in sorted(found.dropped.items()))
        if dropped:
            self._said(f"base {name} {platform}: left out {dropped}")


def _listed(debs: Sequence[PinnedDeb]) -> str:
    return " ".join(f"{one.name}={one.version}" for one in debs)
