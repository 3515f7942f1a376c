"""The comparison that the peers' tests rest on sees what there is to see."""

import os
from pathlib import Path

import pytest

from dockerfile.building import Request, Wherry
from peers.compare_images import compared

pytestmark = pytest.mark.slow


def image(folder: Path, dockerfile: str, content: str = "hello\n", mode: int = 0o644) -> Path:
    """Build an image of a context with a file, a link to it and another name of it."""
    context = folder / "context"
    context.mkdir(parents=True)
    (context / "file").write_text(content)
    (context / "file").chmod(mode)
    os.utime(context / "file", (1_700_000_000, 1_700_000_000))
    (context / "link").symlink_to("file")
    (folder / "Dockerfile").write_text(dockerfile)
    built = Wherry(folder / "wherry").build(
        Request(context=context, dockerfile=folder / "Dockerfile"), folder / "layout"
    )
    assert built.ok, built.message
    return built.layout


PLAIN = "FROM scratch\nCOPY . /d/\nENV A=1\n"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """What the others are compared with."""
    return image(tmp_path / "plain", PLAIN)


def test_the_same_twice(plain, tmp_path):
    """Built from the same files at another moment nothing differs."""
    assert list(compared(plain, image(tmp_path / "other", PLAIN), layers=True)) == []


@pytest.mark.parametrize(
    ("dockerfile", "content", "mode", "expected"),
    [
        (PLAIN, "hullo\n", 0o644, ["d/file: sha256", "d/file: content, byte 1: b'hello\\n' | b'hullo\\n'"]),
        (PLAIN, "hello\n", 0o755, ["d/file: mode 0644 | 0755"]),
        ("FROM scratch\nCOPY --chown=5:6 . /d/\nENV A=1\n", "hello\n", 0o644, ["d: uid 0 | 5", "d/link: gid 0 | 6"]),
        ("FROM scratch\nCOPY . /d/\nENV A=2\n", "hello\n", 0o644, ["config: Env: ", "history 1: created_by: 'ENV A=1"]),
        ("FROM scratch\nCOPY file /d/\nENV A=1\n", "hello\n", 0o644, ["d/link: symlink 0777 0:0 0 bytes → file | (n"]),
        ("FROM scratch\nCOPY . /d/\nCOPY file /\nENV A=1\n", "hello\n", 0o644, ["file: (nothing) | file", "layers: 1"]),
    ],
)
def test_what_differs(plain, tmp_path, dockerfile, content, mode, expected):
    """Each difference has a line, what the first image has on the left."""
    lines = list(compared(plain, image(tmp_path / "other", dockerfile, content, mode)))

    missing = [start for start in expected if not any(line.startswith(start) for line in lines)]
    assert missing == [], lines


def test_times_if_asked(plain, tmp_path):
    """Times count only where they are asked for."""
    other = image(tmp_path / "other", PLAIN)
    os.utime(tmp_path / "other" / "context" / "file", (1_700_000_007, 1_700_000_007))
    request = Request(context=tmp_path / "other" / "context", dockerfile=tmp_path / "other" / "Dockerfile")
    later = Wherry(tmp_path / "other" / "wherry").build(request, tmp_path / "later").layout

    assert list(compared(plain, other)) == list(compared(plain, later)) == []
    assert "d/file: mtime 1700000000 | 1700000007" in list(compared(plain, later, times=True))
