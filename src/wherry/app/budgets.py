"""Check images against the budgets of wherry.toml and the command line, for `check` and `build`."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.analysis.budgets import GROWTH, Grown, SizeLimits, Weighed, checks
from wherry.analysis.figures import Figures, FiguresDocument
from wherry.analysis.size import BudgetCheck, LayerSize
from wherry.app.session import Session
from wherry.errors import InvalidUsage, NotFound
from wherry.oci.image import Image
from wherry.settings.budgets import Budgets
from wherry.store.contract import BlobSource
from wherry.store.files import read_regular

if TYPE_CHECKING:
    from wherry.app.budget_gate import Budgeted

_LARGEST = 4 << 20
_LEVEL = re.compile(r"\blevel (\d+)\b")


@dataclass(frozen=True, slots=True)
class GrowthReference:
    """What growth is counted from, by platform."""

    name: str
    figures: Mapping[str, Figures]
    image: bool = False
    """Whether it is an image, and not a figures file."""

    def on(self, platform: str) -> Figures:
        """Give the figures of one platform.

        Raises:
            NotFound: there are none.
        """
        if platform not in self.figures:
            there = ", ".join(self.figures) or "none"
            raise NotFound(
                f"{self.name} has no sizes for {platform}",
                hint=f"it has {there}; update it with `wherry check --write-figures`",
            )
        return self.figures[platform]


def reference_of(session: Session, wanted: "Budgeted") -> GrowthReference | None:
    """Measure or read what growth is counted from; None where no budget asks for it.

    Raises:
        InvalidUsage: nothing is named.
        NotFound: the image or file that is named is not there.
    """
    if not wanted.budgets.growth:
        return None
    against = wanted.budgets.against
    if not against:
        keys = ", ".join(wanted.budgets.growth)
        raise InvalidUsage(
            f"budgets of {wanted.key}: {keys} need a baseline",
            hint='add against = "IMAGE|FILE" to [budgets], or give --against',
        )
    file = figures_file(wanted.folder, against)
    if file is None:
        path = wanted.folder / against
        name = str(path) if path.exists() else against
        weighed = weigh(session, name, against, programs=True)
        return GrowthReference(against, {one.platform: one.figures() for one in weighed}, image=True)
    found = read_figures(file, against)
    if wanted.key not in found.images:
        raise NotFound(
            f"{against} has no sizes of {wanted.key}",
            hint=f"`wherry build --no-budgets {wanted.key}` and `wherry check --write-figures={against}` write them",
        )
    return GrowthReference(against, found.images[wanted.key])


def figures_file(folder: Path, against: str) -> Path | None:
    """Report whether a figures file is meant, and where it is; None for an image."""
    path = folder / against
    if path.suffix == ".json":
        return path
    if path.is_file():
        with path.open("rb") as file:
            return path if file.read(1) == b"{" else None
    return None


def read_figures(file: Path, name: str) -> FiguresDocument:
    """Read a figures file that messages call by a name.

    Raises:
        NotFound: it is not there.
        InvalidDocument: it is invalid.
    """
    text = read_regular(file, _LARGEST)
    if text is None:
        raise NotFound(
            f"{name}: not a file of sizes",
            hint=f"`wherry build --no-budgets` and `wherry check --write-figures={name}` write one",
        )
    return FiguresDocument.parse(text, name)


def weigh(session: Session, name: str, label: str, *, programs: bool) -> Sequence[Weighed]:
    """Weigh an image on each of its platforms.

    Args:
        session: where.
        name: the image, as `inspect` takes it.
        label: what messages call it.
        programs: whether its programs are looked into as well.

    Raises:
        NotFound: there is no such image.
    """
    from wherry.app.sizes import size_of_any
    from wherry.app.subjects import images_named

    located, images = images_named(session, name, None)
    document = size_of_any(session, name, functions=False) if programs else None
    found = []
    for image in images:
        platform = str(image.platform)
        if document:
            layers = tuple(one for one in document.layers if one.platform == platform)
        else:
            layers = _layers(session, located.source, image)
        binaries = [one for one in document.binaries if one.platform == platform] if document else []
        inside = tuple(sorted(binaries, key=lambda one: -one.size)) if document else None
        found.append(Weighed(label, platform, _divided(session, image, layers), level_of(image), inside))
    return found


def _divided(session: Session, image: Image, layers: tuple[LayerSize, ...]) -> tuple[LayerSize, ...]:
    """Mark the base's layers of a Dockerfile's image, if the build on this machine recorded their number."""
    if all(one.base is not None for one in layers):
        return layers
    import msgspec

    from wherry.build.values import base_layers_fact
    from wherry.store.results import Results

    with closing(Results(session.cache_folder)) as results:
        known = results.fact(base_layers_fact(image.descriptor.digest))
    if known is None:
        return layers
    return tuple(msgspec.structs.replace(one, base=place < int(known)) for place, one in enumerate(layers))


def _layers(session: Session, source: BlobSource, image: Image) -> tuple[LayerSize, ...]:
    """Measure layers without their files; what one unpacks to is remembered by its digest."""
    from wherry.analysis.layers import layers_weighed, unpacked_of
    from wherry.store.results import Results

    with closing(Results(session.cache_folder)) as results:

        def unpacked(number: int) -> int:
            fact = f"{image.manifest.stack[number].digest} unpacks to"
            known = results.fact(fact)
            if known is None:
                known = str(unpacked_of(source, image, number))
                results.put_fact(fact, known)
            return int(known)

        return tuple(layers_weighed(image, unpacked))


def level_of(image: Image) -> int | None:
    """Give the compression level that an image's recipe names."""
    from wherry.build.recipe import RECIPE

    try:
        recipe = json.loads((image.config.runtime.labels or {}).get(RECIPE, "{}"))
        match = _LEVEL.search(recipe["layers"]["encoder"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return int(match[1]) if match else None


def judge(
    session: Session, name: str, label: str, budgets: Budgets, reference: GrowthReference | None
) -> Iterator[BudgetCheck]:
    """Check the budgets of an image against its sizes, on each platform.

    Raises:
        CannotTell, NotFound: something can't be judged.
    """
    from wherry.app.waste_budgets import waste_checks

    if budgets.measured:
        yield from _judge_sizes(session, name, label, budgets, reference)
    yield from waste_checks(session, name, label, budgets.waste)


def _judge_sizes(
    session: Session, name: str, label: str, budgets: Budgets, reference: GrowthReference | None
) -> Iterator[BudgetCheck]:
    plain = SizeLimits(budgets.sizes, budgets.modules, budgets.packages)
    programs = plain.of_programs
    weighed = weigh(session, name, label, programs=programs)
    found = [checks(one, _limits(plain, budgets, reference, one)) for one in weighed]
    if not programs and any(not check.ok for rows in found for check in rows):
        weighed = weigh(session, name, label, programs=True)  # to say what takes the most
        found = [checks(one, _limits(plain, budgets, reference, one)) for one in weighed]
    yield from (check for rows in found for check in rows)


def _limits(plain: SizeLimits, budgets: Budgets, reference: GrowthReference | None, weighed: Weighed) -> SizeLimits:
    if reference is None:
        return plain
    before = reference.on(weighed.platform)
    grown = {
        what: Grown(
            growth.largest(before.pulled if what.removeprefix(GROWTH) == "pulled" else before.unpacked),
            before,
            reference.name,
            reference.image,
        )
        for what, growth in budgets.growth.items()
    }
    return replace(plain, grown=grown)
