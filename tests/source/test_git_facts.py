"""A repository without files answers as the checkout that it was made of."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wherry.host.process import SystemRunner
from wherry.source.git_facts import write_facts
from wherry.source.vcs import Vcs, read_details, read_vcs

WHO = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *words: str) -> None:
    """Call git."""
    subprocess.run(["git", *WHO, *words], cwd=folder, check=True, capture_output=True, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkout with a tag in its past, a remote with a password, and a folder."""
    top = tmp_path_factory.mktemp("origin")
    git(top, "init", "-q", "-b", "trunk")
    (top / "a").mkdir()
    (top / "a" / "main.go").write_text("package main\n")
    (top / "b").write_text("b")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "one")
    git(top, "tag", "-a", "v1.0.0", "-m", "first")
    (top / "b").write_text("c")
    git(top, "commit", "-q", "-a", "-m", "two")
    git(top, "remote", "add", "origin", "https://me:secret@git.example/a.git")
    return top


@pytest.mark.parametrize("state", ["clean", "modified", "detached", "shallow"])
def test_it_answers_the_same(origin: Path, tmp_path: Path, state: str) -> None:
    """Revision, branch, tag, distance, time, remote and whether anything differs; with one file of all."""
    top = tmp_path / "top"
    if state == "shallow":
        git(tmp_path, "clone", "-q", "--depth=1", f"file://{origin}", str(top))
    else:
        shutil.copytree(origin, top)
    if state == "modified":
        (top / "new").write_text("new")
    if state == "detached":
        git(top, "checkout", "-q", "--detach")
    there = tmp_path / "there"
    (there / "a").mkdir(parents=True)
    shutil.copy(top / "a" / "main.go", there / "a" / "main.go")
    runner = SystemRunner()
    found = read_vcs(top, runner, ENVIRONMENT)
    assert isinstance(found, Vcs)

    write_facts(found, there / ".git", runner, ENVIRONMENT)

    again = read_vcs(there, runner, ENVIRONMENT)
    assert isinstance(again, Vcs)
    assert (again.revision, again.branch, again.modified) == (found.revision, found.branch, state == "modified")
    assert read_details(again, runner, ENVIRONMENT) == read_details(found, runner, ENVIRONMENT)
    assert "secret" not in (there / ".git" / "config").read_text()
    if state == "clean":
        shown = subprocess.run(["git", "cat-file", "--batch-check", "--batch-all-objects"], cwd=there, check=True,
                               capture_output=True, text=True, env=ENVIRONMENT).stdout  # fmt: skip
        assert " blob " not in shown


def test_the_same_commit_gives_the_same_bytes(origin: Path, tmp_path: Path) -> None:
    """So that a registry has it once."""
    found = read_vcs(origin, SystemRunner(), ENVIRONMENT)
    assert isinstance(found, Vcs)
    for name in ("a", "b"):
        write_facts(found, tmp_path / name, SystemRunner(), ENVIRONMENT)
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("a", "b")
    )
    assert one == other
