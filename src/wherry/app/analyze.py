"""Layers, files and waste of an image: analysed from indexes that are kept, judged, and held to limits."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

from wherry.analysis.image.document import AnalyzedFinding, AnalyzeDocument, AnalyzedPlatform, RuleCheck
from wherry.app.images import OpenImage, open_image
from wherry.app.session import Session
from wherry.errors import BlobMissing, InvalidUsage, NotFound
from wherry.finding import Severity
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.manifest import Index
from wherry.platform import Platform
from wherry.settings.dive_ci import DiveRules
from wherry.settings.sizes import parse_bytes
from wherry.store.contract import read_whole
from wherry.store.files import read_regular
from wherry.store.images import images_of

if TYPE_CHECKING:
    from wherry.app.analyses import KeptAnalyses

_LARGEST = 1 << 16
_BUDGETS = ("waste", "duplicates")


@dataclass(frozen=True, slots=True)
class Threshold:
    """What makes an analysis fail: a rule, a severity, or more bytes than a limit."""

    word: str
    limit: int = -1
    """-1: `word` is a rule or a severity."""


def analyze(  # noqa: PLR0913 - each is named
    session: Session,
    name: str,
    *,
    platform: str | None = None,
    base: str | None = None,
    builder: str | None = None,
    rules: DiveRules | None = None,
    most: int = 100,
) -> AnalyzeDocument:
    """Find what each layer of an image adds, and what is shipped in vain.

    Args:
        session: where it is looked for; its cache keeps the indexes of layers.
        name: an image, as `open_image` takes it; one in a registry is read there and not stored.
        platform: of an image with several, the only one; None: all.
        base: an image that it is built on, to tell its layers from those above; None: as far as the image tells.
        builder: an image of the stage it is built in: its files that are in the image are listed, by content.
        rules: dive's limits, to be held to.
        most: how many hidden files and duplicates are named; sums count all.

    Raises:
        NotFound, RegistryError, InvalidReference: there is no such image.
        InvalidArchive, DigestMismatch, InvalidDocument: a layer is not what the image says.

    Cost: a layer is read once, in bounded memory; the next time it is not read at all.
    """
    found = open_image(session, name)
    images = images_there(found, platform)
    below = open_image(session, base).images() if base else ()
    document = analyze_images(session, found, images, below=below, rules=rules, most=most)
    return _with_builder(session, document, found, images, builder, most) if builder else document


def _with_builder(
    session: Session, document: AnalyzeDocument, found: OpenImage, images: Sequence[Image], builder: str, most: int
) -> AnalyzeDocument:
    """List the files of a builder's image that are in each platform's."""
    from wherry.analysis.image.builder import builder_files
    from wherry.analysis.image.union import Union
    from wherry.app.layer_indexes import LayerIndexes

    kept, other = LayerIndexes.of(session), open_image(session, builder)
    builders = {image.platform: image for image in images_there(other, None)}
    rows = []
    for one, image in zip(document.platforms, images, strict=True):
        # A cross-compiling stage is of the machine's platform, whatever it compiles for.
        stage = builders.get(image.platform) or next(iter(builders.values()))
        unions = (Union(kept.of_image(found.source, image)), Union(kept.of_image(other.source, stage)))
        rows.append(msgspec.structs.replace(one, builder=builder_files(*unions, builder, most=most)))
    return msgspec.structs.replace(document, platforms=tuple(rows))


def images_there(found: OpenImage, platform: str | None) -> tuple[Image, ...]:
    """Give the images of an index, or of one platform; those that its store does not have are passed over.

    Docker's containerd store saves an index whole, with the blobs of the platforms that were pulled.

    Raises:
        NotFound: there is none.
    """
    try:
        images = found.images(Platform.parse(platform) if platform else None)
    except BlobMissing:
        entries = Index.parse(read_whole(found.source, found.root), found.digest).manifests
        images = tuple(image for entry in entries for image in _if_there(found, entry))
        if platform:
            images = tuple(image for image in images if image.platform == Platform.parse(platform))
        if not images:
            raise
    if not images:
        raise NotFound(
            f"{found.name}: no image for any platform", hint="`wherry inspect --raw manifest` prints the document"
        )
    return images


def _if_there(found: OpenImage, entry: Descriptor) -> tuple[Image, ...]:
    try:
        return images_of(found.source, entry) if entry.platform is None or entry.platform.os != "unknown" else ()
    except BlobMissing:
        return ()


def analyze_images(
    session: Session,
    found: OpenImage,
    images: Sequence[Image],
    *,
    below: Sequence[Image] = (),
    rules: DiveRules | None = None,
    most: int = 100,
) -> AnalyzeDocument:
    """Analyse images that are at hand; see `analyze`."""
    from wherry.analysis.judges import judge_content
    from wherry.app.analyses import KeptAnalyses

    kept = KeptAnalyses(session.cache_folder, below, most)
    platforms = [kept.get(image) or _analyzed(session, found, image, kept) for image in images]
    findings = [finding for one in platforms for finding in judge_content(one)]
    return AnalyzeDocument(
        name=found.name,
        digest=found.digest,
        platforms=tuple(platforms),
        findings=tuple(msgspec.convert(asdict(finding), AnalyzedFinding) for finding in findings),
        checks=tuple(check for one in platforms for check in dive_checks(one, rules)) if rules else (),
    )


def _analyzed(session: Session, found: OpenImage, image: Image, kept: "KeptAnalyses") -> AnalyzedPlatform:
    from wherry.analysis.image.analyze import analyzed
    from wherry.analysis.image.base import base_of
    from wherry.app.layer_indexes import LayerIndexes

    layers = LayerIndexes.of(session).of_image(found.source, image)
    done = analyzed(image, layers, base_of(image, kept.below), most=kept.most)
    kept.put(image, done)
    return done


def dive_rules(session: Session, file: str | None) -> DiveRules:
    """Read dive's limits.

    Args:
        session: its folder is where `.dive-ci` is looked for.
        file: another file; None: `.dive-ci`, or dive's defaults where there is none.

    Raises:
        NotFound: the file that was named is not there.
        InvalidSettings: it is not what dive takes.
    """
    from wherry.settings.dive_ci import FILE, parse_dive_ci

    text = read_regular(session.cwd / (file or FILE), _LARGEST)
    if text is None:
        if file is None:
            return DiveRules()
        raise NotFound(f"{file}: not found", hint=f"name a file such as {FILE}, with a table rules")
    return parse_dive_ci(text.decode(errors="replace"), file or FILE)


def dive_checks(platform: AnalyzedPlatform, rules: DiveRules) -> Iterator[RuleCheck]:
    """Hold an image to dive's limits, by dive's figures."""
    dive, where = platform.dive, platform.platform
    if (lowest := rules.lowest_efficiency) is not None:
        ok = dive.efficiency >= lowest
        yield RuleCheck(
            rule="lowestEfficiency", limit=f"{lowest:g}", actual=f"{dive.efficiency:.4f}", ok=ok, platform=where
        )
    if (highest := rules.highest_wasted_bytes) is not None:
        ok = dive.wasted_bytes <= highest
        yield RuleCheck(
            rule="highestWastedBytes", limit=str(highest), actual=str(dive.wasted_bytes), ok=ok, platform=where
        )
    if (part := rules.highest_user_wasted_percent) is not None:
        user = dive.user_wasted_percent
        # Of an image with one layer dive divides by nothing: 0 by 0 passes, anything else by 0 does not.
        ok = user <= part if user is not None else not dive.wasted_bytes
        yield RuleCheck(
            rule="highestUserWastedPercent",
            limit=f"{part:g}",
            actual="none" if user is None else f"{user:.4f}",
            ok=ok,
            platform=where,
        )


def thresholds(words: Sequence[str]) -> tuple[Threshold, ...]:
    """Read what `--fail-on` says: a severity, a rule, or `waste=SIZE` or `duplicates=SIZE`.

    Raises:
        InvalidUsage: a word is none of them; the hint has the nearest.
    """
    from wherry.analysis.judges import CONTENT_RULES

    found = []
    for word in words:
        name, equals, limit = word.partition("=")
        if equals and name in _BUDGETS:
            found.append(Threshold(name, parse_bytes(limit)))
            continue
        known = (*Severity, *CONTENT_RULES)
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else f"give a severity, waste=SIZE, or one of {', '.join(CONTENT_RULES)}"
            )
            raise InvalidUsage(f"--fail-on {word}: neither a severity nor a rule", hint=hint)
        found.append(Threshold(word))
    return tuple(found)


def failures(document: AnalyzeDocument, limits: Sequence[Threshold]) -> Iterator[str]:
    """Say what breaks a limit: checks that are not ok, budgets, and findings that are named; a line each."""
    for check in document.checks:
        if not check.ok:
            yield f"{check.platform}: {check.rule}: {check.actual}, the limit is {check.limit}"
    for limit in limits:
        if limit.limit < 0:
            continue
        for one in document.platforms:
            actual = one.waste.bytes if limit.word == "waste" else one.waste.duplicate_bytes
            if actual > limit.limit:
                yield f"{one.platform}: {limit.word}: {actual} bytes, {actual - limit.limit} more than {limit.limit}"
    words = {limit.word for limit in limits if limit.limit < 0}
    order = [str(severity) for severity in Severity]
    least = min((order.index(word) for word in words if word in order), default=len(order))
    for finding in document.findings:
        if finding.rule in words or order.index(finding.severity) >= least:
            yield f"{finding.place}: {finding.rule}: {finding.message}"
