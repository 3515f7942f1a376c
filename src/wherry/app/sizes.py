"""Sizes: measured once, then remembered by digest; with what the source tells about imports, where it is there."""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry import __version__
from wherry.analysis.size import SCHEMA, BinarySize, LayerSize, SizeDocument
from wherry.app.extras import explaining
from wherry.app.progress import Progress, Silent
from wherry.app.session import Session
from wherry.errors import NotFound
from wherry.store.files import read_regular, replacing
from wherry.typed import from_json

if TYPE_CHECKING:
    from wherry.analysis.subjects import Subject
    from wherry.app.owners import OwnerFinder
    from wherry.lab.without import Without

FOLDER = "sizes"
"""Below the cache: a document a digest, with functions and without."""
_LARGEST = 1 << 30
"""Bytes of a remembered document that we read."""
_METHOD = 4
"""Raised when owners are found in another way, so that nothing from before is taken."""
_BLOCK = 1 << 20
_SETTLED = 2.0
"""Seconds after which a file that was written is taken to be whole."""


@explaining("attributing bytes to packages")
def size_document(  # noqa: PLR0913 - each is named
    session: Session,
    name: str,
    platform: str | None = None,
    *,
    sections: bool = False,
    origin: bool = False,
    functions: bool = True,
    source: str | None = None,
) -> SizeDocument:
    """Measure a binary, or the programs of an image.

    A stripped program that this store built from source that has not changed is linked again with symbols, since only
    they tell which package has a variable; a record that its build kept has the same.

    Args:
        session: where.
        name: a file, or an image as `inspect` takes it.
        platform: of an image with several, the one that is meant.
        sections: read section tables only; nothing is remembered.
        origin: whether instances of generic functions are of the package that wrote them.
        functions: whether functions are wanted: a remembered document without them is read in no time.
        source: folder of the module, from which stripped programs are linked again with symbols.

    Raises:
        NotFound: there is no such thing, or no program in it.
        ExplainMissing: numpy is not installed.
    """
    if sections:
        return _measured(session, name, platform, sections=True, origin=origin)
    kept = _Kept(session.cache_folder / FOLDER, f"{_identity(session, name, platform)}{'-origin' * origin}")
    found = kept.read(functions=functions)
    if found is None or _can_be_better(session, found, source):
        found = _measured(session, name, platform, sections=False, origin=origin, source=source)
        kept.write(found)
    return msgspec.structs.replace(found, name=name) if functions else _without_functions(found, name)


def _can_be_better(session: Session, found: SizeDocument, source: str | None) -> bool:
    """Report whether owners of a remembered document rest on less than they could."""
    from wherry.analysis.sizing import TABLES
    from wherry.app.owners import at_hand

    open_ = [one for one in found.binaries if one.owners == TABLES]
    if source is not None:
        return bool(open_)
    # What was tried and gave another program is not tried again without being asked for.
    return any(at_hand(session, one.digest, tried=bool(one.notes)) for one in open_)


def size_of_any(session: Session, name: str, platform: str | None = None, *, functions: bool = True) -> SizeDocument:
    """Measure a binary or an image, also one without programs: then there are only layers.

    Raises:
        NotFound: there is no such thing.
    """
    try:
        return size_document(session, name, platform, functions=functions)
    except NotFound:
        return SizeDocument(name=name, binaries=(), layers=_layers(session, name, platform))


def _measured(
    session: Session,
    name: str,
    platform: str | None,
    *,
    sections: bool,
    origin: bool,
    source: str | None = None,
) -> SizeDocument:
    from wherry.app.owners import OwnerFinder
    from wherry.app.subjects import subjects

    with subjects(session, name, platform=platform, hashed=not sections) as found:
        naming = None if sections else OwnerFinder.of(session, name, platform, source)
        binaries = tuple(_binary(session, subject, naming, origin=origin) for subject in found)
        image = any(subject.image for subject in found)
    layers = _layers(session, name, platform) if image and not sections else ()
    return SizeDocument(name=name, binaries=binaries, layers=layers)


def _binary(session: Session, subject: "Subject", naming: "OwnerFinder | None", *, origin: bool) -> BinarySize:
    """Measure a program; without what finds names only its sections."""
    from wherry.analysis.mapped import map_file
    from wherry.analysis.sizing import MeasuredBinary, NamedBy, size_of, size_of_foreign
    from wherry.elf.reader import MAGIC, Elf

    session.checkpoint()
    measured = MeasuredBinary(
        name=subject.name,
        digest=str(subject.digest or ""),
        image=subject.image,
        platform=subject.platform,
        path=subject.path if subject.image else "",
        layer=subject.layer,
    )
    mapped = map_file(subject.file, subject.name)
    if mapped[: len(MAGIC)] != MAGIC:
        return size_of_foreign(memoryview(mapped), measured)
    elf = Elf.parse(mapped, subject.name)
    if naming is None:
        return size_of(elf, measured, sections_only=True)
    found = naming.names(subject, elf)
    size = size_of(elf, measured, origin=origin, names=NamedBy(found.named, found.owners) if found.named else None)
    return msgspec.structs.replace(size, notes=(*size.notes, found.problem)) if found.problem else size


def _layers(session: Session, name: str, platform: str | None) -> tuple[LayerSize, ...]:
    from wherry.analysis.layers import layer_sizes
    from wherry.app.subjects import images_named

    located, images = images_named(session, name, platform)
    return tuple(layer for image in images for layer in layer_sizes(located.source, image))


def _identity(session: Session, name: str, platform: str | None) -> str:
    """Name what is measured by its digest: of the file, or of the image's root."""
    from wherry.app.subjects import images_named, is_program

    path = session.cwd / name
    if is_program(path):
        return _digest_of(session, path)
    located, _ = images_named(session, name, platform)
    digest = str(located.root.digest).replace(":", "-")
    return f"{digest}-{platform.replace('/', '-')}" if platform else digest


def _digest_of(session: Session, path: Path) -> str:
    """Hash a file; while it is as it was, the hash of last time is taken."""
    status = path.stat()
    facts = (
        os.path.realpath(path),
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    seen = session.cache_folder / FOLDER / f"seen-{hashlib.sha256(repr(facts).encode()).hexdigest()}"
    known = read_regular(seen, 128)
    if known:
        return known.decode()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_BLOCK):
            digest.update(chunk)
            session.checkpoint()
    name = f"sha256-{digest.hexdigest()}"
    # A file that is being written may change within the clock's resolution: its hash is not kept.
    if session.clock() - status.st_mtime > _SETTLED:
        seen.parent.mkdir(parents=True, exist_ok=True)
        with replacing(seen) as file:
            file.write(name.encode())
    return name


@dataclass(frozen=True, slots=True)
class _Kept:
    """One remembered document; one of another wherry is not taken."""

    folder: Path
    name: str

    def _path(self, *, functions: bool) -> Path:
        made_by = f"{SCHEMA}-{__version__}-{_METHOD}".replace("/", "-")
        return self.folder / f"{self.name}-{made_by}{'-functions' * functions}.json"

    def read(self, *, functions: bool) -> SizeDocument | None:
        path = self._path(functions=functions)
        found = read_regular(path, _LARGEST)
        if found is None:
            return None
        try:
            document = from_json(found, SizeDocument)
        except msgspec.DecodeError:
            return None
        with suppress(OSError):
            os.utime(path)
        return document

    def write(self, document: SizeDocument) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for functions in (True, False):
            whole = document if functions else _without_functions(document, document.name)
            with replacing(self._path(functions=functions)) as file:
                file.write(msgspec.json.encode(whole))


def _without_functions(document: SizeDocument, name: str) -> SizeDocument:
    replace = msgspec.structs.replace
    binaries = (
        replace(one, packages=tuple(replace(package, functions=()) for package in one.packages), objects=())
        for one in document.binaries
    )
    return replace(document, name=name, binaries=tuple(binaries))


def forget_sizes(folder: Path, before: float) -> None:
    """Delete what was not asked for since a time (seconds since the epoch)."""
    for path in (folder / FOLDER).glob("*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()


def size(  # noqa: PLR0913 - each is named
    session: Session,
    name: str,
    *,
    platform: str | None = None,
    sections: bool = False,
    origin: bool = False,
    functions: bool = True,
    source: str | None = None,
    routes_to: str = "",
) -> SizeDocument:
    """Measure a program or an image; attribute every byte of its Go programs to modules, packages and functions.

    Args:
        session: where it is looked for.
        name: a file, or an image as `find` takes it.
        platform: of an image with several, the only one to measure; None: all.
        sections: read section tables only, which takes milliseconds.
        origin: whether an instance of a generic function counts for the package that wrote it.
        functions: whether functions are wanted.
        source: the module's source, which tells what imports what, and from which a stripped program is linked again
            with symbols; None: for imports the session's folder, if it is that module.
        routes_to: a module or package; every import path to it is listed.

    Returns:
        Sizes in bytes; `docs/reference/size.md` describes the document.

    Raises:
        NotFound: there is no such thing, no program in it, or nothing of `routes_to`.
        InvalidUsage: the source is needed and is not there.
    """
    document = size_document(
        session, name, platform, sections=sections, origin=origin, functions=functions, source=source
    )
    if sections:
        return document
    from wherry.app.imports import with_source

    return with_source(session, document, source, wanted=routes_to)


@explaining("measuring what a module takes")
def size_without(
    session: Session,
    binary: BinarySize,
    module: str,
    *,
    source: str | None = None,
    progress: Progress | None = None,
) -> "Without":
    """Build a binary again as its build info says, with the functions of a module left out.

    Args:
        session: where Go is.
        binary: what was measured.
        module: a module or package.
        source: the module's source; None: the session's folder.
        progress: where it is reported.

    Raises:
        InvalidUsage: the source is not there.
        WherryError: it can't be compiled.

    Cost: two compilations.
    """
    from wherry.app.imports import recipe_of
    from wherry.lab.without import measure_without

    with recipe_of(session, binary, source) as (compiler, recipe):
        return measure_without(compiler, recipe, module, (progress or Silent()).line)


def not_in(binary: BinarySize, name: str) -> NotFound:
    """Make the error for a module or package that a binary has not, with the nearest."""
    import difflib

    paths = [*(one.path for one in binary.modules), *(one.path for one in binary.packages)]
    names = [path for path in paths if path and not path.startswith("(")]
    near = difflib.get_close_matches(name, names, n=1)
    return NotFound(
        f"{binary.name}: {name} is not in the binary",
        hint=f"did you mean {near[0]}?" if near else "`wherry size` lists modules and packages",
    )
