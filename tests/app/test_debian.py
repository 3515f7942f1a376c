"""Which archive is asked, and what wherry.lock keeps of packages."""

import json
import tomllib

import pytest

from cli_shell import Shell
from wherry.app.debian import debian_archives, read_deb_pins
from wherry.app.lockfile import read_lock_file, write_lock
from wherry.base.deb.mirror import PinnedDeb
from wherry.errors import InvalidSettings, InvalidUsage

SOURCES = """\
# a comment
Types: deb
URIs: https://mirror.example/pub/debian/
Suites: trixie

Types: deb
URIs: https://mirror.example/security/debian-security
Suites: trixie-security
"""
PIN = PinnedDeb(name="libc6", version="1:2.41-12", architecture="amd64", path="pool/x.deb", sha256="a" * 64, size=7)


def test_apt_names_the_archive(tmp_path):
    """Both forms of apt's sources; the environment goes first; a mirror's security archive is next to it."""
    with pytest.raises(InvalidUsage, match=r"no mirror"):
        debian_archives({}, tmp_path)
    (tmp_path / "sources.list").write_text(
        "# deb http://no/debian x\ndeb [arch=amd64] http://old.example/debian trixie main\n"
    )
    assert debian_archives({}, tmp_path) == ("http://old.example/debian", "http://old.example/debian-security")
    (tmp_path / "sources.list").unlink()
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(SOURCES)
    assert debian_archives({}, tmp_path) == (
        "https://mirror.example/pub/debian/", "https://mirror.example/security/debian-security",
    )  # fmt: skip
    assert debian_archives({"WHERRY_DEBIAN_MIRROR": "http://m/debian"}, tmp_path)[1] == "http://m/debian-security"


def test_a_lock_keeps_packages(tmp_path):
    """What is written is read; images and packages stand in one file."""
    pins = {"deb:base": {"amd64": (PIN, PinnedDeb(**{**_fields(PIN), "name": "zlib1g", "security": True}))}}
    write_lock(tmp_path / "wherry.lock", {"localhost:1/a:b": "sha256:" + "b" * 64}, pins)

    found = read_lock_file(tmp_path / "wherry.lock")
    assert found.debs == pins
    assert list(found.digests) == ["localhost:1/a:b"]
    assert tomllib.loads((tmp_path / "wherry.lock").read_text())["version"] == 1


@pytest.mark.parametrize("tables", [3, {"deb:base": 1}, {"deb:base": {"amd64": {"libc6": {"version": "1"}}}}])
def test_a_lock_that_is_none(tables):
    """The file is named."""
    with pytest.raises(InvalidSettings, match=r"wherry\.lock: \[debian\]"):
        read_deb_pins(tables, "wherry.lock")


def test_base_list_needs_no_network(tmp_path):
    """Names and packages; programs also read which Debian is out of support."""
    wherry = Shell(tmp_path)
    lines = wherry("base", "list")

    assert any(line.startswith("deb13:static ") and "tzdata-legacy" in line for line in lines)
    assert wherry.err == ""
    (document,) = map(json.loads, wherry("base", "list", "--json"))
    warned = {base["name"] for base in document["bases"] if base["warning"]}
    assert "deb12:static" in warned
    assert not any(name.startswith("deb13:") for name in warned)
    wherry.module()
    wherry("base", "build", code=64)
    wherry("base", "build", "static", code=64)
    wherry("build", "--base", "static", "--debian", "12", code=64)


def _fields(pin: PinnedDeb) -> dict[str, object]:
    return {name: getattr(pin, name) for name in pin.__struct_fields__}


@pytest.mark.parametrize("base", ["deb:with:", "deb:with:,", "deb:with:-libc6", "deb:nosuch", "deb:static:nosuch"])
def test_bases_that_are_none(tmp_path, base):
    """It is the base that is wrong, not the image that would be named after it."""
    wherry = Shell(tmp_path)

    wherry("base", "build", base, code=64)
    assert wherry.err.startswith("error: base deb")
