"""What an image is made of: an SBOM of each platform, or of the index."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from wherry.app.images import open_image
from wherry.app.layer_indexes import LayerIndexes
from wherry.app.session import Session
from wherry.counted import counted
from wherry.errors import CannotWrite, HostUnable, InvalidDocument, NotPermitted
from wherry.platform import Platform
from wherry.store.files import read_regular, replacing

if TYPE_CHECKING:
    from wherry.app.images import OpenImage
    from wherry.trust.bill import Bill, Licence
    from wherry.trust.image_bill import BillOptions, KnownData
    from wherry.trust.sbom import Attachment, SbomFormat

_KEPT = "licences"
_SHOWN = 3
"""Modules that a warning names."""
_LARGEST_KEPT = 1 << 20
_FORM = 1
"""Raised when the same texts may give other licences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SbomOptions:
    """What an SBOM holds."""

    platform: str | None = None
    """The only one; None: all, and of an index one document about the index."""
    files: bool = True
    licences: bool = True
    fetch: bool = False
    """Whether zips of modules that the module cache lacks are downloaded, for their licences."""
    sums: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """h1 of modules, where the program has none: it was built from vendor/."""
    sum_notes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Where such an h1 is from, or why there is none."""
    proofs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What the checksum database said of modules."""


def tool() -> str:
    """Name what writes documents, as they name it."""
    import wherry

    return f"wherry-{wherry.__version__}"


def sbom(session: Session, name: str, kind: "SbomFormat", options: SbomOptions | None = None) -> "Attachment":
    """Write the SBOM of an image, or of an index with all its images.

    Args:
        session: where the image is looked for; licences are read of the module cache of its environment's Go.
        name: an image, as `open_image` takes it.
        kind: the format.
        options: see there.

    Raises:
        NotFound, RegistryError, InvalidReference: there is no such image.
        WherryError: a layer does not match the image's documents.

    Cost: each layer is decompressed twice the first time, once from then on.
    """
    from wherry.trust.sbom import write_sbom

    options = options or SbomOptions()
    found = open_image(session, name)
    bills = bills_of(session, found, options)
    return write_sbom(bills[-1], kind, tool())


def bills_of(session: Session, found: "OpenImage", options: SbomOptions) -> "tuple[Bill, ...]":
    """Give the bill of each platform, in the order of the index, and behind them the index's, where there is one."""
    from wherry.oci import media
    from wherry.trust.image_bill import image_bill, index_bill, name_of

    images = found.images(Platform.parse(options.platform) if options.platform else None)
    licences = LicenceReader(session, fetch=options.fetch) if options.licences else None
    with TemporaryDirectory(prefix="wherry-") as folder:
        bills = []
        for image in images:
            session.checkpoint()
            layers = LayerIndexes.of(session).of_image(found.source, image)
            bills.append(image_bill(found.source, image, layers, _options(found, Path(folder), options, licences)))
    if licences and licences.missing:
        session.note(_without_licences(sorted(licences.missing)))
    if found.root.media_type in media.INDEXES and not options.platform and images:
        bills.append(index_bill(found.digest, name_of(images[0], found.name), bills))
    return tuple(bills)


def _without_licences(modules: Sequence[str]) -> str:
    shown = ", ".join(modules[:_SHOWN]) + (", …" if len(modules) > _SHOWN else "")
    return (
        f"{counted(len(modules), 'module')} without a licence, because zips are not in the module cache: {shown}; "
        "--fetch downloads them"
    )


def _options(found: "OpenImage", folder: Path, options: SbomOptions, licences: "LicenceReader | None") -> "BillOptions":
    from wherry.trust.bill import Licence
    from wherry.trust.go_bill import GoFacts
    from wherry.trust.image_bill import BillOptions

    return BillOptions(
        name=found.name,
        folder=folder,
        go=GoFacts(
            sums=options.sums, sum_notes=options.sum_notes, proofs=options.proofs,
            licence=licences.of if licences else lambda *_: Licence(),
        ),
        known=embedded_data(),
        files=options.files,
    )  # fmt: skip


def embedded_data() -> "tuple[KnownData, ...]":
    """Name the data of wherry's own bases, by the files that it makes."""
    from wherry.base.static import embedded_digests, embedded_versions
    from wherry.trust.bill import purl
    from wherry.trust.image_bill import KnownData

    digests, versions = embedded_digests(), embedded_versions()
    certificates, zones = versions["certifi"], versions["tzdata"]
    return (
        KnownData(
            "certifi", certificates, purl("pypi", "certifi", certificates), "MPL-2.0",
            "Mozilla's certificate authorities", digests["certificates"],
        ),
        KnownData(
            "tzdata", zones, purl("pypi", "tzdata", zones), "Apache-2.0",
            f"IANA time zones {versions['iana']}", digests["zones"],
        ),
    )  # fmt: skip


class LicenceReader:
    """Finds licences in the zips of the module cache, each checked by its h1; what was read once is kept."""

    def __init__(self, session: Session, *, fetch: bool = False) -> None:
        self._session, self._fetch = session, fetch
        self.missing: set[str] = set()
        """Modules with no zip to read."""
        self._cache: Path | None = None
        self._asked = False

    def of(self, path: str, version: str, h1: str, folders: tuple[str, ...]) -> "Licence":
        """Give the licence of a module; none is known without its hash, or without its zip."""
        from wherry.trust.bill import Licence

        if not h1:
            return Licence()
        kept = self._place(path, version, h1, folders)
        found = self._kept(kept)
        if found is None:
            found = self._read(path, version, h1, folders)
            if found is None:
                self.missing.add(f"{path}@{version}")
                return Licence()
            self._keep(kept, found)
        return found

    def _read(self, path: str, version: str, h1: str, folders: tuple[str, ...]) -> "Licence | None":
        from wherry.trust.licences import licence_of
        from wherry.trust.module_cache import ModuleCache
        from wherry.trust.module_zip import ModuleZip

        folder = self._modules()
        if folder is None:
            return None
        place = ModuleCache(folder).zip_of(path, version)
        if not place.is_file() and self._fetch:
            from wherry.app.modules import download

            download(self._session, [f"{path}@{version}"])
        if not place.is_file():
            return None
        try:
            with ModuleZip.open(place) as opened:
                return licence_of(opened, f"{path}@{version}/", folders) if opened.h1() == h1 else None
        except (InvalidDocument, OSError):
            return None

    def _modules(self) -> Path | None:
        """Ask Go once where its module cache is; none where there is no Go."""
        if not self._asked:
            self._asked = True
            from wherry.app.modules import go_settings

            try:
                self._cache = Path(go_settings(self._session, self._session.cwd)["GOMODCACHE"])
            except HostUnable:
                self._cache = None
        return self._cache

    def _place(self, path: str, version: str, h1: str, folders: tuple[str, ...]) -> Path:
        import hashlib

        text = json.dumps([_FORM, path, version, h1, sorted(folders)])
        return self._session.cache_folder / _KEPT / f"{hashlib.sha256(text.encode()).hexdigest()}.json"

    def _kept(self, place: Path) -> "Licence | None":
        from wherry.trust.bill import Licence

        try:
            kept = json.loads(read_regular(place, _LARGEST_KEPT) or b"null")
            return Licence(str(kept["expression"]), tuple(map(str, kept["unknown"])))
        except (ValueError, TypeError, KeyError, InvalidDocument, NotPermitted, OSError):
            return None

    def _keep(self, place: Path, found: "Licence") -> None:
        from wherry.trust.licences import as_plain

        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as file:
                file.write(json.dumps(as_plain(found)).encode())
        except (CannotWrite, OSError):
            return
