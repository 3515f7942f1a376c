"""The same data in two programs has the same owner: matched by the hash of its bytes, before owners are compared.

Owners of data are not always known, and the same bytes in another program can be inferred to be of another one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from wherry.analysis.size import BinarySize, ModuleSize, ObjectSize, PackageSize

_ORDER = {"exact": 0, "inferred": 1, "shared": 2, "unknown": 3}


@dataclass(frozen=True, slots=True)
class _Move:
    """Bytes of one kind that get another owner."""

    kind: str
    confidence: str
    package: str
    to: str
    to_confidence: str


def matched(before: BinarySize, after: BinarySize) -> tuple[BinarySize, BinarySize]:
    """Give data that both programs have the same owner in both: the one that is better known, else the first one's.

    Functions, and data of which the two have different numbers, stay unchanged.
    """
    sides = [_by_content(one.objects) for one in (before, after)]
    moves: list[Counter[_Move]] = [Counter(), Counter()]
    for content in sides[0].keys() & sides[1].keys():
        first, second = sides[0][content], sides[1][content]
        if len(first) != len(second):
            continue
        for pair in zip(first, second, strict=True):
            if pair[0].package != pair[1].package:
                known = min(pair, key=lambda one: _ORDER[one.confidence])
                for number, one in enumerate(pair):
                    if one.package != known.package:
                        moves[number][_move(one, known)] += one.bytes
    return _moved(before, moves[0], after), _moved(after, moves[1], before)


def _by_content(objects: Iterable[ObjectSize]) -> Mapping[tuple[str, int], list[ObjectSize]]:
    found: defaultdict[tuple[str, int], list[ObjectSize]] = defaultdict(list)
    for one in objects:
        found[one.hash, one.bytes].append(one)
    return found


def _move(one: ObjectSize, known: ObjectSize) -> _Move:
    return _Move(one.kind, one.confidence, one.package, known.package, known.confidence)


def _moved(binary: BinarySize, moves: Mapping[_Move, int], other: BinarySize) -> BinarySize:
    """Apply moves; sums stay what they were."""
    if not moves:
        return binary
    packages = {one.path: one for one in binary.packages}
    elsewhere = {one.path: one.module for one in other.packages}
    confidence = Counter(binary.confidence)
    for move, size in moves.items():
        target = packages.get(move.to) or PackageSize(path=move.to, module=elsewhere[move.to], bytes=0)
        packages[move.package] = _changed(packages[move.package], move.kind, move.confidence, -size)
        packages[move.to] = _changed(target, move.kind, move.to_confidence, size)
        confidence[move.confidence] -= size
        confidence[move.to_confidence] += size
    every = tuple(sorted((one for one in packages.values() if one.bytes), key=lambda one: (-one.bytes, one.path)))
    return msgspec.structs.replace(
        binary, packages=every, modules=_modules(every, (*binary.modules, *other.modules)), confidence=dict(+confidence)
    )


def _changed(package: PackageSize, kind: str, confidence: str, size: int) -> PackageSize:
    kinds = Counter(package.kinds) + Counter()
    known = Counter(package.confidence)
    kinds[kind] += size
    known[confidence] += size
    return msgspec.structs.replace(package, bytes=package.bytes + size, kinds=dict(+kinds), confidence=dict(+known))


def _modules(packages: Iterable[PackageSize], known: Iterable[ModuleSize]) -> tuple[ModuleSize, ...]:
    sizes, counts = Counter[str](), Counter[str]()
    for package in packages:
        sizes[package.module] += package.bytes
        counts[package.module] += 1
    facts: dict[str, ModuleSize] = {}
    for one in known:
        facts.setdefault(one.path, one)
    rows = (
        msgspec.structs.replace(facts[path], bytes=size, packages=counts[path], exclusive=None, routes=())
        for path, size in sizes.items()
    )
    return tuple(sorted(rows, key=lambda one: (-one.bytes, one.path)))
