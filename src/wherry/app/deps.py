"""What programs need at run time: of an image on its own files, of a bare file on this machine's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from wherry.analysis.deps.document import BaseAdvice, DepsDocument, PlatformDeps
from wherry.app.analyze import images_there
from wherry.app.images import OpenImage, open_image
from wherry.app.layer_indexes import LayerIndexes
from wherry.app.session import Session
from wherry.app.subjects import is_program
from wherry.errors import InvalidUsage, NotFound
from wherry.finding import Severity
from wherry.oci.image import Image
from wherry.platform import Platform
from wherry.store.contract import BlobSource
from wherry.store.find import Located

if TYPE_CHECKING:
    from wherry.analysis.deps.image_root import ImageRoot
    from wherry.analysis.deps.judge import CandidateBase
    from wherry.app.traces import TracedRun, TraceOptions


@dataclass(frozen=True, slots=True)
class TracedDeps:
    """What a traced image needs, and the run itself."""

    document: DepsDocument
    run: "TracedRun"
    root: "ImageRoot"


def deps(session: Session, name: str, *, platform: str | None = None) -> DepsDocument:
    """Find what programs need at run time, and whether it is there; nothing is run.

    Args:
        session: where images are looked for; its cache keeps the indexes of layers.
        name: an image, as `open_image` takes it, or an ELF file, which is judged on this machine's root.
        platform: of an image with several, the only one; None: all.

    Raises:
        NotFound, RegistryError, InvalidReference: there is no such image or file.
        InvalidDocument: the file is not ELF.
        InvalidArchive, DigestMismatch: a layer is not what the image says.

    Cost: every layer is decompressed once, in bounded memory.
    """
    path = session.cwd / name
    if is_program(path):
        return _of_file(session, path, name)
    if path.is_file() and not _is_archive(path):
        raise NotFound(f"{name}: neither an ELF program nor an image", hint="give an ELF file or an image")
    found = open_image(session, name)
    images = images_there(found, platform)
    platforms = tuple(_of_image(session, found, image) for image in images)
    return DepsDocument(name=found.name, digest=found.digest, platforms=platforms)


def traced_deps(
    session: Session,
    name: str,
    options: "TraceOptions",
    *,
    platform: str | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> "TracedDeps":
    """Do the same for one platform of an image, and run it: what is declared next to what was opened or missing.

    Args:
        session: where; what is unpacked to run it stays in its cache.
        name: an image, as `open_image` takes it.
        options: how it is run.
        platform: of an image with several; None: this machine's.
        notice: called with each limit of this machine that counts here.

    Raises:
        InvalidUsage: the name is of a file, not of an image.
        HostUnable, NotStarted: the image can't be run or traced.
    """
    from wherry.analysis.deps.judge import entry_of, with_trace
    from wherry.app.traces import trace_document, trace_run

    if is_program(session.cwd / name):
        raise InvalidUsage(f"{name}: only images are traced", hint="build an image of it: wherry build")
    found = open_image(session, name)
    wanted = Platform.parse(platform) if platform else None
    run = trace_run(session, Located(found.name, found.source, found.root), options, platform=wanted, notice=notice)
    root = _root(session, found.source, run.image)
    judged = _judged(session, root, run.image)
    entry = entry_of(root, run.image)
    advice = judged.advice
    if advice is not None:
        linked = next((one.asks for one in judged.programs if one.path == entry), ())
        advice = with_trace(advice, linked, run.observation)
    judged = msgspec.structs.replace(judged, advice=advice, trace=trace_document(run, root, judged))
    return TracedDeps(
        DepsDocument(name=found.name, digest=found.digest, platforms=(judged,)),
        run,
        root,
    )


def failures(document: DepsDocument, words: Sequence[str]) -> bool:
    """Report whether a finding has a rule or at least a severity that is named; without any: `error`.

    Raises:
        InvalidUsage: a word is neither.
    """
    from wherry.analysis.deps.programs import RULES

    order = [str(severity) for severity in Severity]
    for word in words:
        if word not in (*order, *RULES):
            raise InvalidUsage(
                f"--fail-on {word}: neither a severity nor a rule", hint=f"give one of {', '.join((*order, *RULES))}"
            )
    named = set(words or ("error",))
    least = min((order.index(word) for word in named if word in order), default=len(order))
    findings = (finding for one in document.platforms for finding in one.findings)
    return any(one.rule in named or order.index(one.severity) >= least for one in findings)


def _is_archive(path: Path) -> bool:
    return path.suffix in {".tar", ".gz", ".tgz", ".zst"} or path.stat().st_size % 512 == 0


def _of_file(session: Session, path: Path, name: str) -> DepsDocument:
    from wherry.analysis.deps.facts import BrokenFile, ElfFacts
    from wherry.analysis.deps.judge import advised, judged
    from wherry.analysis.deps.programs import deps_of
    from wherry.analysis.deps.root import MachineRoot, file_facts
    from wherry.errors import InvalidDocument

    facts = file_facts(path, name)
    if facts is None:
        raise InvalidDocument(name, "not an ELF file", hint="give an ELF program, or an image")
    root = MachineRoot()
    program = deps_of(root, str(path), facts)
    architecture = facts.architecture if isinstance(facts, ElfFacts) else ""
    platform = f"linux/{architecture}" if architecture else ""
    found = judged(platform, (program,))
    if isinstance(facts, BrokenFile):
        return DepsDocument(name=name, platforms=(found,))
    advice = advised(str(path), facts, _bases(session, architecture))
    return DepsDocument(name=name, platforms=(_with_advice(found, advice),))


def _of_image(session: Session, found: OpenImage, image: Image) -> PlatformDeps:
    return _judged(session, _root(session, found.source, image), image)


def _judged(session: Session, root: "ImageRoot", image: Image) -> PlatformDeps:
    from wherry.analysis.deps.judge import advised, brought, entry_of, platform_deps

    judged = platform_deps(root, image)
    entry = entry_of(root, image)
    if not entry:
        return judged
    facts = root.facts(entry)
    bases = _bases(session, image.platform.architecture)
    advice = advised(entry, facts, bases, brought(root, image, facts))
    return _with_advice(judged, advice)


def advice_of(session: Session, source: BlobSource, image: Image) -> BaseAdvice:
    """Say which of wherry's bases the program of an image would do with, by what is linked."""
    from wherry.analysis.deps.judge import advised, brought, entry_of

    root = _root(session, source, image)
    entry = entry_of(root, image)
    facts = root.facts(entry) if entry else None
    return advised(entry, facts, _bases(session, image.platform.architecture), brought(root, image, facts))


def _root(session: Session, source: BlobSource, image: Image) -> "ImageRoot":
    from wherry.analysis.deps.image_root import read_root

    layers = LayerIndexes.of(session).of_image(source, image)
    with TemporaryDirectory(prefix="wherry-") as folder:
        return read_root(source, image, layers, Path(folder))


def _bases(session: Session, architecture: str) -> "Iterator[CandidateBase]":
    """Give wherry's own bases, the smallest first."""
    from wherry.analysis.deps.image_root import read_root
    from wherry.analysis.deps.judge import CandidateBase
    from wherry.base.static import scratch_base, static_base
    from wherry.store.memory import MemoryStore

    platform = Platform("linux", architecture or "amd64")
    store = MemoryStore()
    images = {
        "scratch": scratch_base(store, platform),
        "static-notz": static_base(store, platform, zones=False),
        "static": static_base(store, platform),
    }
    kept = LayerIndexes.of(session)
    with TemporaryDirectory(prefix="wherry-") as folder:
        for name, image in images.items():
            layers = kept.of_image(store, image)
            pulled = sum(blob.size for blob in image.manifest.stack)
            yield CandidateBase(
                name, read_root(store, image, layers, Path(folder)), pulled, sum(layer.bodies for layer in layers)
            )


def _with_advice(found: PlatformDeps, advice: BaseAdvice) -> PlatformDeps:
    return msgspec.structs.replace(found, advice=advice)
