"""Which files a COPY takes, of small folders."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wherry.sandbox.launcher.select_files import (
    Choice,
    NotCopyable,
    SourceRoot,
    check_required,
    has_wildcard,
    join,
    walk,
)
from wherry.sandbox.spec import CopySpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small context."""
    for name in ("a.md", "b.go", "docs/a.md", "docs/deep/c.md", "src/main.go", "src/[x].go", "zz"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "to-docs").symlink_to("/docs")
    (tmp_path / "out").symlink_to("../../../../etc")
    return tmp_path


@pytest.fixture
def tops(folder: Path) -> Iterator[SourceRoot]:
    """The same, open."""
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield SourceRoot(root)
    os.close(root)


def copy(path: str, **values: Any) -> CopySpec:
    """Take one path, as a plain COPY does."""
    standard: dict[str, Any] = {
        "action": "copy",
        "origin": {"kind": "folder", "folder": "", "layers": [], "left_out": []},
        "path": path,
        "destination": "/",
        "contents": True,
        "follow": True,
        "wildcards": True,
        "only": [],
        "but": [],
        "required": [],
        "mode": "",
        "owner": None,
        "mtime": -1,
    }
    return CopySpec(**standard | values)  # type: ignore[typeddict-item]


def taken(tops: SourceRoot, top: str = "", only: list[str] | None = None, but: list[str] | None = None) -> list[str]:
    """Name what a copy takes, in order."""
    return [below for _, below, _ in walk(tops, top, Choice(only or [], but or []))]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("*.md", ["a.md"]),
        ("docs/*", ["docs/a.md", "docs/deep"]),
        ("*/*.md", ["docs/a.md"]),
        ("docs/deep/../a.md", ["docs/deep/../a.md"]),
        ("/./a.md", ["a.md"]),
        ("src/[ab]*", []),
        ("src/\\[x].go", ["src/\\[x].go"]),
        ("?.go", ["b.go"]),
        ("nothing*", []),
        ("missing", ["missing"]),
        ("to-docs/*.md", ["docs/a.md"]),
        ("a.md/*", []),
    ],
)
def test_paths_with_wildcards(tops, path, found):
    """A plain path is given as it is written, be it there or not; links on the way stay inside."""
    assert tops.matching(copy(path)) == found


def test_a_link_out_of_the_context_finds_nothing_of_the_host(tops):
    """/etc is looked for in the context, where it is missing."""
    with pytest.raises(NotCopyable) as caught:
        tops.matching(copy("out/*"))

    assert caught.value.filename == "/etc"


def test_wildcards_can_be_names(tops):
    """Where no pattern is meant, the file of that name is."""
    assert tops.matching(copy("src/[x].go", wildcards=False)) == ["src/[x].go"]


def test_all_of_a_folder(tops):
    """In order, each folder before what is in it."""
    assert taken(tops, "docs") == ["", "a.md", "deep", "deep/c.md"]


def test_one_file(tops):
    """It is all that is taken."""
    assert taken(tops, "a.md") == [""]


@pytest.mark.parametrize(
    ("only", "but", "found"),
    [
        ([], ["docs", "src", "empty", "out", "to-docs"], ["", "a.md", "b.go", "zz"]),
        ([], ["**/*.go", "docs", "empty", "out", "to-docs"], ["", "a.md", "src", "zz"]),
        ([], ["*", "!docs/deep"], ["", "docs/deep", "docs/deep/c.md"]),
        (["docs/**/*.md"], [], ["", "docs/a.md", "docs/deep/c.md"]),
        (["docs"], ["docs/deep"], ["", "docs", "docs/a.md"]),
    ],
)
def test_patterns(tops, only, but, found):
    """What is left out as a whole is not entered, unless an exception may bring some of it back."""
    assert taken(tops, "", only, but) == found


def test_a_folder_that_is_left_out_is_not_read(folder):
    """It may have very many files."""
    read: list[str] = []
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    list(walk(SourceRoot(root, note=lambda path, _: read.append(path)), "", Choice([], ["docs"])))
    os.close(root)

    assert "docs" in read
    assert not any(path.startswith("docs/") for path in read)


def test_nothing_there(tops):
    """The path is named as the user knows it."""
    with pytest.raises(NotCopyable) as caught:
        taken(tops, "missing")

    assert caught.value.filename == "/missing"


class TestLeftOut:
    """What .dockerignore hides is not there for any path."""

    @pytest.fixture
    def hidden(self, folder: Path) -> Iterator[SourceRoot]:
        """A context without its docs."""
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        yield SourceRoot(root, frozenset({"docs"}))
        os.close(root)

    @pytest.mark.parametrize("path", ["docs", "docs/a.md", "docs/deep/c.md"])
    def test_it_and_what_is_in_it(self, hidden, path):
        """Though the disk has it."""
        assert hidden.status(path) is None

    def test_what_begins_like_it_is_there(self, folder, hidden):
        """A name is more than its first letters."""
        (folder / "docs2").write_text("")

        assert hidden.status("docs2") is not None

    def test_it_is_in_no_list(self, hidden):
        """Nor does a wildcard find it."""
        assert "docs" not in dict(hidden.inside(""))
        assert hidden.matching(copy("*/*.md")) == []

    def test_a_link_does_not_reach_it(self, hidden):
        """A way around the file would be a leak."""
        assert hidden.status(hidden.real("to-docs/a.md", last=True)) is None


@pytest.mark.parametrize(
    ("path", "last", "real"),
    [
        ("to-docs/a.md", True, "docs/a.md"),
        ("to-docs", True, "docs"),
        ("to-docs", False, "to-docs"),
        ("out/passwd", True, "etc/passwd"),
        ("../../a.md", True, "a.md"),
    ],
)
def test_links_stay_inside(tops, path, last, real):
    """The root of the context is the root of the links."""
    assert tops.real(path, last=last) == real


def test_what_is_required_is_there(tops):
    """COPY --parents of a plain path."""
    check_required(tops, copy("/", required=["/docs/a.md"]))


@pytest.mark.parametrize(
    ("required", "but"), [("/docs/gone", []), ("/docs/a.md", ["docs"]), ("/docs/a.md", ["**/*.md"])]
)
def test_what_is_required_is_missing_or_left_out(tops, required, but):
    """Nothing would be copied, without a word."""
    with pytest.raises(NotCopyable):
        check_required(tops, copy("/", required=[required], but=but))


@pytest.mark.parametrize(
    ("text", "wild"),
    [("a", False), ("a*", True), ("a?b", True), ("[a", True), (r"a\*", False), (r"\\*", True), ("\\", False)],
)
def test_wildcards(text, wild):
    """A backslash takes the meaning of what follows it."""
    assert has_wildcard(text) == wild


def test_joining():
    """The top has no name."""
    assert (join("", "a"), join("a", "b")) == ("a", "a/b")
