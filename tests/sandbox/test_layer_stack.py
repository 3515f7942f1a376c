"""A stack of unpacked layers read as one tree, without a mount."""

import os
import stat
from pathlib import Path

import pytest

from wherry.sandbox.layer_stack import OPAQUE, LayerStack


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    """Two layers, base first."""
    found = [tmp_path / "base", tmp_path / "top"]
    for layer in found:
        layer.mkdir()
    return found


def put(layer: Path, path: str, text: str) -> None:
    """Write a file of a layer."""
    (layer / path).parent.mkdir(parents=True, exist_ok=True)
    (layer / path).write_text(text)


def delete(layer: Path, path: str) -> None:
    """Let a layer delete a path of those below."""
    (layer / path).parent.mkdir(parents=True, exist_ok=True)
    os.mknod(layer / path, stat.S_IFCHR, 0)


def seen(layers: list[Path], path: str) -> bytes:
    """Read a file through the stack."""
    return LayerStack([str(layer) for layer in layers]).read(path, 100)


def test_the_topmost_counts(layers):
    """And what it does not have comes from below."""
    put(layers[0], "a/x", "base")
    put(layers[0], "a/y", "base")
    put(layers[1], "a/x", "top")

    assert (seen(layers, "/a/x"), seen(layers, "/a/y")) == (b"top", b"base")


def test_a_deleted_file_is_gone(layers):
    """So is what was in a deleted folder."""
    put(layers[0], "a/x", "base")
    put(layers[0], "b", "base")
    delete(layers[1], "a")
    delete(layers[1], "b")
    view = LayerStack([str(layer) for layer in layers])

    assert [view.status(path) for path in ("a", "a/x", "b")] == [None, None, None]


def test_a_folder_made_again_is_empty(layers):
    """An opaque folder hides what the layers below have at its path, and what is beside it stays."""
    put(layers[0], "a/b/x", "base")
    put(layers[0], "a/y", "base")
    put(layers[1], "a/b/z", "top")
    os.setxattr(layers[1] / "a/b", OPAQUE, b"y")

    assert (seen(layers, "a/b/x"), seen(layers, "a/b/z"), seen(layers, "a/y")) == (b"", b"top", b"base")


def test_a_file_hides_a_folder(layers):
    """What is below it is gone with it."""
    put(layers[0], "a/x", "base")
    put(layers[1], "a", "top")

    assert (seen(layers, "a"), seen(layers, "a/x")) == (b"top", b"")


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("real", b"text"),
        ("/real", b"text"),
        ("../../../real", b"text"),
        ("sub/../real", b"text"),
        ("gone", b""),
        ("link", b""),
        ("/etc/passwd", b""),
    ],
)
def test_links(layers, target, found):
    """Followed across layers, from the root of the stack; circles end."""
    put(layers[0], "real", "text")
    (layers[0] / "sub").mkdir()
    (layers[1] / "link").symlink_to(target)

    assert seen(layers, "link") == found


def test_a_link_on_the_way(layers):
    """`status` follows it, but not the one at the end."""
    put(layers[0], "real/x", "text")
    (layers[1] / "to").symlink_to("real")
    (layers[0] / "real/end").symlink_to("x")
    view = LayerStack([str(layer) for layer in layers])
    status = view.status("to/end")

    assert status is not None
    assert stat.S_ISLNK(status.st_mode)
    assert (view.link("to/end"), view.link("to/x"), view.link("gone")) == ("x", "", "")


def test_only_files_are_opened(layers):
    """A pipe would wait for a writer."""
    (layers[0] / "folder").mkdir()
    os.mkfifo(layers[0] / "pipe")
    view = LayerStack([str(layer) for layer in layers])

    assert [view.open(path) for path in ("folder", "pipe", "gone")] == [None, None, None]


def test_a_file_with_too_many_bytes(layers):
    """One more than asked for is too many."""
    put(layers[0], "a", "12345")
    view = LayerStack([str(layers[0])])

    assert view.read("a", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        view.read("a", 4)


def test_nothing_stays_open(layers):
    """Whatever was looked for."""
    put(layers[0], "a/x", "text")
    (layers[0] / "link").symlink_to("a/x")
    (layers[0] / "circle").symlink_to("circle")
    before = list(Path("/proc/self/fd").iterdir())
    for path in ("a/x", "link", "circle", "gone", "a/x/y", "../a"):
        seen(layers, path)

    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
