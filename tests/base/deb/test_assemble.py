"""Packages to entries: what a base has, what is left out, and the same bytes each time."""

import pytest

from debian_archive import Archive, deb
from wherry.base.certificates import own_certificates
from wherry.base.deb import bases as deb_bases_module
from wherry.base.deb.assemble import assemble
from wherry.base.deb.bases import DebBases
from wherry.base.deb.releases import DebianRelease
from wherry.base.settings import DEFAULTS, Account, BaseSettings
from wherry.errors import InvalidDocument, WherryError
from wherry.layer.changes import flatten, layers_of
from wherry.platform import Platform
from wherry.store.memory import MemoryStore

AMD64 = Platform.parse("linux/amd64")
BUSYBOX = b"\x7fELF..[\0[[\0ash\0busybox\0sh\0\0more"
PACKAGES = {
    "base-files": {"bin": "usr/bin", "etc/": b"", "usr/bin/": b"", "etc/debian_version": b"13.8\n"},
    "ca-certificates": {
        "usr/share/ca-certificates/mozilla/b.crt": b"B\n", "usr/share/ca-certificates/mozilla/a.crt": b"A",
        "usr/share/doc/ca-certificates/copyright": b"free", "usr/share/doc/ca-certificates/NEWS": b"12345",
        "usr/share/man/man8/x.8": b"123",
    },
    "busybox-static": {"bin/busybox": BUSYBOX},
}  # fmt: skip


@pytest.fixture
def archive(monkeypatch) -> Archive:
    """An archive, and a release that has a base of its packages."""
    made = Archive()
    made.publish("test", [deb(name, "1", files) for name, files in PACKAGES.items()])
    made.publish("test-security", [])
    made.release = DebianRelease("99", made.release.suites, {"static": ("base-files", "ca-certificates")})
    monkeypatch.setitem(deb_bases_module.DebName.parse.__globals__["RELEASES"], "99", made.release)
    return made


def image(archive: Archive, folder, name: str = "deb99:static", settings: BaseSettings = DEFAULTS):
    """Make a base; give its image and its files with their bytes."""
    store = MemoryStore()
    said: list[str] = []
    made = DebBases(lambda: archive.mirror(folder / "cache"), {}, folder / "scratch", said=said.append)
    found = made.image(name, AMD64, store, settings)
    files = {entry.path: (entry, body.read(1 << 20)) for entry, body in flatten(layers_of(store, found))}
    assert not list((folder / "scratch").iterdir())
    return found, files, said


def test_what_a_base_has(archive, tmp_path):
    """One file of certificates, accounts, what scanners read, copyright; no docs, no times, no scripts."""
    found, files, said = image(archive, tmp_path)

    assert files["etc/ssl/certs/ca-certificates.crt"][1] == b"A\nB\n"
    assert files["etc/nsswitch.conf"][1].startswith(b"passwd: files\n")
    assert files["var/lib/dpkg/status.d/base-files"][1].startswith(b"Package: base-files\n")
    assert {"usr/share/doc/ca-certificates/copyright", "etc/debian_version", "home/nonroot"} <= set(files)
    assert not any("man8" in path or "NEWS" in path or "postinst" in path for path in files)
    assert {entry.mtime for entry, _ in files.values()} == {0}
    assert found.config.runtime.user == "65532"
    assert said[-1] == "base deb99:static linux/amd64: left out certificates 0.0 MB, docs 0.0 MB"
    assert "base deb99:static linux/amd64: base-files 1 (1 of 2)" in said


def test_the_same_bytes(archive, tmp_path):
    """Whatever folder and cache."""
    first, again = (image(archive, tmp_path / name)[0] for name in ("a", "b"))

    assert first.descriptor == again.descriptor


def test_docs_that_stay_and_certificates_that_are_chosen(archive, tmp_path):
    """Both are asked for; what is set is in the content that keys are made of, and read back from there."""
    roots = own_certificates()
    settings = BaseSettings(
        keep=("docs",), roots=(roots[3].fingerprint,), users=(Account.parse("app:10001:10002:/srv/app"),)
    )
    _, files, _ = image(archive, tmp_path, settings=settings)

    assert files["usr/share/doc/ca-certificates/NEWS"][1] == b"12345"
    assert files["etc/ssl/certs/ca-certificates.crt"][1] == roots[3].pem
    assert b"app:x:10001:10002::/srv/app:/sbin/nologin\n" in files["etc/passwd"][1]
    assert files["etc/group"][1].endswith(b"app:x:10002:\n")
    assert (files["srv/app"][0].uid, files["srv/app"][0].mode) == (10001, 0o700)
    assert BaseSettings.of({"form": "1", **settings.content()}) == settings


def test_debug_has_a_shell(archive, tmp_path):
    """A busybox with a link for each applet, in front of a merged /usr."""
    found, files, _ = image(archive, tmp_path, "deb99:static:debug")

    assert files["busybox/busybox"][1] == BUSYBOX
    assert [(path, entry.target) for path, (entry, _) in files.items() if entry.target == "busybox"] == [
        ("busybox/[", "busybox"), ("busybox/[[", "busybox"), ("busybox/ash", "busybox"), ("busybox/sh", "busybox"),
    ]  # fmt: skip
    assert found.config.runtime.entrypoint == ("/busybox/sh",)


def test_merged_usr(archive, tmp_path):
    """A file below a folder that is a link is put where the link leads."""
    (tmp_path / "a").write_bytes(deb("a", "1", {"bin": "usr/bin", "bin/tool": b"x"}))

    paths = [entry.path for entry in assemble([("a", tmp_path / "a")], (), tmp_path / "spool").entries]

    assert "usr/bin/tool" in paths
    assert "bin/tool" not in paths


@pytest.mark.parametrize("cut", [0, 70, 300, -40])
def test_damaged_packages(tmp_path, cut):
    """Each is named; a digest would have caught it before."""
    (tmp_path / "a").write_bytes(deb("a", "1", {"x": bytes(2000)})[:cut])

    with pytest.raises(WherryError, match=r"^a"):
        assemble([("a", tmp_path / "a")], (), tmp_path / "spool")


def test_a_package_that_climbs(tmp_path):
    """`..` in a name is refused."""
    (tmp_path / "a").write_bytes(deb("a", "1", {"../../x": b"1"}))

    with pytest.raises(WherryError) as caught:
        assemble([("a", tmp_path / "a")], (), tmp_path / "spool")

    assert isinstance(caught.value, InvalidDocument) or ".." in caught.value.message
