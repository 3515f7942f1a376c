"""Builds on a store and a cache that a disk or a stranger damaged: each ends well, with the image it would be."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from needs import need
from wherry.store.contract import children
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow
Build = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture(params=["module", "Dockerfile"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    """Build a small image in a world of its own, store and cache below it."""
    folder = tmp_path / "source"
    folder.mkdir()
    words = ["build", "-t", "api:v1"]
    if request.param == "module":
        need("go")
        (folder / "go.mod").write_text("module example.com/api\n\ngo 1.21\n")
        (folder / "main.go").write_text("package main\n\nfunc main() {}\n")
    else:
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
        (folder / "file").write_text("hello\n" * 100)
        words += ["-f", "Dockerfile", "."]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "WHERRY"))}
    kept["SOURCE_DATE_EPOCH"] = "1700000000"
    environment = {**kept, "WHERRY_STORE": str(tmp_path / "store"), "WHERRY_CACHE": str(tmp_path / "cache")}

    def call() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "wherry.cli", *words]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return call


def test_every_blob_is_healed(build: Build, tmp_path: Path):
    """Each of the right size and with other bytes; the line names the image, and nothing is wrong afterwards."""
    first = build()
    assert first.returncode == 0, first.stderr
    store = DiskStore(tmp_path / "store")
    root = store.resolve("api:v1")

    for blob in (root, *children(root, store)):
        path = Path(store.path_of(blob.digest))
        right = path.read_bytes()
        path.write_bytes(right[:-8] + bytes(byte ^ 1 for byte in right[-8:]))
        again = build()
        assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr
        assert path.read_bytes() == right
        assert f"{blob.digest.short}: damaged" in again.stderr
        assert "api:v1" in again.stderr
    assert list(DiskStore(tmp_path / "store").verify()) == []


@pytest.mark.parametrize("harm", ["overwritten", "cut", "emptied", "made a folder"])
def test_any_file_of_the_cache_may_be_damaged(build: Build, tmp_path: Path, harm: str):
    """Results, hashes, replays and records of trees, all at once: the build that follows gives the same image."""
    first = build()
    assert build().returncode == 0
    cache = tmp_path / "cache"
    for path in [path for path in cache.rglob("*") if path.is_file() and path.relative_to(cache).parts[0] != "trees"]:
        content = path.read_bytes()
        match harm:
            case "overwritten":
                path.write_bytes(b"\xa5" * len(content))
            case "cut":
                path.write_bytes(content[: len(content) // 2])
            case "emptied":
                path.write_bytes(b"")
            case _:
                path.unlink()
                path.mkdir()

    again = build()
    assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr
    assert build().stdout == first.stdout


@pytest.mark.parametrize("harm", ["overwritten", "cut", "emptied"])
def test_records_of_trees_may_be_damaged(build: Build, tmp_path: Path, harm: str):
    """Of the layers that are unpacked."""
    first = build()
    for path in (tmp_path / "cache").glob("trees/**/*.json"):
        size = path.stat().st_size
        path.write_bytes({"overwritten": b"\xa5" * size, "cut": b"{", "emptied": b""}[harm])
    shutil.rmtree(tmp_path / "store")

    again = build()
    assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr
