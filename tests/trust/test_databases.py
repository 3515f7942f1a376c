"""Databases where people keep them, whole, damaged and hostile."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vulnerable import MODULE, entries, entry, write_archive, write_database
from wherry.errors import InvalidDocument, NotFound, WherryError
from wherry.trust.database import DatabaseBuilder, VulnerabilityIndex, joined_index
from wherry.trust.distribution import debian_packages
from wherry.trust.holes import debian_holes
from wherry.trust.osv import LARGEST, parse_entry
from wherry.trust.osv_files import DatabaseFiles
from wherry.trust.severity import cvss3

FORMS = ("flat", "mirror", "zip", "tar", "tar.gz", "tar.zst", "list.json")


def written(folder, form):
    """Write the made-up database in one of the forms."""
    documents = entries()
    if form == "flat":
        return write_database(folder / "osv")
    if form == "mirror":
        place = write_database(folder / "mirror" / "ID")
        for file in place.glob("*.json"):
            file.with_suffix(".json.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
        (folder / "mirror" / "index").mkdir()
        (folder / "mirror" / "index" / "db.json").write_text('{"modified": "2026-11-20T00:00:00Z"}')
        (folder / "mirror" / "index" / "modules.json").write_text('[{"path": "x", "vulns": [{"id": "GO-1"}]}]')
        return folder / "mirror"
    path = folder / f"db.{form}"
    if form == "list.json":
        path.write_text(json.dumps(documents))
    else:
        write_archive(path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path, form):
    """The same entries in each form, and back from an index."""
    files = DatabaseFiles(written(tmp_path, form), form)
    index = files.index()
    kept = VulnerabilityIndex.decode(index.encoded())

    assert kept is not None
    assert {one.id for one in kept.of("Go", MODULE)} == {
        str(one["id"]) for one in entries() if one["affected"][0]["package"]["name"] == MODULE
    }
    assert kept.entries == len(entries())
    assert files.digest.startswith("sha256:")
    assert files.modified == ("2026-11-20T00:00:00Z" if form == "mirror" else "")
    assert index.modified == "2026-11-01T00:00:00Z"


def test_severity_of_others(tmp_path):
    """A GitHub entry of the same hole lends its severity, and is not a hole of its own."""
    alias = entry("GHSA-1", aliases=["CVE-1-1"], database_specific={"severity": "HIGH"},
                  severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}])  # fmt: skip
    own = entry("GO-1", aliases=["CVE-1-1", "GHSA-1"], imports=[{"path": MODULE}])
    together = DatabaseFiles(write_database(tmp_path / "both", [own, alias]), "both").index()
    apart = joined_index([
        DatabaseFiles(write_database(tmp_path / name, [one]), name).index() for name, one in (("a", own), ("b", alias))
    ])  # fmt: skip

    for index in (together, apart):
        (found,) = index.of("Go", MODULE)
        assert (found.id, found.severity.level, found.severity.score) == ("GO-1", "high", 7.5)
        assert found.severity.source == "GHSA-1"


@pytest.mark.parametrize(("vector", "score"), [
    ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0), ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
    ("CVSS:3.0/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N", 2.5), ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
    ("CVSS:3.1/AV:N", None), ("CVSS:4.0/AV:N/AC:L", None), ("", None),
])  # fmt: skip
def test_scores(vector, score):
    """Base scores as FIRST's calculator gives them."""
    assert cvss3(vector) == score


@pytest.mark.parametrize(("content", "words"), [
    (b'{"id": "GO-1", "affected": ' + b"[" * 100_000, "not an OSV entry"), (b'{"id": 3}', "not an OSV entry"),
    (b'{"id": "GO-1", "affected": [{"package": []}]}', "not an OSV entry"),
    (b'{"id": "", "aliases": []}', "not an OSV"),
    (b'{"id": "GO-1", "summary": "' + b"x" * 20_000 + b'"}', "not an OSV entry"), (b"\xff\xfe\x00", "not an OSV entry"),
    (b'{"id": "GO-1"' + b" " * LARGEST + b"}", "bytes; an OSV entry may have"),
    (b'{"id": "GO-1", "affected": [{"ecosystem_specific": {"imports": [{"symbols": ["F"' + b',"G"' * 100_000
     + b"]}]}}]}", "more than 100000"),
    (b'{"id": "GO-1", "affected": [{}' + b",{}" * 100_000 + b"]}", "more than 100000"),
])  # fmt: skip
def test_hostile_entries(content, words):
    """Each is an error that says what is wrong, soon."""
    with pytest.raises(InvalidDocument) as caught:
        parse_entry(content, "it")
    assert words in caught.value.message


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes(content):
    """No bytes stop the reader in another way."""
    try:
        parse_entry(content, "it")
    except InvalidDocument:
        return


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tar.zst", "list.json"])
def test_cut_short(tmp_path, form):
    """A truncated archive is an error, and never a smaller database."""
    path = written(tmp_path, form)
    path.write_bytes(path.read_bytes()[:-600] if form == "tar" else path.read_bytes()[: path.stat().st_size * 2 // 3])
    if form == "tar":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])

    with pytest.raises(WherryError) as caught:
        DatabaseFiles(path, "db").index()
    assert caught.value.exit_code == 65


def test_a_large_file(tmp_path):
    """An entry of 100 MB is refused by its size, before it is read."""
    folder = write_database(tmp_path / "osv")
    with (folder / "GO-9.json").open("wb") as file:
        file.truncate(100 << 20)
    with pytest.raises(InvalidDocument) as caught:
        DatabaseFiles(folder, "osv").index()

    assert "GO-9.json" in caught.value.message


def test_a_bomb(tmp_path):
    """A small file that is large once it is decompressed is refused."""
    folder = write_database(tmp_path / "osv")
    (folder / "GO-9.json.gz").write_bytes(gzip.compress(bytes(LARGEST + 1)))
    with pytest.raises(InvalidDocument):
        DatabaseFiles(folder, "osv").index()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x y", "http://plain", "https://a\nb", ""])
def test_links_of_entries(url):
    """What is no plain https address becomes the entry's page of osv.dev: readers show it as a link."""
    builder = DatabaseBuilder()
    content = json.dumps(entry("GO-1 <x>", database_specific={"url": url})).encode()
    builder.add(parse_entry(content, "it"))

    assert builder.finish().of("Go", MODULE)[0].url == "https://osv.dev/vulnerability/GO-1%20%3Cx%3E"


def test_links_are_not_followed(tmp_path):
    """A link in a circle, or out of the directory, is passed over."""
    folder = write_database(tmp_path / "osv")
    (folder / "again").symlink_to(folder)
    (folder / "out.json").symlink_to("/etc/hostname")

    assert DatabaseFiles(folder, "osv").index().entries == len(entries())


def test_no_entries(tmp_path):
    """JSON that is not OSV is passed over; nothing else there is an error."""
    (tmp_path / "package.json").write_text('{"name": "x"}')
    with pytest.raises(NotFound):
        DatabaseFiles(tmp_path, "osv").index()


def test_aliases_in_a_circle():
    """Entries that name one another are taken once, whichever comes first."""
    builder = DatabaseBuilder()
    for name, other in (("GHSA-1", "GHSA-2"), ("GHSA-2", "GHSA-1"), ("GHSA-3", "GHSA-3")):
        builder.add(parse_entry(json.dumps(entry(name, aliases=[other], imports=[])).encode(), "it"))

    assert [one.id for one in builder.finish().of("Go", MODULE)] == ["GHSA-1", "GHSA-3"]


def test_a_damaged_index():
    """Other bytes are no index."""
    assert VulnerabilityIndex.decode(b"\xff\x00") is None
    assert VulnerabilityIndex.decode(b"") is None


STATUS = b"""Package: libssl3
Status: install ok installed
Source: openssl
Version: 3.0.9-1

Package: gone
Status: deinstall ok config-files
Version: 1.0

Package: tzdata
Version: 2025b-1
Status: install ok installed
"""


def test_debian_packages(tmp_path):
    """Packages are looked for by their source; without data for the release that is said."""
    files = {"var/lib/dpkg/status": STATUS, "etc/os-release": b'ID=debian\nVERSION_ID="12"\n'}
    packages = debian_packages(files)
    assert packages is not None
    assert [one.source for one in packages.installed] == ["openssl", "tzdata"]

    hole = {
        "id": "DSA-1", "modified": "2026-11-01T00:00:00Z", "upstream": ["CVE-2"], "affected": [{
            "package": {"name": "openssl", "ecosystem": "Debian:12"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.11-1~deb12u2"}]}],
        }],
    }  # fmt: skip
    index = DatabaseFiles(write_database(tmp_path / "osv", [hole]), "osv").index()
    (found,) = debian_holes(packages, index).holes
    assert (found.id, found.module, found.fixed) == ("DSA-1", "openssl", "3.0.11-1~deb12u2")
    assert "CVE-2" in found.aliases
    none = DatabaseFiles(write_database(tmp_path / "go"), "go").index()
    assert debian_holes(packages, none).unknown


def test_distroless_packages():
    """One file a package, as distroless has it; sums next to them are none."""
    files = {"var/lib/dpkg/status.d/tzdata": b"Package: tzdata\nVersion: 1\n\n", "etc/os-release": b"ID=debian\n"}
    packages = debian_packages(files)

    assert packages is not None
    assert [one.name for one in packages.installed] == ["tzdata"]
    assert debian_packages({"etc/os-release": b"ID=alpine\n", "var/lib/dpkg/status": STATUS}) is None
