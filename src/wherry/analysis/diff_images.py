"""Two size documents to one of what grew: platforms, programs and layers matched."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from wherry.analysis.diff import DiffDocument, LayerChange, PlatformChange
from wherry.analysis.growth import compare
from wherry.analysis.size import BinarySize, LayerSize, SizeDocument


def difference(before: SizeDocument, after: SizeDocument) -> DiffDocument:
    """Compare two programs or images, in any mix.

    Of an image and a file, the image's programs of the file's platform are compared with it. Programs are matched by
    their path, or as the only ones left; of what only one side has, all bytes are new, or gone.
    """
    notes: list[str] = []
    pairs: list[tuple[BinarySize | None, BinarySize | None]] = []
    images: tuple[PlatformChange, ...] = ()
    before, after = _of_image(before, after), _of_image(after, before)
    if before.layers or after.layers:
        platforms, notes = _platforms(before, after)
        for platform in platforms:
            pairs += _programs(_of(before.binaries, platform), _of(after.binaries, platform))
    else:
        pairs = list(_programs(before.binaries, after.binaries))
    if before.layers and after.layers:
        images = tuple(_image(platform, _layers(before, platform), _layers(after, platform)) for platform in platforms)
    return DiffDocument(
        before=before.name,
        after=after.name,
        images=images,
        binaries=tuple(compare(*pair) for pair in pairs),
        notes=tuple(notes),
    )


def _of_image(file: SizeDocument, image: SizeDocument) -> SizeDocument:
    """Take a file for its architecture's variant that an image has: the file itself does not tell it."""
    if file.layers or not image.layers:
        return file
    there = platforms_of(image)
    binaries = tuple(
        msgspec.structs.replace(
            one, platform=next((name for name in there if f"{name}/".startswith(f"{one.platform}/")), one.platform)
        )
        for one in file.binaries
    )
    return msgspec.structs.replace(file, binaries=binaries)


def _platforms(before: SizeDocument, after: SizeDocument) -> tuple[list[str], list[str]]:
    """Give the platforms that both have, and say which are left out."""
    sides = [platforms_of(before), platforms_of(after)]
    both = [platform for platform in sides[0] if platform in sides[1]]
    notes = []
    for document, mine, other in ((before, sides[0], sides[1]), (after, sides[1], sides[0])):
        lone = [platform for platform in mine if platform not in other]
        if lone and document.layers:
            notes.append(f"only {document.name} has {', '.join(lone)}")
    return both, notes


def platforms_of(document: SizeDocument) -> list[str]:
    """Name the platforms that something is of, each once."""
    rows: Iterable[BinarySize | LayerSize] = document.layers or document.binaries
    return list(dict.fromkeys(row.platform for row in rows))


def _of(binaries: Iterable[BinarySize], platform: str) -> list[BinarySize]:
    return [one for one in binaries if one.platform == platform]


def _layers(document: SizeDocument, platform: str) -> list[LayerSize]:
    return [one for one in document.layers if one.platform == platform]


def _programs(
    before: Sequence[BinarySize], after: Sequence[BinarySize]
) -> Iterator[tuple[BinarySize | None, BinarySize | None]]:
    """Match programs: by path, then those of the same package, then the only ones left."""
    old, new = list(before), list(after)
    for key in (_path, _package, _any):
        for one in list(old):
            fitting = [other for other in new if key(other) == key(one) and key(one)]
            alone = key is not _any or (len(old) == 1 and len(new) == 1)
            if fitting and alone:
                old.remove(one)
                new.remove(fitting[0])
                yield one, fitting[0]
    yield from ((one, None) for one in old)
    yield from ((None, one) for one in new)


def _path(one: BinarySize) -> str:
    return one.path


def _package(one: BinarySize) -> str:
    return one.package


def _any(one: BinarySize) -> str:
    return one.format


def _image(platform: str, before: Sequence[LayerSize], after: Sequence[LayerSize]) -> PlatformChange:
    return PlatformChange(
        platform=platform,
        before=sum(one.unpacked for one in before),
        after=sum(one.unpacked for one in after),
        pulled_before=sum(one.pulled for one in before),
        pulled_after=sum(one.pulled for one in after),
        layers=tuple(_layer_changes(platform, before, after)),
    )


def _layer_changes(platform: str, before: Sequence[LayerSize], after: Sequence[LayerSize]) -> Iterator[LayerChange]:
    """Match layers: the same blob, then what the same step made, then by their place among those left."""
    pairs: list[tuple[LayerSize | None, LayerSize | None]] = []
    old, new = list(before), list(after)
    for same in (_same_blob, _same_step, _same_side):
        for one in list(old):
            fitting = next((other for other in new if same(one, other)), None)
            if fitting is not None:
                old.remove(one)
                new.remove(fitting)
                pairs.append((one, fitting))
    pairs += [(one, None) for one in old]
    pairs += [(None, one) for one in new]
    rows = [_layer(platform, *pair) for pair in pairs]
    rows = [row for row in rows if row.digest_before != row.digest_after]
    yield from sorted(rows, key=lambda row: (-abs(row.change), -abs(row.pulled)))


def _same_blob(one: LayerSize, other: LayerSize) -> bool:
    return one.digest == other.digest


def _same_step(one: LayerSize, other: LayerSize) -> bool:
    return bool(one.made_by) and one.made_by == other.made_by


def _same_side(one: LayerSize, other: LayerSize) -> bool:
    return one.base == other.base


def _layer(platform: str, one: LayerSize | None, other: LayerSize | None) -> LayerChange:
    return LayerChange(
        platform=platform,
        before=one.unpacked if one else 0,
        after=other.unpacked if other else 0,
        pulled_before=one.pulled if one else 0,
        pulled_after=other.pulled if other else 0,
        digest_before=one.digest if one else "",
        digest_after=other.digest if other else "",
        made_by=next(layer.made_by for layer in (other, one) if layer),
    )
