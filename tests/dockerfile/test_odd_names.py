"""Names of files are bytes: what is no UTF-8 is built as it is, and shown escaped."""

import os

import pytest

from dockerfile.theirs import build, contents

pytestmark = pytest.mark.slow
LATIN = os.fsdecode(b"caf\xe9.txt")


@pytest.mark.parametrize("words", [b"COPY . /in/", b"COPY caf* /in/", b"COPY caf\xe9.txt /in/caf\xe9.txt"])
def test_a_name_of_other_bytes(person, words: bytes):
    """Of a file, a folder, a link's target and a path in the Dockerfile itself; built twice, changed between."""
    folder = person.home / f"odd-{len(words)}"
    (folder / os.fsdecode(b"d\xe9")).mkdir(parents=True)
    (folder / os.fsdecode(b"d\xe9") / "inner").write_text("x")
    (folder / os.fsdecode(b"l\xe9")).symlink_to(os.fsdecode(b"t\xe9"))
    (folder / LATIN).write_text("one")
    (folder / "Dockerfile").write_bytes(b"FROM scratch\n" + words + b"\n")

    done = build(person, folder)
    assert done.returncode == 0, done.stderr
    assert "itself" not in done.stderr
    (folder / LATIN).write_text("other")
    listed = contents(person, folder, "--explain")

    assert f"in/{LATIN}" in listed
