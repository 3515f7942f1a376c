"""`python -m tests.peers.compare_images A B`: what differs between two images, in lines that can be read.

A and B are OCI layouts, folders or archives. Files are compared as a container would see them: kinds, contents,
owners, modes, link targets, which paths are one file, devices, extended attributes; then platform, config, history, and
how many layers there are. Times only if asked for, as most are those of the build. Exits 1 where anything differs.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs as a program, too

from flattened import Image, Node, Tree, blob_name, layer_tar, normal, opened

_FACTS = ("type", "mode", "uid", "gid", "size", "sha256", "target", "device", "xattrs")
_SHOWN = 200
"""Bytes of a content that a line shows."""


def differences(first: Image, second: Image, *, times: bool = False, layers: bool = False) -> Iterator[str]:
    """Yield a line for each difference; what `first` has stands left.

    Args:
        first: one image.
        second: the other.
        times: compare files' times, in whole seconds.
        layers: compare which paths each layer has.
    """
    if first.platform != second.platform:
        yield f"platform: {first.platform} | {second.platform}"
    yield from _files(first.tree(), second.tree(), times=times)
    yield from _values("config", first.runtime, second.runtime)
    yield from _histories(first.history, second.history)
    if len(first.layers) != len(second.layers):
        yield f"layers: {len(first.layers)} | {len(second.layers)}"
    elif layers:
        yield from _layers(first, second)


def _files(first: Tree, second: Tree, *, times: bool) -> Iterator[str]:
    for path in sorted(first.keys() | second.keys()):
        one, two = first.get(path), second.get(path)
        if one is None or two is None:
            if path:  # whether a layer names the root is nobody's business
                yield f"{path}: {_node(one)} | {_node(two)}"
        else:
            yield from (f"{path}: {line}" for line in _nodes(one, two, times=times))
    yield from _values("one file", _links(first), _links(second))


def _nodes(one: Node, two: Node, *, times: bool) -> Iterator[str]:
    for fact in _FACTS:
        left, right = getattr(one, fact), getattr(two, fact)
        if left != right:
            yield f"{fact} {_shown(fact, left)} | {_shown(fact, right)}"
            if fact == "sha256":
                yield from _contents(one.content, two.content)
    if times and int(one.mtime) != int(two.mtime):
        yield f"mtime {int(one.mtime)} | {int(two.mtime)}"


def _contents(one: bytes | None, two: bytes | None) -> Iterator[str]:
    """Show two contents, from a little before the first byte that differs."""
    if one is not None and two is not None:
        same = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
        start = max(0, same - 20)
        yield f"content, byte {same}: {one[start:][:_SHOWN]!r} | {two[start:][:_SHOWN]!r}"


def _node(node: Node | None) -> str:
    if node is None:
        return "(nothing)"
    target = f" → {node.target}" if node.target else ""
    return f"{node.type} {node.mode:04o} {node.uid}:{node.gid} {node.size} bytes{target}"


def _shown(fact: str, value: Any) -> str:
    return f"{value:04o}" if fact == "mode" else str(value)


def _links(tree: Tree) -> dict[str, list[str]]:
    """Give the paths that are one file, by the first of them."""
    paths = defaultdict(list)
    for path, node in sorted(tree.items()):
        paths[id(node)].append(path)
    return {names[0]: names[1:] for names in paths.values() if len(names) > 1}


def _values(what: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(one.keys() | two.keys()):
        left, right = one.get(key) or None, two.get(key) or None
        if left != right:
            yield f"{what}: {key}: {left} | {right}"


def _histories(one: Sequence[Mapping[str, Any]], two: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for place in range(max(len(one), len(two))):
        left, right = (steps[place] if place < len(steps) else {} for steps in (one, two))
        for key in ("created_by", "empty_layer", "comment", "author"):
            if left.get(key) != right.get(key):
                yield f"history {place}: {key}: {left.get(key)!r} | {right.get(key)!r}"


def _layers(first: Image, second: Image) -> Iterator[str]:
    for place, (one, two) in enumerate(zip(_paths(first), _paths(second), strict=True)):
        yield from (f"layer {place}: {path} | (nothing)" for path in sorted(one - two))
        yield from (f"layer {place}: (nothing) | {path}" for path in sorted(two - one))


def _paths(image: Image) -> Iterator[set[str]]:
    for layer in image.layers:
        with image.blobs.open("blobs/" + layer["digest"].replace(":", "/")) as stream:
            yield {path for member in layer_tar(stream) if (path := normal(member.name))}


def compared(first: Path, second: Path, *, times: bool = False, layers: bool = False) -> Iterator[str]:
    """Compare all images of two layouts, by platform."""
    one, two = ({image.platform: image for image in opened(path).images()} for path in (first, second))
    for platform in sorted(one.keys() | two.keys()):
        if platform not in one or platform not in two:
            yield f"{platform}: only in {first if platform in one else second}"
            continue
        lines = differences(one[platform], two[platform], times=times, layers=layers)
        yield from (f"{platform}: {line}" for line in lines) if len(one) > 1 else lines


def layer_bytes(path: Path) -> list[tuple[int, int]]:
    """Give, of each layer of a layout's images, the bytes as stored and those of the files in it."""
    found = []
    for image in opened(path).images():
        for layer in image.layers:
            with image.blobs.open(blob_name(layer["digest"])) as stream:
                found.append((int(layer["size"]), sum(member.size for member in layer_tar(stream))))
    return found


def larger_layers(first: Path, second: Path) -> Iterator[str]:
    """Yield a line for each layer in which `first` ships more bytes of files than `second`."""
    pairs = zip(layer_bytes(first), layer_bytes(second), strict=False)
    for number, ((_, ours), (_, theirs)) in enumerate(pairs, 1):
        if ours > theirs:
            yield f"layer {number}: {ours} bytes of files | {theirs}"


def main() -> int:
    """Compare what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--times", action="store_true", help="compare the times of files, too")
    parser.add_argument("--layers", action="store_true", help="compare which paths each layer has")
    parser.add_argument("--bytes", action="store_true", help="print the bytes of layers, stored and of their files")
    asked = parser.parse_args()
    found = 0
    if asked.bytes:
        for number, (one, two) in enumerate(zip(*map(layer_bytes, (asked.first, asked.second)), strict=False), 1):
            sys.stdout.write(f"layer {number}: {one[0]} {one[1]} | {two[0]} {two[1]}\n")
    for line in compared(asked.first, asked.second, times=asked.times, layers=asked.layers):
        sys.stdout.write(line + "\n")
        found = 1
    return found


if __name__ == "__main__":
    sys.exit(main())
