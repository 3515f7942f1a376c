"""Ten published programs, judged by govulncheck too: the same holes at each level, stripped or not."""

import json
import subprocess
from pathlib import Path

import pytest

from needs import data, need
from peers.published_programs import PROGRAMS, published
from wherry.analysis.mapped import map_file
from wherry.layer.decompress import decompress
from wherry.layer.tar import read_tar
from wherry.trust.holes import program_holes
from wherry.trust.known_holes import EvidenceLevel, ScanResult
from wherry.trust.osv_files import DatabaseFiles
from wherry.trust.programs import read_program

ORDER = list(EvidenceLevel)
PREFIX = "github.com/docker/docker-credential-helpers"
"""govulncheck 1.9 finds the module of a package by the longest path that the package's begins with, letter by letter
(a TODO in its internal/vulncheck/vulncheck.go): holes of docker/docker that name no packages come out as linked where
only this module is."""

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The Go vulnerability database: its index, and a directory as govulncheck wants it."""
    archive = data("go-vulndb-osv.tar.zst")
    folder = tmp_path_factory.mktemp("osv")
    with archive.open("rb") as file:
        chunks = decompress(iter(lambda: file.read(1 << 20), b""), "zstd")
        stream = _Stream(b"".join(chunks))
        for entry, body in read_tar(stream):
            if entry.path.endswith(".json"):
                (folder / Path(entry.path).name).write_bytes(body.read())
    return DatabaseFiles(archive, archive.name).index(), folder


class _Stream:
    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def read(self, size: int, /) -> bytes:
        part = self._content[self._at : self._at + size]
        self._at += len(part)
        return part


def theirs(program: Path, folder: Path) -> dict[EvidenceLevel, set[tuple[str, str]]]:
    """Ask govulncheck."""
    words = [need("govulncheck"), "-mode=binary", "-db", f"file://{folder}", "-format", "json", str(program)]
    text = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    found: dict[EvidenceLevel, set[tuple[str, str]]] = {level: set() for level in EvidenceLevel}
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        document, at = decoder.raw_decode(text, at + len(text[at:]) - len(text[at:].lstrip()))
        if "finding" in document:
            frame = document["finding"]["trace"][0]
            level = "symbol" if "function" in frame else "package" if "package" in frame else "module"
            found[EvidenceLevel(level)].add((document["finding"]["osv"], frame["module"]))
    return found


def ours(program: Path, index) -> ScanResult:
    """Ask wherry."""
    read = read_program(memoryview(map_file(program)).toreadonly(), program.name)
    assert read is not None
    return program_holes(read, index)


def by_level(result: ScanResult) -> dict[EvidenceLevel, set[tuple[str, str]]]:
    """Give the holes that have at least each level."""
    return {
        level: {(hole.id, hole.module) for hole in result.holes if ORDER.index(hole.level) >= ORDER.index(level)}
        for level in EvidenceLevel
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_holes(database, name):
    """With a symbol table govulncheck finds the same; without one we find what we found with it."""
    index, folder = database
    result = ours(published(name, stripped=False), index)
    expected = {level: {one for one in found if level is EvidenceLevel.MODULE or one[1] != PREFIX}
                for level, found in theirs(published(name, stripped=False), folder).items()}  # fmt: skip

    assert by_level(result) == expected
    assert by_level(ours(published(name, stripped=True), index)) == expected


def test_a_stripped_program(database):
    """Of 41 holes in required modules one is linked; govulncheck calls all 41 found."""
    index, folder = database
    counted = {level: len(found) for level, found in by_level(ours(published("mkcert", stripped=True), index)).items()}
    said = {level: len(found) for level, found in theirs(published("mkcert", stripped=True), folder).items()}

    assert list(counted.values()) == [41, 2, 1]
    assert list(said.values()) == [41, 41, 41]
