"""Stacked layers make one file system: whiteouts, kinds that change, links across layers."""

import io
import json
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import contents, file, folder, hard, link, opener, reread
from needs import corpus
from wherry.layer.changes import OPAQUE, FileTree, flatten, hidden_by, is_bookkeeping, packable
from wherry.layer.entry import Entry, EntryKind
from wherry.layer.header import InvalidArchive
from wherry.layer.tar import read_tar, write_tar


def flat(*layers: list[Entry]) -> dict[str, object]:
    """Flatten, without the folders."""
    found = contents(flatten([opener(*layer) for layer in layers]))
    return {path: seen for path, seen in found.items() if seen is not EntryKind.FOLDER}


CASES = {
    "a later layer counts": ([[file("a", b"1")], [file("a", b"2")]], {"a": b"2"}),
    "a whiteout hides": ([[file("d/a", b"1"), file("d/b", b"1")], [file("d/.wh.a")]], {"d/b": b"1"}),
    "a whiteout hides a folder whole": ([[file("d/e/a", b"1"), file("b", b"1")], [file(".wh.d")]], {"b": b"1"}),
    "a whiteout leaves its own layer alone": (
        [[file("d/a", b"1"), file("d/b", b"1")], [file("d/a", b"2"), file("d/c", b"2"), file(".wh.d")]],
        {"d/a": b"2", "d/c": b"2"},
    ),
    "opaque hides what is in it": ([[file("d/a", b"1")], [file(f"d/{OPAQUE}"), file("d/b", b"2")]], {"d/b": b"2"}),
    "opaque comes last": ([[file("d/a", b"1")], [file("d/b", b"2"), file(f"d/{OPAQUE}")]], {"d/b": b"2"}),
    "opaque at the root": ([[file("a", b"1"), file("d/b", b"1")], [file(OPAQUE), file("c", b"2")]], {"c": b"2"}),
    "a whiteout of nothing": ([[file("a", b"1")], [file(".wh.b"), file("x/y/.wh.z")]], {"a": b"1"}),
    "what was hidden comes back": ([[file("a", b"1")], [file(".wh.a")], [file("a", b"3")]], {"a": b"3"}),
    "AUFS's notes mean nothing": ([[file(".wh..wh.plnk/1.2"), file(".wh..wh.aufs"), file("a", b"1")]], {"a": b"1"}),
    "a folder becomes a file": ([[file("d/a", b"1")], [file("d", b"2")]], {"d": b"2"}),
    "a file becomes a folder": ([[file("d", b"1")], [folder("d"), file("d/a", b"2")]], {"d/a": b"2"}),
    "a file becomes a folder unsaid": ([[file("d", b"1")], [file("d/a", b"2")]], {"d/a": b"2"}),
    "a link becomes a folder": (
        [[file("r/a", b"1"), link("d", "r")], [folder("d"), file("d/b", b"2")]],
        {"r/a": b"1", "d/b": b"2"},
    ),
    "links on the way are followed": (
        [[folder("usr/lib"), link("lib", "usr/lib")], [file("lib/x", b"2")]],
        {"lib": "-> usr/lib", "usr/lib/x": b"2"},
    ),
    "absolute links stay inside": (
        [[folder("usr/lib"), link("l", "/usr/../../usr/lib")], [file("l/x", b"2")]],
        {"l": "-> /usr/../../usr/lib", "usr/lib/x": b"2"},
    ),
    "whiteouts go through links": (
        [[file("usr/lib/x", b"1"), link("lib", "usr/lib")], [file("lib/.wh.x")]],
        {"lib": "-> usr/lib"},
    ),
    "hard links": ([[file("a", b"1"), hard("b", "a")]], {"a": b"1", "b": "== a"}),
    "a hard link outlives its first name": ([[file("a", b"1"), hard("b", "a")], [file(".wh.a")]], {"b": b"1"}),
    "a hard link keeps what it linked": (
        [[file("a", b"1"), hard("b", "a")], [file("a", b"2")]],
        {"a": b"2", "b": b"1"},
    ),
    "a hard link to a lower layer": ([[file("z", b"1")], [hard("b", "z")]], {"b": b"1", "z": "== b"}),
    "a hard link to a link": ([[link("l", "x"), hard("m", "l")]], {"l": "-> x", "m": "== l"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_flatten(case):
    """The name of each case says it."""
    layers, expected = CASES[case]

    assert flat(*layers) == expected


def test_folders_keep_their_last_word():
    """Mode and owner of a folder are the last layer's; its files stay."""
    layers = [[folder("d", mode=0o700), file("d/a")], [folder("d", mode=0o1777, uid=5)], [folder("", mode=0o711)]]
    found = {entry.path: entry for entry, _ in flatten([opener(*layer) for layer in layers])}

    assert list(found) == ["", "d", "d/a"]
    assert (found["d"].mode, found["d"].uid, found[""].mode) == (0o1777, 5, 0o711)


@pytest.mark.parametrize(
    "layers",
    [
        [[hard("a", "gone")]],
        [[folder("d"), hard("a", "d")]],
        [[link("a", "b"), link("b", "a"), file("a/x")]],
        [[file("d/.wh...")]],
        [[file(".wh.")]],
        [[file(".wh..")]],
        [[link("a", "/".join(["d"] * 401)), file("a/x")]],
    ],
)
def test_refused(layers):
    """Links to nothing, links in circles, whiteouts of no name, a depth beyond sense."""
    with pytest.raises(InvalidArchive) as caught:
        flat(*layers)

    assert caught.value.name.startswith("layer 1")


def test_whiteouts_are_told():
    """A name tells what it hides."""
    hidden = hidden_by(file("a/.wh.b"))
    inside = hidden_by(file(f"a/{OPAQUE}"))

    assert (hidden.path, hidden.whole) == ("a/b", True)
    assert (inside.path, inside.whole) == ("a", False)
    assert hidden_by(file("a/.whb")) is None
    assert is_bookkeeping(file(".wh..wh.plnk/9"))


TREE = FileTree()
TREE.apply([
    file("usr/lib64/ld.so"), link("lib64", "usr/lib64"), link("abs", "/usr/lib64"), link("up", "../../usr"),
    link("file", "lib64/ld.so"), link("dangling", "nowhere"), link("loop", "loop"),
])  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/usr/lib64/ld.so", "/lib64/ld.so", "/abs/ld.so", "/up/lib64/ld.so", "/usr/../lib64/./ld.so", "file"]
)
def test_a_path_that_is_there(path):
    """Links are followed as in a container: relative, absolute, upwards and never out."""
    assert TREE.find(path) is TREE.find("usr/lib64/ld.so") is not None
    assert TREE.has(path)


@pytest.mark.parametrize(
    "path", ["/usr/lib64/other", "/lib64/ld.so/x", "/dangling", "/loop", "/loop/x", "usr/bin/../lib64"]
)
def test_a_path_that_is_not(path):
    """A link to nothing is nothing, nor is one to itself."""
    assert not TREE.has(path)


def test_the_root_is_there():
    """However it is written."""
    assert TREE.find("/") is TREE.find("") is TREE.find("/usr/..") is TREE.root


_names = st.sampled_from(["a", "b", "c", "a/a", "a/b", "b/a", "b/b/a", "a/b/c"])
_marks = st.sampled_from([".wh.a", ".wh.b", "a/.wh.a", "a/.wh.b", "b/.wh.b", f"a/{OPAQUE}", f"b/{OPAQUE}", OPAQUE])
_some = st.builds(file, _names, st.binary(min_size=1, max_size=3)) | st.builds(folder, _names) | st.builds(file, _marks)
_layers = st.lists(st.lists(_some, max_size=6, unique_by=lambda entry: entry.path), max_size=4)


def _naive(layers: list[list[Entry]]) -> dict[str, object]:
    """The same by the words of the spec, over a dict of paths: first what a layer hides, then what it has."""
    seen: dict[str, object] = {}
    for layer in layers:
        for entry in layer:
            if hidden := hidden_by(entry):
                below = f"{hidden.path}/" if hidden.path else ""
                gone = [path for path in seen if path.startswith(below) or (hidden.whole and path == hidden.path)]
                for path in gone:
                    del seen[path]
        for entry in layer:
            if hidden_by(entry):
                continue
            parts = entry.path.split("/")
            for depth in range(1, len(parts)):
                seen.pop("/".join(parts[:depth]), None)
            if entry.kind is EntryKind.FILE:
                seen = {path: what for path, what in seen.items() if not path.startswith(f"{entry.path}/")}
                seen[entry.path] = entry.content.blob
            else:
                seen.pop(entry.path, None)
    return seen


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(_layers)
def test_against_the_words_of_the_spec(layers):
    """Random layers give the files that a slow and plain reading of the spec gives."""
    assert flat(*layers) == _naive(layers)


@settings(max_examples=50, deadline=None)
@given(_layers)
def test_flattening_again_changes_nothing(layers):
    """A flattened stack, written as one layer, flattens to itself."""
    once = io.BytesIO()
    write_tar(packable(flatten([opener(*layer) for layer in layers])), once.write)
    twice = io.BytesIO()
    write_tar(packable(flatten([lambda: io.BytesIO(once.getvalue())])), twice.write)

    assert once.getvalue() == twice.getvalue()
    assert all(path in reread(once.getvalue()) for path in flat(*layers))


def test_the_corpus_images():
    """An image that other tools were tested with has the files that they found."""
    with tarfile.open(corpus("dive_images/test-docker-image.tar")) as image:
        manifest = json.load(image.extractfile("manifest.json"))
        archives = [image.extractfile(name).read() for name in manifest[0]["Layers"]]
    found = contents(flatten([lambda archive=archive: io.BytesIO(archive) for archive in archives]))
    everything = {entry.path for archive in archives for entry, _ in read_tar(io.BytesIO(archive))}

    assert {path for path in everything if ".wh." not in path} >= set(found)
    assert found["root/saved.txt"]
    assert "root/example/somefile3.txt" not in found
