"""A context: what a COPY takes of it, as a key, and what the ignore file leaves out."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wherry.build.context import LocalContext
from wherry.errors import WherryError
from wherry.sandbox.spec import CopySpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small context."""
    for name in ("go.mod", "main.go", "docs/a.md", "docs/keep/b.md", "vendor/x/y.go"):
        path = tmp_path / "context" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "context/link").symlink_to("main.go")
    return tmp_path / "context"


def copy(path: str = "/", **values: Any) -> CopySpec:
    """Take one path, as a plain COPY does."""
    standard: dict[str, Any] = {
        "action": "copy",
        "origin": {"kind": "folder", "folder": "", "layers": [], "left_out": []},
        "path": path,
        "destination": "/to/",
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


def key(folder: Path, *copies: CopySpec, patterns: tuple[str, ...] = ()) -> str:
    """Give the content key of copies, looked at afresh."""
    return LocalContext(folder, patterns).take(copies or [copy()]).digest


def test_a_checkout_elsewhere_has_the_same_key(folder, tmp_path):
    """Neither times nor the folder's own name count, nor the order in which the disk lists it."""
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(folder.rglob("*"), reverse=True):
        made = other / path.relative_to(folder)
        made.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            made.symlink_to(path.readlink())
        elif path.is_file():
            made.write_bytes(path.read_bytes())
            os.utime(made, (1, 1))

    assert key(other) == key(folder)


CHANGES = {
    "bytes": lambda folder: (folder / "main.go").write_text("MAIN.GO"),
    "mode": lambda folder: (folder / "main.go").chmod(0o755),
    "name": lambda folder: (folder / "main.go").rename(folder / "other.go"),
    "new": lambda folder: (folder / "empty").mkdir(),
    "target": lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("go.mod")),
    "kind": lambda folder: ((folder / "link").unlink(), (folder / "link").write_text("main.go")),
    "gone": lambda folder: (folder / "docs/a.md").unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_change_is_another_key(folder, what):
    """All that an image would show."""
    before = key(folder)
    CHANGES[what](folder)

    assert key(folder) != before


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_not_taken_does_not_count(folder, what):
    """COPY go.mod alone: no other file is a reason."""
    before = key(folder, copy("go.mod"))
    CHANGES[what](folder)

    assert key(folder, copy("go.mod")) == before


def test_what_is_asked_counts(folder):
    """Where it goes, which paths, in which order."""
    one, other = copy("go.mod"), copy("main.go")
    keys = {
        key(folder, one),
        key(folder, other),
        key(folder, one, other),
        key(folder, other, one),
        key(folder, copy("go.mod", destination="/else/")),
        key(folder, copy("go.m*d"), copy("none*")),
    }

    assert len(keys) == 5  # a wildcard that gives the same file is the same


def test_files_are_named_for_explain(folder):
    """By path; lists of dependencies are kept whole."""
    taken = LocalContext(folder).take([copy()])

    assert {name for name in taken.files if name.endswith((".go", ".mod"))} == {"go.mod", "main.go", "vendor/x/y.go"}
    assert {name: zlib.decompress(text) for name, text in taken.texts.items()} == {"go.mod": b"go.mod"}


def test_a_name_that_is_no_text(folder):
    """It is shown in hexadecimal, and counts."""
    before = key(folder)
    (folder / "\udcff").touch()

    assert "\\xff" in LocalContext(folder).take([copy()]).files
    assert key(folder) != before


class TestIgnore:
    """The ignore file."""

    @pytest.mark.parametrize(
        ("patterns", "left_out"),
        [
            ((), []),
            (("docs",), ["docs"]),
            (("docs", "vendor/x"), ["docs", "vendor/x"]),
            (("docs", "!docs/keep"), ["docs/a.md"]),
            (("**/*.go",), ["main.go", "vendor/x/y.go"]),
            (("*", "!go.mod"), ["docs", "link", "main.go", "vendor"]),
            (("none",), []),
        ],
    )
    def test_the_topmost_paths(self, folder, patterns, left_out):
        """A folder as a whole, unless an exception brings some of it back."""
        assert sorted(LocalContext(folder, patterns).left_out) == left_out

    def test_it_is_in_no_key(self, folder):
        """Whatever happens to it."""
        before = key(folder, patterns=("docs",))
        (folder / "docs/a.md").write_text("changed")

        assert key(folder, patterns=("docs",)) == before

    def test_asked_for_by_name_it_is_missing(self, folder):
        """The hint says that the ignore file did it, and only then."""
        with pytest.raises(WherryError) as ignored:
            LocalContext(folder, ("docs",)).take([copy("docs/a.md")])
        with pytest.raises(WherryError) as missing:
            LocalContext(folder, ("docs",)).take([copy("gone")])

        assert "ignore file" in ignored.value.hint
        assert "ignore file" not in missing.value.hint
        assert '"/gone"' in missing.value.message

    def test_a_wildcard_passes_it_over(self, folder):
        """No error, and nothing of it."""
        found = LocalContext(folder, ("main.go",)).matching(copy("*.go"))

        assert list(found) == []


def test_a_second_look_costs_nothing(folder):
    """Two platforms of one build ask for the same."""
    context = LocalContext(folder)
    context.take([copy()])
    looked = context.looked_at
    context.take([copy()])

    assert (looked, context.looked_at) == (11, 11)


@pytest.fixture
def large(folder: Path) -> Iterator[Path]:
    """Two files that are hashed on several threads."""
    for name in ("one", "two"):
        (folder / name).write_bytes(name.encode() * (1 << 19))
    return folder


def test_large_files_are_told_apart(large):
    """Each thread's hash is of its own file."""
    found = LocalContext(large, threads=4).take([copy("one"), copy("two")]).files
    other = LocalContext(large, threads=1).take([copy("one"), copy("two")]).files

    assert found == other
    assert found["one"] != found["two"]


def test_hashes_of_old_files_outlive_the_build(folder, tmp_path):
    """The memory is a file; without it, the key is the same."""
    memory = tmp_path / "memory"
    first = LocalContext(folder, memory=memory)
    digest = first.take([copy()]).digest
    first.remember()
    second = LocalContext(folder, memory=memory)

    assert any(file.stat().st_size for file in tmp_path.glob("memory*"))
    assert second.take([copy()]).digest == digest == key(folder)
    second.remember()
