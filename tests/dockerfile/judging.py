"""What the corpus expects of a build against what was built; a judgement is a list of complaints, best empty."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dockerfile.building import Built
from flattened import Image, Layout, Node, Tree, opened

Expected = Mapping[str, Any]

RUNTIME = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell", "StopSignal", "User",
    "Volumes", "WorkingDir",
)  # fmt: skip


def behaviour(expected: Expected, built: Built, sources: Mapping[str, bytes]) -> Iterator[str]:
    """Judge a case of BuildKit's behaviour.

    Args:
        expected: what the case says.
        built: what came out.
        sources: contents by name that files may have to be the same as.
    """
    layout = opened(built.layout)
    images = layout.images()
    yield from _image(expected, images[0], sources)
    if "platforms" in expected:
        yield from _platforms(expected["platforms"], images, sources)
    if order := expected.get("platform_order"):
        yield from differ("order of platforms", [image.platform for image in images], order)
    if names := expected.get("oci_index"):
        yield from _index(layout, names)


def _platforms(expected: Expected, images: Sequence[Image], sources: Mapping[str, bytes]) -> Iterator[str]:
    found = {image.platform: image for image in images}
    for platform, said in expected.items():
        if image := found.get(platform):
            for complaint in _image(said, image, sources):
                yield f"{platform}: {complaint}"
        else:
            yield f"no {platform} among {sorted(found)}"


def _image(expected: Expected, image: Image, sources: Mapping[str, bytes]) -> Iterator[str]:
    tree = _visible(image)
    for path, said in (expected.get("files") or {}).items():
        yield from file(path, said, tree, sources)
    yield from (f"{path}: is there" for path in expected.get("absent", []) if path.strip("/") in tree)
    for path in expected.get("empty_dirs", []):
        if path not in tree or any(other.startswith(path + "/") for other in tree):
            yield f"{path}: is no empty folder"
    if "only_files" in expected:
        yield from differ("files", sorted(path for path in tree if path), sorted(expected["only_files"]))
    yield from config(expected.get("config") or {}, image.runtime)
    yield from _facts(expected, image)
    yield from _history(expected, image)


def _visible(image: Image) -> Tree:
    """Give the files; a layer on one of Windows has them in a folder of its own, one on scratch has not."""
    tree = image.tree()
    if image.config["os"] != "windows" or "Files" not in tree:
        return tree
    return {path.removeprefix("Files").lstrip("/"): node for path, node in tree.items() if path.startswith("Files")}


def _facts(expected: Expected, image: Image) -> Iterator[str]:
    if "layers" in expected:
        yield from differ("layers", len(image.layers), expected["layers"])
    if "rootfs_type" in expected:
        yield from differ("rootfs.type", image.config["rootfs"]["type"], expected["rootfs_type"])
    for key in ("os", "architecture"):
        if key in expected:
            yield from differ(key, image.config[key], expected[key])
    if "created" in expected:
        yield from differ("created", _seconds(image.config["created"]), expected["created"])
    if "history_created" in expected:
        times = {_seconds(step["created"]) for step in image.history}
        yield from differ("created of the history", times, {expected["history_created"]})


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _history(expected: Expected, image: Image) -> Iterator[str]:
    if "history_len" in expected:
        yield from differ("length of the history", len(image.history), expected["history_len"])
    tail = expected.get("history_tail", [])
    steps = image.history[len(image.history) - len(tail) :]
    if len(steps) != len(tail):
        yield f"the history is short: {image.history}"
        return
    for step, said in zip(steps, tail, strict=True):
        by = step.get("created_by", "")
        yield from (f"history: {by!r} lacks {word!r}" for word in said["created_by_contains"] if word not in by)
        yield from (f"history: {by!r} has {word!r}" for word in said.get("created_by_not_contains", []) if word in by)
        yield from differ(f"history: empty_layer of {by!r}", step.get("empty_layer", False), said["empty_layer"])
        if said.get("created") and not step.get("created"):
            yield f"history: {by!r} has no time"


def _index(layout: Layout, expected: Sequence[Expected]) -> Iterator[str]:
    keys = {key for entry in expected for key in entry}
    entries = [entry.get("annotations") or {} for entry in layout.index["manifests"]]
    found = [{key: entry.get(key) for key in sorted(keys)} for entry in entries]
    yield from differ("annotations of index.json", _sorted(found), _sorted(expected))


def _sorted(entries: Sequence[Mapping[str, Any]]) -> list[list[tuple[str, Any]]]:
    return sorted(sorted(entry.items()) for entry in entries)


def file(path: str, expected: Expected, tree: Tree, sources: Mapping[str, bytes]) -> Iterator[str]:
    """Judge one path."""
    node = tree.get(path.strip("/"))
    if node is None:
        yield f"{path}: is not there"
        return
    for key, wanted in expected.items():
        yield from (f"{path}: {complaint}" for complaint in _fact(key, wanted, node, tree, sources))


def _fact(key: str, wanted: Any, node: Node, tree: Tree, sources: Mapping[str, bytes]) -> Iterator[str]:
    content = node.content or b""
    match key:
        case "content":
            yield from differ(key, content, wanted.encode())
        case "contains":
            yield from (f"{content!r} lacks {word!r}" for word in wanted if word.encode() not in content)
        case "nonempty":
            yield from differ("has bytes", bool(content), wanted)
        case "same_as_context" | "same_as_http":
            yield from differ(key, content, sources[wanted])
        case "mode":
            yield from differ(key, f"{node.mode:04o}", wanted)
        case "mtime":
            yield from differ(key, int(node.mtime), wanted)
        case "hardlink_of":
            yield from differ(key, tree.get(wanted.strip("/")), node)
        case _:
            yield from differ(key, getattr(node, key), wanted)


def config(expected: Expected, runtime: Expected) -> Iterator[str]:
    """Judge the keys of a config that are named; null is unset or empty."""
    for key, wanted in expected.items():
        name, _, how = key.partition("_")
        found = runtime.get(name)
        match how:
            case "contains":
                yield from (f"{name}: {found} lacks {word!r}" for word in wanted if word not in (found or []))
            case "has_key":
                keys = {word.partition("=")[0] for word in found or []}
                yield from (f"{name}: {found} lacks {word!r}" for word in wanted if word not in keys)
            case "nonempty":
                yield from differ(key, bool(found), wanted)
            case _:
                yield from differ(key, found or None, wanted or None)


def whole(expected: Expected, built: Built, base: Tree) -> Iterator[str]:
    """Judge a case that tells all that differs from its base, and the whole config."""
    image = opened(built.layout).images()[0]
    tree = image.tree()
    for path, said in expected["files"].items():
        yield from file(path, said, tree, {})
    changed = {path for path in tree if path and not _same(tree[path], base.get(path))}
    yield from (f"{path}: differs from the base: {tree[path]}" for path in sorted(changed - _paths(expected["files"])))
    removed = {path for path in base if path not in tree}
    yield from differ("removed", removed, _paths(expected["removed"]))
    yield from config({**dict.fromkeys(RUNTIME), **expected["config"]}, image.runtime)


def _paths(paths: Sequence[str]) -> set[str]:
    return {path.strip("/") for path in paths}


def _same(node: Node, other: Node | None) -> bool:
    if other is None:
        return False
    keys = ("type", "mode", "uid", "gid", "sha256", "target", "device", "xattrs")
    return all(getattr(node, key) == getattr(other, key) for key in keys)


def failure(expected: Expected, built: Built, *, exactly: bool) -> Iterator[str]:
    """Judge a build that has to fail.

    Args:
        expected: what the case says.
        built: how it ended.
        exactly: whether BuildKit's own words are wanted, or only the things that they name.
    """
    if built.ok:
        yield "it was built, but has to fail"
        return
    said = built.message
    wanted: list[str] = [*expected.get("error_contains", []), *filter(None, [expected.get("message")])]
    words = wanted if exactly else [thing for text in wanted for thing in named(text)]
    yield from (f"the message lacks {word!r}: {said}" for word in words if word not in said)
    pattern = expected.get("error_regex")
    if pattern and not re.search(pattern if exactly else r"nonexistent-file", said):
        yield f"the message does not match {pattern}: {said}"
    lines = expected.get("error_lines", [])
    if lines and not any(re.search(rf"(?i)(?:dockerfile:|line )(?:\d+-)?{line}\b", said) for line in lines):
        yield f"the message names none of the lines {lines}: {said}"


_THING = re.compile(
    r"'([\w$.-]+)'|\"([^\"]+)\"|<snapshot>\S*/([\w-]+)|(\b[A-Z]{3,}\b)|(--\w+)|(/notexist)|stage: (\w+)"
)


def named(message: str) -> list[str]:
    """Give the things that a message of BuildKit's names; its other words are its own."""
    found = [next(filter(None, match.groups())) for match in _THING.finditer(message)]
    return [thing.strip("/").rpartition("/")[2] if thing.startswith("/") else thing for thing in found]


def differ(what: str, found: object, wanted: object) -> Iterator[str]:
    """Complain where two values aren't equal."""
    if found != wanted:
        yield f"{what}: is {found!r}, should be {wanted!r}"
