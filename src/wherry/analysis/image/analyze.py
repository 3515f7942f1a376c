"""The indexes of an image's layers to all that `wherry analyze` says of it."""

from collections.abc import Iterator, Sequence

from wherry.analysis.history import made_by
from wherry.analysis.image import index as kinds
from wherry.analysis.image.base import ImageBase
from wherry.analysis.image.dive import DiveFigures, dive_figures
from wherry.analysis.image.document import (
    AnalyzedLayer,
    AnalyzedPlatform,
    Duplicate,
    Edit,
    HiddenFile,
    ImageFile,
    UnneededGroup,
    UnneededKind,
    Waste,
    WasteGroup,
)
from wherry.analysis.image.index import LayerIndex
from wherry.analysis.image.kinds import MEANING, Unneeded
from wherry.analysis.image.remedies import (
    HiddenBy,
    HistoryInstruction,
    WasteRemedy,
    remedy_for_duplicates,
    remedy_for_hidden,
    remedy_for_kind,
)
from wherry.analysis.image.union import Fate, Union
from wherry.analysis.image.waste import (
    Copies,
    FileGroup,
    FoundFile,
    HiddenFiles,
    Sizes,
    Visible,
    hidden_files,
    visible_files,
)
from wherry.oci.image import Image

MOST_FILES = 100
_SHOWN = 5


def analyzed(
    image: Image, layers: Sequence[LayerIndex], base: ImageBase, *, most: int = MOST_FILES
) -> AnalyzedPlatform:
    """Judge an image by the indexes of its layers.

    Args:
        image: its documents.
        layers: base first, one for each of its layers.
        base: which are the base's.
        most: how many hidden files, and how many duplicates, are named; sums count all.

    Raises:
        InvalidArchive: the layers do not fit on each other.

    Cost: no layer is read; see `Union` and `visible_files`.
    """
    dive = dive_figures(layers)
    union = Union(layers)
    sizes = Sizes.of(union)
    hidden, visible = hidden_files(sizes, most), visible_files(sizes, most)
    made = _Made(image, sizes, hidden, visible, base)
    unpacked = sum(map(sizes.unpacked, range(len(layers))))
    waste = made.waste()
    needed = visible.bytes - waste.duplicate_bytes
    return AnalyzedPlatform(
        platform=str(image.platform),
        digest=str(image.descriptor.digest),
        stored=sum(blob.size for blob in {blob.digest: blob for blob in image.manifest.stack}.values()),
        unpacked=unpacked,
        visible=visible.bytes,
        files=visible.files,
        efficiency=needed / unpacked if unpacked else 1.0,
        base_from=base.source,
        waste=waste,
        duplicates=tuple(made.duplicates()),
        more_duplicates=max(visible.contents - most, 0),
        unneeded=tuple(made.unneeded()),
        dive=dive,
        dive_differs=tuple(_differences(waste, dive, unpacked)),
        layers=tuple(made.layers()),
    )


class _Made:
    """The parts of the document."""

    def __init__(self, image: Image, sizes: Sizes, hidden: HiddenFiles, visible: Visible, base: ImageBase) -> None:
        self._image, self._sizes, self._hidden, self._visible, self._base = image, sizes, hidden, visible, base
        self._by = made_by(image)
        self._shown = visible.duplicates
        groups = [*hidden.groups.values(), *visible.unneeded.values()]
        wanted = {number for group in groups for number in group.biggest} | set(hidden.most)
        wanted |= {number for copies in self._shown for number in copies.numbers[:_SHOWN]}
        self._files = sizes.found(wanted)

    def waste(self) -> Waste:
        """Give all that is hidden, and how much is there twice."""
        hidden, most = self._hidden, self._hidden.most
        causes: dict[str, int] = {}
        for (fate, _, _), group in hidden.groups.items():
            name = fate.name.lower()
            causes[name] = causes.get(name, 0) + group.bytes
        of_base = sum(group.bytes for (_, layer, _), group in hidden.groups.items() if self._base.has(layer))
        return Waste(
            bytes=hidden.bytes,
            pulled=hidden.pulled,
            base_bytes=of_base,
            duplicate_bytes=self._visible.duplicate_bytes,
            duplicate_pulled=self._visible.duplicate_pulled,
            causes=causes,
            groups=tuple(sorted(self._groups(), key=lambda group: (-group.bytes, group.layer, group.hidden_by))),
            files=tuple(self._hidden_file(number) for number in most),
            more_files=hidden.files - len(most),
            more_bytes=hidden.bytes - sum(map(self._sizes.size, most)),
        )

    def duplicates(self) -> Iterator[Duplicate]:
        """Give contents that are there more than once."""
        for copies in self._shown:
            files = tuple(_image_file(self._files[number]) for number in copies.numbers[:_SHOWN])
            yield Duplicate(
                digest=f"sha256:{copies.digest.hex()}",
                bytes=copies.size,
                copies=len(copies.numbers),
                wasted=copies.wasted,
                pulled=copies.pulled,
                files=files,
                edit=_edit(self._of_duplicates(copies, files)),
            )

    def unneeded(self) -> Iterator[UnneededKind]:
        """Give what is rarely needed, by kind."""
        by_kind: dict[Unneeded, list[UnneededGroup]] = {}
        for (kind, layer), group in self._visible.unneeded.items():
            by_kind.setdefault(kind, []).append(self._unneeded(kind, layer, group))
        rows = [
            UnneededKind(
                kind=kind,
                meaning=MEANING[kind],
                files=sum(group.files for group in groups),
                bytes=sum(group.bytes for group in groups),
                pulled=sum(group.pulled for group in groups),
                layers=tuple(sorted(groups, key=lambda group: (-group.bytes, group.layer))),
            )
            for kind, groups in by_kind.items()
        ]
        yield from sorted(rows, key=lambda row: (-row.bytes, row.kind))

    def layers(self) -> Iterator[AnalyzedLayer]:
        """Give the layers, base first."""
        hidden: dict[int, int] = {}
        for (_, layer, _), group in self._hidden.groups.items():
            hidden[layer] = hidden.get(layer, 0) + group.bytes
        for number, blob in enumerate(self._image.manifest.stack):
            index, changes = self._sizes.union.layers[number], self._sizes.union.changes[number]
            yield AnalyzedLayer(
                number=number + 1,
                digest=str(blob.digest),
                diff_id=str(self._image.config.diff_ids[number]),
                media_type=blob.media_type,
                created_by=self._by[number],
                instruction=HistoryInstruction.of(self._by[number]).text,
                base=self._base.has(number),
                stored=blob.size,
                unpacked=self._sizes.unpacked(number),
                tar=index.tar_size,
                overhead=index.tar_size - index.bodies,
                files=index.kinds.count(kinds.FILE),
                added=changes.added,
                changed=changes.changed,
                removed=changes.removed,
                opaque=changes.opaque,
                hidden=hidden.get(number, 0),
            )

    def _groups(self) -> Iterator[WasteGroup]:
        for (fate, layer, hider), group in self._hidden.groups.items():
            paths = tuple(self._files[number].path for number in group.biggest)
            yield WasteGroup(
                cause=fate.name.lower(),
                layer=layer + 1,
                hidden_by=hider + 1,
                base=self._base.has(layer),
                files=group.files,
                bytes=group.bytes,
                pulled=group.pulled,
                paths=paths,
                edit=_edit(self._of_hidden(fate, layer, hider, paths)),
            )

    def _of_hidden(self, fate: Fate, layer: int, hider: int, paths: Sequence[str]) -> WasteRemedy:
        mode, owner = self._later(hider, paths[0]) if fate is Fate.COPIED else (0, (0, 0))
        return remedy_for_hidden(
            HiddenBy(
                fate=fate,
                made_by=self._by[layer],
                hidden_by=self._by[hider],
                base=bool(self._base.has(layer)) and not self._base.has(hider),
                paths=paths,
                mode=mode,
                owner=owner,
                same_layer=layer == hider,
            )
        )

    def _later(self, layer: int, path: str) -> tuple[int, tuple[int, int]]:
        """Give mode and owner of a path in a layer."""
        index = self._sizes.union.layers[layer]
        wanted = path.removeprefix("/").encode(errors="surrogateescape")
        row = next((row for row, one in enumerate(index.each_path()) if one == wanted), None)
        if row is None:
            return 0, (0, 0)
        return index.column(3)[row], (index.column(4)[row], index.column(5)[row])

    def _hidden_file(self, number: int) -> HiddenFile:
        file, union = self._files[number], self._sizes.union
        return HiddenFile(
            path=file.path,
            layer=file.layer + 1,
            bytes=file.size,
            pulled=file.pulled,
            cause=union.fate(number).name.lower(),
            hidden_by=union.hider(number) + 1,
        )

    def _of_duplicates(self, copies: Copies, files: Sequence[ImageFile]) -> WasteRemedy:
        layers = {file.layer for file in files}
        if len(copies.numbers) == len(files) and all(self._base.has(layer - 1) for layer in layers):
            return WasteRemedy("all copies are of the base")
        return remedy_for_duplicates([file.path for file in files])

    def _unneeded(self, kind: Unneeded, layer: int, group: FileGroup) -> UnneededGroup:
        base, folders = self._base.has(layer), self._visible.folders.get((kind, layer), ())
        return UnneededGroup(
            kind=kind,
            layer=layer + 1,
            base=base,
            files=group.files,
            bytes=group.bytes,
            pulled=group.pulled,
            paths=tuple(self._files[number].path for number in group.biggest),
            folders=folders,
            edit=_edit(remedy_for_kind(kind, self._by[layer], folders, base=bool(base))),
        )


def _edit(remedy: WasteRemedy) -> Edit:
    return Edit(remedy=remedy.text, before=remedy.before, after=remedy.after)


def _image_file(file: FoundFile) -> ImageFile:
    return ImageFile(path=file.path, layer=file.layer + 1, bytes=file.size, pulled=file.pulled)


def _differences(waste: Waste, dive: DiveFigures, unpacked: int) -> Iterator[str]:
    """Say why dive's wasted bytes are others than ours."""
    if dive.wasted_bytes == waste.bytes:
        return
    if dive.wasted_bytes:
        yield "dive counts every copy of a path that is in two layers or more, the last and needed one included"
    if any(waste.causes.get(cause) for cause in ("deleted", "opaque", "replaced")):
        yield (
            "dive does not count files that go with a deleted, opaque or replaced folder, "
            "and a deleted file only with all its copies"
        )
    if dive.wasted_bytes > unpacked:
        yield "dive's sum is larger than the image"
    if not dive.wasted_bytes and not any(waste.causes.get(cause) for cause in ("deleted", "opaque", "replaced")):
        yield "dive does not look into a layer that has a path twice"
