"""The files a container sees, against the image-spec's rules applied by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from built_images import file, folder
from wherry.analysis.tree import visible_files
from wherry.layer.changes import FileTree
from wherry.layer.entry import Entry, EntryKind
from wherry.layer.tar import DEEPEST

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
HIDERS = st.builds(lambda path: "/".join([*path.split("/")[:-1], ".wh." + path.split("/")[-1]]), PATHS)
OPAQUES = PATHS.map(lambda path: f"{path}/.wh..wh..opq")
ENTRIES = (
    st.builds(lambda path, size: file(path, b"x" * size), PATHS, st.integers(1, 9))
    | PATHS.map(folder)
    | HIDERS.map(file)
    | OPAQUES.map(file)
)


def seen(*layers: list[Entry]) -> dict[str, tuple[int, int]]:
    """Give size and layer of each file after all layers."""
    tree = FileTree()
    for layer in layers:
        tree.apply(layer)
    return {one.path: (one.size, one.layer) for one in visible_files(tree)}


def expected(layers: list[list[Entry]]) -> dict[str, tuple[int, int]]:
    """Apply the rules plainly: first all whiteouts to what lower layers left, then the layer's own entries."""
    kept: dict[str, tuple[int, int] | None] = {}
    for place, layer in enumerate(layers):
        for entry in layer:
            parent, _, name = f"/{entry.path}".rpartition("/")
            if name == ".wh..wh..opq":
                kept = {path: one for path, one in kept.items() if not path.startswith(f"{parent}/")}
            elif name.startswith(".wh."):
                gone = f"{parent}/{name.removeprefix('.wh.')}"
                kept = {path: one for path, one in kept.items() if path != gone and not path.startswith(f"{gone}/")}
        for entry in layer:
            path = f"/{entry.path}"
            if ".wh." in path:
                continue
            for above in _folders(path, including=entry.kind is EntryKind.FOLDER):
                if kept.get(above) is not None:
                    del kept[above]
                kept.setdefault(above, None)
            if entry.kind is EntryKind.FILE:
                kept = {one: known for one, known in kept.items() if not one.startswith(f"{path}/")}
                kept[path] = (entry.size, place)
    return {path: one for path, one in kept.items() if one}


def _folders(path: str, *, including: bool) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(2, len(parts) + including)]


def test_later_layers_win():
    """A path of a later layer takes the place of an earlier one."""
    assert seen([file("a", b"12"), file("b", b"1")], [file("a", b"123")]) == {"/a": (3, 1), "/b": (1, 0)}


def test_whiteouts_hide_what_is_below():
    """A file, a whole folder, and a folder that the same layer fills again."""
    base = [file("a/x", b"1"), file("a/y/z", b"1"), file("b", b"1")]

    assert seen(base, [file(".wh.b")]) == {"/a/x": (1, 0), "/a/y/z": (1, 0)}
    assert seen(base, [file(".wh.a")]) == {"/b": (1, 0)}
    assert seen(base, [file("a/new", b"1"), file(".wh.a")]) == {"/a/new": (1, 1), "/b": (1, 0)}
    assert seen(base, [file("a/.wh..wh..opq"), file("a/new", b"1")]) == {"/a/new": (1, 1), "/b": (1, 0)}
    assert seen(base, [file(".wh.b"), file("b", b"22")])["/b"] == (2, 1)


def test_a_whiteout_of_nothing():
    """Hiding what is not there is no error, and hides nothing of its own layer."""
    assert seen([file(".wh.a"), file("a", b"1"), file(".wh.a")]) == {"/a": (1, 0)}


def test_folders_and_files_change_places():
    """A file where a folder was, and the other way about."""
    assert seen([file("a/x", b"1")], [file("a", b"1")]) == {"/a": (1, 1)}
    assert seen([file("a", b"1")], [file("a/x", b"1")]) == {"/a/x": (1, 1)}


@pytest.mark.parametrize("kind", [EntryKind.SYMLINK, EntryKind.CHAR, EntryKind.FIFO])
def test_what_has_no_bytes_is_no_file(kind):
    """Links and devices are not listed; they hide what was there."""
    assert seen([file("a", b"1")], [Entry(path="a", kind=kind, target="b")]) == {}


def test_hard_links_count_once():
    """A second name has no bytes of its own."""
    link = Entry(path="b", kind=EntryKind.HARDLINK, target="a")

    assert seen([file("a", b"12"), link]) == {"/a": (2, 0), "/b": (0, 0)}


def test_deep_paths():
    """As deep as paths may be."""
    deep = "/".join(["d"] * (DEEPEST - 1))

    assert seen([file(f"{deep}/f", b"1")], [file(".wh.d")]) == {}
    assert seen([file(f"{deep}/f", b"1")]) == {f"/{deep}/f": (1, 0)}


def test_through_a_link():
    """A path that leads through a link of a lower layer is where the link leads."""
    base = [folder("usr/lib"), Entry(path="lib", kind=EntryKind.SYMLINK, target="usr/lib")]

    assert seen(base, [file("lib/x", b"1")]) == {"/usr/lib/x": (1, 1)}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(ENTRIES, max_size=6, unique_by=lambda entry: entry.path), max_size=4))
def test_agrees_with_the_rules(layers):
    """Any layers over each other show what the rules say."""
    assert seen(*layers) == expected(layers)
