"""A size document as the tree that the page walks: platform, layer, file, module, package, function; packed small.

Every node's children add up to it: what a level does not name is one node of its own.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import PurePath

from wherry.analysis.size import BinarySize, LayerSize, ModuleSize, PackageSize, SizeDocument
from wherry.report.size import OWNERS
from wherry.report.terminal import printable, size

CONFIDENCE = ("exact", "shared", "inferred", "unknown")
_OF_FUNCTIONS = frozenset({"code", "pclntab", "funcdata"})
"""Kinds of bytes in functions; other kinds of a package are nodes next to its functions."""
_LONGEST = 240
"""Characters of a name; an instance of a generic type may have thousands."""

_SMALLER = re.compile(r"\d+ smaller functions")
Fact = tuple[str, ...]
"""A term and its lines, shown next to the map."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One rectangle.

    Its kind is a letter: r root, o platform, l layer, i file, b program, m module, p package, f function (its name
    goes on its package's), F another function, k kind, s section, x a group without a name.
    """

    kind: str
    name: str
    bytes: int
    children: tuple["Tile", ...] = ()
    sure: tuple[int, ...] = ()
    """Bytes of each confidence, in the order of CONFIDENCE; empty: its children's."""
    facts: tuple[Fact, ...] = ()
    owner: str = ""
    """Of a module: `own`, `dep` or `std`."""
    before: int | None = None
    """Bytes of what it is compared with; None: it is compared with nothing."""


def tree_of(document: SizeDocument, *, most: int, against: SizeDocument | None = None) -> Tile:
    """Give the tree of a document.

    Args:
        document: what was measured.
        most: functions that are named, the biggest of all; the others of a package are one tile.
        against: what it is compared with.
    """
    documents = [document] if against is None else [document, against]
    binaries = [one for each in documents for one in each.binaries]
    sizes = sorted((one.bytes for b in binaries for p in b.packages for one in p.functions), reverse=True)
    least = sizes[most] + 1 if most < len(sizes) else 0
    tree = _rooted(document, {id(one): _binary(one, least) for one in document.binaries})
    if against is None:
        return tree
    return compared(_rooted(against, {id(one): _binary(one, least) for one in against.binaries}), tree)


def compared(before: Tile, after: Tile) -> Tile:
    """Put two trees into one: each tile has the bytes of both; what one lacks has 0 there.

    Tiles are the same where their kind and name are; those that stand for a number of small ones are one.
    """
    there = {_same(one): one for one in before.children}
    children = [compared(there.pop(_same(one), _NOTHING), one) for one in after.children]
    children += [_gone(one) for one in there.values()]
    if not before.children and after.children and before.bytes:
        children.append(Tile("x", "(before: not listed)", 0, before=before.bytes))
    if not after.children and before.children and after.bytes:
        children.append(Tile("x", "(after: not listed)", after.bytes, before=0))
    return replace(after, children=tuple(children), before=before.bytes, sure=after.sure)


_NOTHING = Tile("x", "", 0)


def _same(tile: Tile) -> tuple[str, str]:
    return tile.kind, "" if _SMALLER.fullmatch(tile.name) else tile.name


def _gone(tile: Tile) -> Tile:
    children = tuple(map(_gone, tile.children))
    return replace(tile, children=children, before=tile.bytes, bytes=0, sure=(0, 0, 0, 0))


def _rooted(document: SizeDocument, programs: Mapping[int, Tile]) -> Tile:
    placed: set[int] = set()
    layers: list[tuple[str, Tile]] = []
    for platform, some in groupby(document.layers, key=lambda layer: layer.platform):
        for number, layer in enumerate(some, 1):
            inside = [one for one in document.binaries if (one.platform, one.layer) == (platform, number)]
            layers.append((platform, _layer(number, layer, inside, programs, placed)))
    loose = tuple(programs[id(one)] for one in document.binaries if id(one) not in placed)
    by_platform = [
        (platform, tuple(node for _, node in some)) for platform, some in groupby(layers, key=lambda pair: pair[0])
    ]
    if len(by_platform) > 1:
        tops = tuple(_sum("o", platform, nodes) for platform, nodes in by_platform)
    else:
        tops = tuple(node for _, nodes in by_platform for node in nodes)
    if not tops and len(loose) == 1:
        return loose[0]
    return _sum("r", document.name, (*tops, *loose))


def _sum(kind: str, name: str, children: tuple[Tile, ...]) -> Tile:
    return Tile(kind, name, sum(one.bytes for one in children), children)


def _layer(
    number: int, layer: LayerSize, inside: Sequence[BinarySize], programs: Mapping[int, Tile], placed: set[int]
) -> Tile:
    by_path = {one.path: one for one in inside}
    files = []
    for file in layer.files:
        binary = by_path.get(file.path)
        if binary is not None and binary.size == file.bytes and id(binary) not in placed:
            placed.add(id(binary))
            files.append(programs[id(binary)])
        else:
            files.append(Tile("i", file.path, file.bytes))
    facts = [
        ("digest", layer.digest),
        ("pulled", f"{size(layer.pulled)} ({layer.pulled:,} B)", layer.media_type),
        ("made by", layer.made_by),
        ("base", "" if layer.base is None else "from the base" if layer.base else "own"),
    ]
    rest = _rest(layer.unpacked, files, "(files not listed)")
    return Tile("l", f"layer {number}", sum(one.bytes for one in (*files, *rest)), (*files, *rest), facts=_told(facts))


def _binary(binary: BinarySize, least: int) -> Tile:
    sure = _sure(binary.confidence)
    facts = _told([
        ("package", binary.package),
        ("Go", binary.go),
        ("platform", binary.platform),
        ("stripped", "yes" if binary.stripped else "no"),
        ("owners", OWNERS.get(binary.owners, "")),
        ("digest", binary.digest),
        ("kinds", *(f"{one.kind} {size(one.bytes)}" for one in binary.kinds)),
        ("notes", *binary.notes),
    ])  # fmt: skip
    name = binary.path or PurePath(binary.name).name or binary.name
    parts: list[Tile]
    if not binary.packages:
        parts = [Tile("s", one.name or "(in no section)", one.bytes) for one in binary.sections]
    else:
        modules = {one.path: one for one in binary.modules}
        summed = any(one.sum for one in binary.modules)
        owned = sorted(binary.packages, key=lambda one: one.module)
        parts = []
        for path, some in groupby(owned, key=lambda one: one.module):
            packages = tuple(_package(one, least) for one in some)
            owner = _owner(binary, modules.get(path), path, summed=summed)
            parts += [_module(modules.get(path), path, packages, owner)] if path else packages
    parts += _rest(binary.size, parts, "(not attributed)")
    return Tile("b", name, binary.size, tuple(parts), sure, facts)


def _owner(binary: BinarySize, module: ModuleSize | None, path: str, *, summed: bool) -> str:
    """Tell own code from dependencies: build info has a sum for every module but the main one and local folders."""
    if path in {"std", "cmd"}:
        return "std"
    local = summed and module is not None and not module.sum
    return "own" if path == binary.module or local else "dep"


def _module(module: ModuleSize | None, path: str, packages: tuple[Tile, ...], owner: str) -> Tile:
    facts: list[Fact] = []
    if module is not None:
        facts = [
            ("version", module.version),
            ("alone", "" if module.exclusive is None else f"{size(module.exclusive)} ({module.exclusive:,} B)"),
            ("routes", *(" → ".join(route) for route in module.routes)),
        ]
    return Tile("m", path, sum(one.bytes for one in packages), packages, facts=_told(facts), owner=owner)


def _package(package: PackageSize, least: int) -> Tile:
    named = [one for one in package.functions if one.bytes >= least]
    small = [one for one in package.functions if one.bytes < least]
    children = []
    for one in named:
        beside = one.name.startswith(f"{package.path}.")
        facts = _told([("code", f"{one.code:,} B"), ("generic from", one.generic_from)]) if one.generic_from else ()
        children.append(
            Tile("f" if beside else "F", one.name[len(package.path) :] if beside else one.name, one.bytes, facts=facts)
        )
    if small:
        children.append(Tile("x", f"{len(small)} smaller functions", sum(one.bytes for one in small)))
    children += _beside(package, package.bytes - sum(one.bytes for one in children))
    if sum(one.bytes for one in children) != package.bytes or len(children) == 1:
        children = []
    alone = "" if package.exclusive is None else f"{size(package.exclusive)} ({package.exclusive:,} B)"
    facts = _told([("alone", alone), ("kinds", *(f"{kind} {size(count)}" for kind, count in package.kinds.items()))])
    return Tile("p", package.path, package.bytes, tuple(children), _sure(package.confidence), facts)


def _beside(package: PackageSize, left: int) -> list[Tile]:
    """Give what no function of a package has, by kind.

    Functions may have a few bytes of other kinds, such as tables of jumps; then the rest is shown as one node.
    """
    kinds = [Tile("k", kind, count) for kind, count in package.kinds.items() if kind not in _OF_FUNCTIONS and count]
    if sum(one.bytes for one in kinds) > left:
        return [Tile("x", f"({', '.join(one.name for one in kinds)} of no single function)", left)] if left > 0 else []
    return [*kinds, *_rest(left, kinds, "(code and tables of no single function)")]


def _rest(whole: int, parts: Iterable[Tile], name: str) -> list[Tile]:
    left = whole - sum(one.bytes for one in parts)
    return [Tile("x", name, left)] if left > 0 else []


def _sure(confidence: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(confidence.get(word, 0) for word in CONFIDENCE) if confidence else ()


def _told(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple(fact for fact in facts if len(fact) > 1 and fact[1])


@dataclass(slots=True)
class _Packer:
    names: dict[str, int] = field(default_factory=dict)
    name: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    kids: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    more: dict[str, dict[str, object]] = field(default_factory=dict)

    def take(self, node: Tile) -> None:
        more: dict[str, object] = {}
        if node.sure:
            more["sure"] = node.sure
        if node.owner:
            more["owner"] = node.owner
        if node.facts:
            more["facts"] = [[_shown(line) for line in fact] for fact in node.facts]
        if more:
            self.more[str(len(self.name))] = more
        self.name.append(self.names.setdefault(_shown(node.name), len(self.names)))
        self.bytes.append(node.bytes)
        self.kids.append(len(node.children))
        self.types.append(node.kind)
        if node.before is not None:
            self.before.append(node.before)
        for child in node.children:
            self.take(child)


def packed(root: Tile) -> dict[str, object]:
    """Pack a tree: arrays in preorder, each name once; page/model.js reads it."""
    packer = _Packer()
    packer.take(root)
    return {
        "names": list(packer.names),
        "name": packer.name,
        "bytes": packer.bytes,
        "kids": packer.kids,
        "types": "".join(packer.types),
        "more": packer.more,
        **({"before": packer.before} if packer.before else {}),
    }


def walk(root: Tile) -> Iterator[Tile]:
    """Give a node and all below it."""
    yield root
    for child in root.children:
        yield from walk(child)


def _shown(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"
