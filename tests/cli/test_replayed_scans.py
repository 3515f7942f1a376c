"""A scan is replayed while its image, database and ignore file are as they were, and never longer."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from built_images import file, put_layers
from cli_shell import Shell
from vulnerable import entries, entry, program, write_database
from wherry.cli import replay
from wherry.cli.replay_scan import _due

pytestmark = pytest.mark.slow
ONE = [one for one in entries() if one["id"] == "GO-1-FUNCTION"]
RULE = '[[ignore]]\nid = "{}"\nreason = "for a test"\nuntil = {}\n'
IMAGE = ("scan", "app:dev", "--db", "osv", "--ignore", "ignore.toml", "--json")
PROGRAM = ("scan", "app", "--db", "osv", "--json")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A store with an image, a program beside it, a database and an ignore file; each is settled."""
    made = Shell(tmp_path)
    content = program("-trimpath", "-ldflags=-s -w").read_bytes()
    (tmp_path / "app").write_bytes(content)
    (tmp_path / "app").chmod(0o755)
    made.store.tag("app:dev", put_layers(made.store, [[file("app", content, 0o755)]]))
    write_database(tmp_path / "osv", ONE)
    made.write("ignore.toml", RULE.format("GO-0", "2999-01-01"))
    time.sleep(0.1)
    return made


def called(shell: Shell, words: tuple[str, ...], code: int = 0) -> tuple[dict, bool]:
    """Call wherry as a program; give the document, and whether it was replayed: then click is not loaded."""
    environment = {**shell.environment, "PYTHONPROFILEIMPORTTIME": "1"}
    argv = [sys.executable, "-m", "wherry", *words]
    done = subprocess.run(argv, check=False, cwd=shell.root, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout), " click\n" not in done.stderr


def ids(document: dict) -> list[str]:
    """Name what was found."""
    return [one["id"] for one in document["findings"]]


def replayed(shell: Shell, words: tuple[str, ...]) -> dict:
    """Call until it is replayed: the first call indexes the database, the second is kept, the third is replayed."""
    for _ in range(2):
        time.sleep(0.1)
        first, _ = called(shell, words)
    again, quick = called(shell, words)
    assert quick
    age = again["database"].pop("ageSeconds") - first["database"].pop("ageSeconds")
    assert 0 <= age < 60
    assert again == first
    return again


def _entry_changed(root: Path) -> None:
    write_database(root / "osv", [{**ONE[0], "summary": "another text"}])


def _entry_added(root: Path) -> None:
    write_database(root / "osv", [entry("GO-9")])


def _ignored(root: Path) -> None:
    (root / "ignore.toml").write_text(RULE.format("GO-1-FUNCTION", "2999-01-01"))


CHANGES: dict[str, tuple[Callable[[Path], None], tuple[str, ...], list[str]]] = {
    "an entry": (_entry_changed, IMAGE, ["GO-1-FUNCTION"]),
    "one more entry": (_entry_added, PROGRAM, ["GO-1-FUNCTION", "GO-9"]),
    "the ignore file": (_ignored, IMAGE, []),
    "the program": (lambda root: os.utime(root / "app", (1, 1)), PROGRAM, ["GO-1-FUNCTION"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_read_again(shell: Shell, name: str):
    """Only the age of the database goes on in a replay; any change of what was read ends it."""
    change, words, expected = CHANGES[name]
    assert ids(replayed(shell, words)) == ["GO-1-FUNCTION"]
    change(shell.root)
    document, quick = called(shell, words)

    assert not quick
    assert sorted(ids(document)) == expected


def test_another_image_of_the_same_name(shell: Shell):
    """A tag that was moved, and one of an image with the same program: it is not read again."""
    replayed(shell, IMAGE)
    shell.store.tag("app:dev", put_layers(shell.store, [[file("b", b"\x7fELF" + bytes(8000), 0o755)]]))
    document, quick = called(shell, IMAGE)

    assert not quick
    assert ids(document) == []
    assert document["otherPrograms"] == 1


def test_a_gate_that_fails_is_not_replayed(shell: Shell):
    """A replay always ends with 0, so only such a call is kept."""
    for _ in range(3):
        assert not called(shell, (*PROGRAM, "--fail-on", "symbol"), code=1)[1]
    assert not list((shell.root / "cache").glob(f"{replay.FOLDER}/*"))


def test_until_when_it_holds():
    """Days of the database's age end an answer, and so does the day of an ignored finding; the first one counts."""
    now = datetime(2026, 11, 29, 10, 30, tzinfo=UTC).timestamp()
    since = now - timedelta(days=3, hours=20).total_seconds()

    assert _due(now, 0, expires=False) == 0
    assert _due(now, 0, expires=True) == datetime(2026, 11, 30, tzinfo=UTC).timestamp()
    assert _due(now, since, expires=True) == datetime(2026, 11, 29, 14, 30, tzinfo=UTC).timestamp()
