"""An archive that lies in each way: what was not signed, replayed, expired, cut, changed is refused, and named."""

import hashlib
import lzma

import pysequoia
import pytest

from debian_archive import Archive, date_of, deb
from wherry.base.deb.releases import RELEASES, DebName, is_deb_name
from wherry.base.deb.signature import BadRelease, signed_text
from wherry.errors import InvalidUsage, NotFound, WherryError

ROOT = "http://a/debian/dists/test"


@pytest.fixture
def archive() -> Archive:
    """Two suites: an old version, and the security archive's newer one."""
    made = Archive()
    made.publish("test", [deb("libx", "1.9-1", {"usr/lib/x": b"old"}), deb("data", "1", {"usr/d": b"d"}, "all")])
    made.publish("test-security", [deb("libx", "1.10-1", {"usr/lib/x": b"new"})], Valid_Until=date_of(days=-1))
    return made


def test_the_newest_of_all_suites(archive, tmp_path):
    """Versions are compared as dpkg does; a package of every architecture is found in each index."""
    mirror = archive.mirror(tmp_path)
    found = mirror.pinned(archive.release, ["libx", "data"], "amd64")

    assert [(one.name, one.version, one.architecture, one.security) for one in found] == [
        ("data", "1", "all", False), ("libx", "1.10-1", "amd64", True),
    ]  # fmt: skip
    assert hashlib.sha256(mirror.package(found[1]).read_bytes()).hexdigest() == found[1].sha256


def test_offline_and_asked_once(archive, tmp_path):
    """A second build asks for releases only; offline, nothing is asked, and what is missing is named."""
    wanted = archive.mirror(tmp_path).pinned(archive.release, ["libx"], "amd64")
    archive.mirror(tmp_path).package(wanted[0])
    archive.asked.clear()

    assert archive.mirror(tmp_path).pinned(archive.release, ["libx"], "amd64") == wanted
    assert [url.rpartition("/")[2] for url in archive.asked] == ["InRelease"] * 2
    archive.files.clear()
    offline = archive.mirror(tmp_path, offline=True)
    assert offline.pinned(archive.release, ["libx"], "amd64") == wanted
    assert offline.package(wanted[0]).is_file()
    with pytest.raises(NotFound):
        archive.mirror(tmp_path / "empty", offline=True).release_digests(archive.release)


def test_a_mirror_without_names_by_hash(archive, tmp_path):
    """The index by its own name is as good: its digest is what was signed."""
    index = next(url for url in archive.files if "by-hash" in url and "/test/" in url)
    archive.files[f"{ROOT}/main/binary-amd64/Packages.xz"] = archive.files.pop(index)

    assert archive.mirror(tmp_path).pinned(archive.release, ["data"], "amd64")[0].version == "1"


def test_a_damaged_cache_is_not_believed(archive, tmp_path):
    """A package that was changed on disk is fetched again."""
    mirror = archive.mirror(tmp_path)
    (wanted,) = mirror.pinned(archive.release, ["libx"], "amd64")
    place = mirror.package(wanted)
    place.write_bytes(bytes(place.stat().st_size))

    assert hashlib.sha256(mirror.package(wanted).read_bytes()).hexdigest() == wanted.sha256


def test_what_is_not_there(archive, tmp_path):
    """A package that no suite has, an architecture without an index, a file that the mirror dropped."""
    mirror = archive.mirror(tmp_path)
    with pytest.raises(NotFound, match=r"no nothing for amd64"):
        mirror.pinned(archive.release, ["nothing"], "amd64")
    with pytest.raises(NotFound, match="no libx for s390x"):
        mirror.pinned(archive.release, ["libx"], "s390x")
    (wanted,) = mirror.pinned(archive.release, ["libx"], "amd64")
    archive.files = {url: content for url, content in archive.files.items() if "pool" not in url}
    with pytest.raises(NotFound, match=r"libx 1\.10-1: the mirror has no pool/"):
        mirror.package(wanted)


def _forged(archive: Archive) -> None:
    archive.files[f"{ROOT}/InRelease"] = archive.files[f"{ROOT}/InRelease"].replace(
        b"Codename: test", b"Codename: tesT"
    )


def _foreign(archive: Archive) -> None:
    text = "Codename: test\nDate: " + date_of(days=0) + "\n"
    archive.files[f"{ROOT}/InRelease"] = archive.signed(text, pysequoia.Tsk.generate("Somebody"))


def _unsigned(archive: Archive) -> None:
    archive.files[f"{ROOT}/InRelease"] = b"Codename: test\nDate: Sat, 21 Nov 2026 09:15:44 UTC\n"


def _other_suite(archive: Archive) -> None:
    archive.files[f"{ROOT}/InRelease"] = archive.signed("Codename: sid\nDate: " + date_of(days=0) + "\n")


def _expired(archive: Archive) -> None:
    archive.publish("test", [], Valid_Until=date_of(hours=1))


def _cut(archive: Archive) -> None:
    archive.files[f"{ROOT}/InRelease"] = archive.files[f"{ROOT}/InRelease"][:-200]


def _empty(archive: Archive) -> None:
    archive.files[f"{ROOT}/InRelease"] = b""


@pytest.mark.parametrize("harm", [_forged, _foreign, _unsigned, _other_suite, _expired, _cut, _empty])
def test_releases_that_are_refused(archive, tmp_path, harm):
    """Each with the file's name; nothing is kept of it."""
    harm(archive)
    with pytest.raises(BadRelease, match="dists/test/InRelease"):
        archive.mirror(tmp_path).release_digests(archive.release)

    assert not list(tmp_path.rglob("InRelease"))


def test_a_replayed_release(archive, tmp_path):
    """One that was right once is refused after a newer one was seen; the same one is not."""
    old = archive.files[f"{ROOT}/InRelease"]
    archive.mirror(tmp_path).release_digests(archive.release)
    archive.publish("test", [], Date=date_of(hours=1))
    archive.mirror(tmp_path).release_digests(archive.release)
    archive.mirror(tmp_path).release_digests(archive.release)
    archive.files[f"{ROOT}/InRelease"] = old

    with pytest.raises(BadRelease, match="older than the one seen before"):
        archive.mirror(tmp_path).release_digests(archive.release)


def test_text_around_the_signature_is_left_out(archive):
    """What stands before and after the signed part is no part of the release."""
    signed = archive.files[f"{ROOT}/InRelease"]
    text = signed_text(
        b"Codename: evil\n\n" + signed + b"\nCodename: evil\n", archive.release.suites[0].keys, "f", bytes(archive.key)
    )

    assert "evil" not in text


def test_an_index_and_a_package_that_were_changed(archive, tmp_path):
    """Both are compared with what was signed, and not kept."""
    index = next(url for url in archive.files if "by-hash" in url and "/test/" in url)
    right = archive.files[index]
    archive.files[index] = lzma.compress(b"Package: libx\nVersion: 9\n")
    with pytest.raises(BadRelease, match=r"what Debian signed is"):
        archive.mirror(tmp_path).pinned(archive.release, ["libx"], "amd64")
    archive.files[index] = right
    mirror = archive.mirror(tmp_path)
    (wanted,) = mirror.pinned(archive.release, ["libx"], "amd64")
    package = next(url for url in archive.files if url.endswith(wanted.path) and "security" in url)
    archive.files[package] = archive.files[package][:-1] + b"!"
    with pytest.raises(BadRelease, match=r"what Debian signed is"):
        mirror.package(wanted)

    assert not list((tmp_path / "packages").rglob(wanted.sha256))


def test_names():
    """A base's name has a set and a variant; what has a slash is a registry's."""
    assert DebName.parse("deb:static") == DebName.parse("deb13:static:nonroot")
    assert DebName.parse("deb12:cc:debug").packages[-1] == "busybox-static"
    assert is_deb_name("deb99:x")
    assert not any(map(is_deb_name, ("deb", "debian:12", "deb:5000/x", "static")))
    for name in ("deb99:static", "deb:none", "deb:static:dbg"):
        with pytest.raises(InvalidUsage):
            DebName.parse(name)


def test_the_pinned_keys_are_those_of_the_keyring():
    """Each fingerprint that a suite names is a certificate of the package data, and each certificate is named."""
    from importlib.resources import files

    keyring = (files("wherry") / "base/data/debian-keys.pgp").read_bytes()
    named = {key for release in RELEASES.values() for suite in release.suites for key in suite.keys}

    assert {one.fingerprint.lower() for one in pysequoia.Cert.split_bytes(keyring)} == named


def test_debians_own_signature_is_needed():
    """A key of ours is none of Debian's."""
    with pytest.raises(WherryError):
        signed_text(Archive().signed("x: y\n"), RELEASES["13"].suites[0].keys, "f")
