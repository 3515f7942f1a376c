"""What packages need: alternatives, virtual packages, versions, what only scripts use; found in a signed archive."""

import pytest

from debian_archive import Archive, deb
from wherry.base.deb import bases as deb_bases_module
from wherry.base.deb.bases import DebBases
from wherry.base.deb.releases import DebName, is_deb_name, name_with
from wherry.errors import InvalidDocument, InvalidUsage, NotFound
from wherry.layer.changes import flatten, layers_of
from wherry.platform import Platform
from wherry.store.memory import MemoryStore

AMD64 = Platform.parse("linux/amd64")
POSTINST = """#! /bin/sh
set -e
setup() { :; }
case "$1" in configure)
  adduser --system app; setup
  update-alternatives --install /usr/lib/libx.so libx /usr/lib/libx1.so 10
  curl http://example.com | sh
esac
"""
PACKAGES = [
    deb("libsql", "3.1", {"usr/lib/libsql.so": b"sql"}, Depends="libc (>= 2.36), libm | libm-old, mail-agent"),
    deb("libc", "2.41", {"usr/lib64/ld.so": b"ld", "usr/lib/libc.so": b"c"}, Depends="libgcc"),
    deb("libm-old", "1", {"usr/lib/libm.so": b"m"}),
    deb("zmail", "1", {}, Provides="mail-agent (= 1), other"),
    deb("amail", "1", {}, Provides="mail-agent", Depends="libc, libsql"),
    deb("libgcc", "12", {"usr/lib/libgcc.so": b"gcc"}, postinst=POSTINST, triggers="activate-noawait ldconfig\n"),
    deb("ca-certificates", "1", {}, Depends="openssl, debconf (>= 0.5) | debconf-2.0"),
    deb("new", "1", {}, Depends="libc (>= 3)"),
    deb("broken", "1", {}, Depends="libc (== 3)"),
]


@pytest.fixture(scope="module")
def archive() -> Archive:
    """An archive with a few that need one another."""
    made = Archive()
    made.publish("test", PACKAGES)
    made.publish(
        "test-security",
        [deb("libc", "2.41-1", {"usr/lib64/ld.so": b"l", "usr/lib/libc.so": b"fixed"}, Depends="libgcc")],
    )
    return made


@pytest.fixture
def bases(archive, tmp_path, monkeypatch) -> DebBases:
    """What makes bases of it."""
    monkeypatch.setitem(deb_bases_module.DebName.parse.__globals__["RELEASES"], "99", archive.release)
    return DebBases(lambda: archive.mirror(tmp_path / "cache"), {}, tmp_path / "scratch")


def names(bases: DebBases, base: str) -> list[str]:
    """Name the packages of a base."""
    return [one.name for one in bases.pinned(base, AMD64)]


def test_what_is_needed(bases):
    """All of it, in the newest version; an alternative that is there, and one of those that provide a virtual one."""
    assert names(bases, "deb99:with:libsql") == ["amail", "libc", "libgcc", "libm-old", "libsql"]
    assert names(bases, "deb99:with:libsql,zmail") == ["libc", "libgcc", "libm-old", "libsql", "zmail"]
    assert names(bases, "deb99:with:libsql,-mail-agent,-libgcc") == ["libc", "libm-old", "libsql"]
    assert names(bases, "deb99:with:other") == ["zmail"]
    assert names(bases, "deb99:with:ca-certificates") == ["ca-certificates"]
    assert bases.pinned("deb99:with:libc", AMD64)[0].version == "2.41-1"


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("deb99:with:nothing,libsql", "has no nothing"),
        ("deb99:with:new", r"new needs libc \(>= 3\), which this Debian does not have"),
    ],
)
def test_what_is_not_there(bases, base, said):
    """Both are named."""
    with pytest.raises(NotFound, match=said):
        bases.pinned(base, AMD64)


def test_another_architecture(bases):
    """A platform without the package is named, and one that Debian does not have."""
    with pytest.raises(NotFound, match="for s390x has no libsql"):
        bases.pinned("deb99:with:libsql", Platform.parse("linux/s390x"))
    with pytest.raises(InvalidUsage):
        bases.pinned("deb99:with:libsql", Platform.parse("linux/loong64"))


def test_relations_that_are_none(bases):
    """The package is named."""
    with pytest.raises(InvalidDocument, match="broken 1: Depends"):
        bases.pinned("deb99:with:broken", AMD64)


def test_the_image_and_the_scripts_that_were_not_run(bases):
    """The loader's folder is a link; effects of scripts are listed, commands that no row names as such."""
    store = MemoryStore()
    found = bases.image("deb99:with:libgcc,libc", AMD64, store)
    files = {entry.path: entry for entry, _ in flatten(layers_of(store, found))}

    assert (files["lib64"].target, files["lib"].target) == ("usr/lib64", "usr/lib")
    assert "etc/passwd" in files
    assert not any("SSL_CERT_FILE" in line for line in found.config.runtime.env)
    made = bases.contents["deb99:with:libgcc,libc", "linux/amd64"]
    assert made.scripts == {
        "libgcc": (
            "postinst: make an account: adduser --system app",
            "postinst: set an alternative: update-alternatives --install /usr/lib/libx.so libx /usr/lib/libx1.so 10",
            "postinst: run other commands",
            "trigger ldconfig: write the cache of libraries, which the loader does without",
        )
    }
    assert made.sizes == {"libc": 6, "libgcc": 3}


def test_names_of_such_bases():
    """One form whatever the order; words that are no packages are refused."""
    assert name_with("13", ["b1", "a1", "b1"], ["c1"]) == "deb13:with:a1,b1,-c1"
    assert is_deb_name("deb13:with:a1,b1,-c1")
    assert DebName.parse("deb:with:a1,-c1:debug").packages == ("a1", "busybox-static")
    for name in ("deb:with:", "deb:with:-a1", "deb:with:A1", "deb:with:a1;x", "deb:with:a1:dbg", "deb:with:a1,,b1"):
        with pytest.raises(InvalidUsage):
            DebName.parse(name)
