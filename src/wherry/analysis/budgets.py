"""Check budgets: compare an image's sizes with its limits, and find the largest parts of an exceeded one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wherry.analysis.figures import Figures, biggest
from wherry.analysis.owners import STANDARD
from wherry.analysis.size import BinarySize, BudgetCheck, LayerSize
from wherry.errors import WherryError

_NAMED = 3
"""How many of what takes the most are named."""
GROWTH: Final = "growth-"
_OWN, _BASE = "own-", "base-"


class CannotTell(WherryError):
    """A budget is of something that the image does not tell."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True)
class Weighed:
    """What an image weighs on one platform."""

    name: str
    platform: str
    layers: tuple[LayerSize, ...]
    """Base first."""
    level: int | None = None
    """Compression level of its own layers, where it tells."""
    binaries: tuple[BinarySize, ...] | None = None
    """Its programs, the biggest first; None if not analysed."""

    def bytes_of(self, measure: str) -> int:
        """Give `unpacked` or `pulled`, of the whole, of the base (`base-`) or of what is above (`own-`).

        Raises:
            CannotTell: the image does not say which layers are its base's.
        """
        layers = self._layers(measure)
        return sum(one.pulled if measure.endswith("pulled") else one.unpacked for one in layers)

    def _layers(self, measure: str) -> Sequence[LayerSize]:
        if not measure.startswith((_OWN, _BASE)):
            return self.layers
        if any(one.base is None for one in self.layers):
            raise CannotTell(
                f"{self.name} {self.platform}: budget {measure}: the image does not record its base's layers",
                hint="build it on this machine first, or use unpacked and pulled, which cover the whole image",
            )
        return [one for one in self.layers if one.base == measure.startswith(_BASE)]

    @property
    def encoding(self) -> str:
        """Media types of the layers, and the level if it is recorded."""
        types = " and ".join(dict.fromkeys(one.media_type for one in self.layers))
        return f"{types}, level {self.level}" if self.level is not None else types

    @property
    def modules(self) -> dict[str, int]:
        """Bytes of each module, of all programs."""
        return _sums((one.path, one.bytes) for binary in self.binaries or () for one in binary.modules)

    def figures(self) -> Figures:
        """Give what is worth keeping."""
        return Figures(
            unpacked=self.bytes_of("unpacked"),
            pulled=self.bytes_of("pulled"),
            media_type=",".join(dict.fromkeys(one.media_type for one in self.layers)),
            level=self.level,
            binary=self.binaries[0].size if self.binaries else 0,
            modules=biggest(self.modules),
        )


@dataclass(frozen=True, slots=True)
class Grown:
    """How big something may be for what it was."""

    limit: int
    before: Figures
    against: str
    """What it is counted from."""
    image: bool = False
    """Whether that is an image, and not a figures file."""


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """What an image may weigh; names as in wherry.toml, limits in bytes."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    modules: Mapping[str, int] = field(default_factory=dict)
    packages: Mapping[str, int] = field(default_factory=dict)
    grown: Mapping[str, Grown] = field(default_factory=dict)

    @property
    def of_programs(self) -> bool:
        """Whether programs have to be looked into."""
        return bool(self.modules or self.packages or "binary" in self.sizes)


def checks(weighed: Weighed, limits: SizeLimits) -> tuple[BudgetCheck, ...]:
    """Judge every budget of an image on one platform, in the order of the file.

    Raises:
        CannotTell: a budget of own or base layers, of programs or modules, and the image does not tell.
    """
    return tuple(_checks(weighed, limits))


def _checks(weighed: Weighed, limits: SizeLimits) -> Iterator[BudgetCheck]:
    for what, limit in limits.sizes.items():
        if what == "binary":
            yield _binary(weighed, limit)
        else:
            yield _check(weighed, what, limit, weighed.bytes_of(what), weighed.encoding if "pulled" in what else "")
    for what, grown in limits.grown.items():
        measure = what.removeprefix(GROWTH)
        before = grown.before.pulled if measure == "pulled" else grown.before.unpacked
        detail = f"{before} bytes in {grown.against}"
        if measure == "pulled":
            detail += f"; {weighed.encoding}"
        check = _check(weighed, what, grown.limit, weighed.bytes_of(measure), detail)
        yield check if check.ok else _with_growth(check, weighed, grown)
    yield from _owners(weighed, "module", limits.modules)
    yield from _owners(weighed, "package", limits.packages)


def _check(weighed: Weighed, what: str, limit: int, actual: int, detail: str) -> BudgetCheck:
    return BudgetCheck(
        what=what,
        limit=limit,
        actual=actual,
        ok=actual <= limit,
        image=weighed.name,
        platform=weighed.platform,
        detail=detail,
        most=() if actual <= limit else tuple(_most(weighed, what)),
        remedy="" if actual <= limit else _remedy(weighed, what),
    )


def _binary(weighed: Weighed, limit: int) -> BudgetCheck:
    if not weighed.binaries:
        raise CannotTell(
            f"{weighed.name} {weighed.platform}: budget binary: the image contains no program",
            hint="remove the budget, or use unpacked",
        )
    first = weighed.binaries[0]
    return _check(weighed, "binary", limit, first.size, first.path)


def _owners(weighed: Weighed, kind: str, limits: Mapping[str, int]) -> Iterator[BudgetCheck]:
    if not limits:
        return
    unread = next((one for one in weighed.binaries or () if one.reading != "full"), None)
    if unread or not weighed.binaries:
        why = "; ".join(unread.notes) if unread else "the image contains no program"
        raise CannotTell(f"{weighed.name} {weighed.platform}: budgets of {kind}s: {why}", hint="remove these budgets")
    sizes = weighed.modules if kind == "module" else _packages(weighed.binaries)
    for path, limit in limits.items():
        detail = "" if path in sizes else "it is not in the image"
        yield _check(weighed, f"{kind} {path}", limit, sizes.get(path, 0), detail)


def _packages(binaries: Iterable[BinarySize]) -> dict[str, int]:
    return _sums((one.path, one.bytes) for binary in binaries for one in binary.packages)


def _sums(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, count in rows:
        sums[name] = sums.get(name, 0) + count
    return sums


def _most(weighed: Weighed, what: str) -> Iterator[str]:
    """Say what takes the most of a measure."""
    kind, _, path = what.partition(" ")
    binaries = weighed.binaries or ()
    match kind:
        case "module":
            packages = [(one.path, one.bytes) for binary in binaries for one in binary.packages if one.module == path]
            yield from _listed("packages", packages)
        case "package":
            found = (one.kinds.items() for binary in binaries for one in binary.packages if one.path == path)
            yield from _listed("kinds", (pair for kinds in found for pair in kinds))
        case "binary":
            yield from _listed("modules", _told(binaries[:1]))
        case _:
            yield from _files(weighed, what)


def _files(weighed: Weighed, what: str) -> Iterator[str]:
    layers = weighed._layers(what.removeprefix(GROWTH))  # noqa: SLF001 - of this module
    if "pulled" in what:
        yield from _listed("layers", ((f"the one with {_first(one)}", one.pulled) for one in layers))
    else:
        named = (file for layer in layers for file in layer.files if file.path.startswith("/"))
        yield from _listed("files", _sums((file.path, file.bytes) for file in named).items())
    files = {file.path for layer in layers for file in layer.files}
    inside = [binary for binary in weighed.binaries or () if binary.path in files]
    if inside:
        yield from _listed(f"modules of {inside[0].path}", _told(inside[:1]))


def _first(layer: LayerSize) -> str:
    return layer.files[0].path if layer.files else "no files"


def _told(binaries: Iterable[BinarySize]) -> list[tuple[str, int]]:
    return [(one.path or "(no package)", one.bytes) for binary in binaries for one in binary.modules]


def _listed(what: str, rows: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Name those with most bytes, in one line; nothing where there is none."""
    most = sorted(((name, count) for name, count in rows if count > 0), key=lambda row: (-row[1], row[0]))[:_NAMED]
    if most:
        yield f"{what}: {', '.join(f'{name} {count}' for name, count in most)}"


def _with_growth(check: BudgetCheck, weighed: Weighed, grown: Grown) -> BudgetCheck:
    """Say what grew, as far as the figures before tell."""
    import msgspec

    modules = weighed.modules
    before = grown.before.modules
    rows = [(path, modules[path] - before.get(path, 0)) for path in biggest(modules) if before]
    remedy = f"`wherry diff {grown.against} {weighed.name}` shows what grew" if grown.image else check.remedy
    return msgspec.structs.replace(check, most=(*_listed("modules that grew", rows), *check.most), remedy=remedy)


def _remedy(weighed: Weighed, what: str) -> str:
    kind, _, path = what.partition(" ")
    size = f"wherry size {weighed.name} --platform {weighed.platform}"
    match kind:
        case "module" if path != STANDARD:
            return f"`{size} --why {path}` shows what imports it"
        case "module":
            return f"`{size} --by package` lists its packages"
        case "package":
            return f"`{size} --by function --match {path}` lists its functions"
        case _ if kind.startswith(_BASE):
            return f"`wherry inspect {weighed.name}` lists its files; choose a smaller base"
        case _:
            return f"`{size}` shows where the bytes come from, `wherry slim {weighed.name}` what can go"
