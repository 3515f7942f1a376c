"""The small grammars of the command line and wherry.toml."""

import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import InvalidUsage
from wherry.platform import ALL, Platform
from wherry.settings.values import Added, check_user, check_workdir, parse_pair, parse_platforms, parse_ports


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("a:/b", Added("a", "/b")),
        ("a.yaml:/etc/app/", Added("a.yaml", "/etc/app/a.yaml")),
        ("dir/a.yaml:/", Added("dir/a.yaml", "/a.yaml")),
        ("a:/b:0600", Added("a", "/b", 0o600)),
        ("a:/b:755:1000", Added("a", "/b", 0o755, 1000, 1000)),
        ("a:/b:755:1000:100", Added("a", "/b", 0o755, 1000, 100)),
        ("a:/b::1000", Added("a", "/b", None, 1000, 1000)),
        ("c:d:/b", Added("c:d", "/b")),
    ],
)
def test_files_to_add(text, added):
    """File, path, mode and owner; a folder takes the file's name."""
    assert Added.parse(text) == added


@pytest.mark.parametrize(
    "text",
    ["", "a", "a:b", ":/b", "a:/../b", "a:/b/../c", "a://b", "a:/b:999", "a:/b:0644:x", "a:/b:0644:4294967295", "/:/"],
)
def test_files_that_lead_nowhere(text):
    """A path that leaves the image, a mode that is none."""
    with pytest.raises(InvalidUsage) as caught:
        Added.parse(text)

    assert caught.value.hint


@settings(max_examples=80)
@given(st.text(st.sampled_from("/.ab:0\0 "), max_size=12))
def test_an_added_file_stays_inside(text):
    """Whatever is asked for, the path is absolute and normal."""
    try:
        added = Added.parse("a:/" + text)
    except InvalidUsage:
        return
    assert posixpath.normpath(added.path) == added.path != "/"
    assert not added.path.startswith("//")
    assert ".." not in added.path.split("/")


@pytest.mark.parametrize(
    ("text", "ports"),
    [("80", ("80/tcp",)), ("53/UDP", ("53/udp",)), ("8000-8002/sctp", ("8000/sctp", "8001/sctp", "8002/sctp"))],
)
def test_ports(text, ports):
    """One, with protocol, or a range."""
    assert parse_ports(text) == ports


@pytest.mark.parametrize("text", ["", "0", "65536", "8002-8000", "http", "80/icmp", "-1", "٣"])
def test_what_is_no_port(text):
    """Out of range, backwards, a word."""
    with pytest.raises(InvalidUsage):
        parse_ports(text)


def test_platforms_with_commas_and_all():
    """Each once, in the order of an index."""
    assert parse_platforms(["linux/arm64, linux/amd64", "arm64"]) == (
        Platform("linux", "amd64"),
        Platform("linux", "arm64"),
    )
    assert parse_platforms(["all"]) == ALL
    with pytest.raises(InvalidUsage):
        parse_platforms(["linux/amd64,"])


@pytest.mark.parametrize(("text", "pair"), [("a=b=c", ("a", "b=c")), ("a=", ("a", ""))])
def test_pairs(text, pair):
    """The first = parts name and value."""
    assert parse_pair(text, "--label") == pair


@pytest.mark.parametrize("text", ["a", "=b", "", "a=\0"])
def test_what_is_no_pair(text):
    """The option that was wrong starts the message."""
    with pytest.raises(InvalidUsage) as caught:
        parse_pair(text, "--label")

    assert caught.value.message.startswith("--label: ")


@pytest.mark.parametrize("text", ["0", "65532:65532", "nonroot", "user@domain:grp.1"])
def test_users(text):
    """Ids and names."""
    assert check_user(text) == text


@pytest.mark.parametrize("text", ["", ":1", "a:", "a:b:c", "a b", "a\nb", "-1"])
def test_what_is_no_user(text):
    """Nothing that a config would carry into a container's start."""
    with pytest.raises(InvalidUsage):
        check_user(text)


@pytest.mark.parametrize(("text", "path"), [("/", "/"), ("/srv/", "/srv"), ("//a//b", "/a/b"), ("/a/./b", "/a/b")])
def test_working_directories(text, path):
    """In normal form."""
    assert check_workdir(text) == path


@pytest.mark.parametrize("text", ["srv", "", "/../etc", "/a/..", "/a\0"])
def test_what_is_no_working_directory(text):
    """Relative, or leading out."""
    with pytest.raises(InvalidUsage):
        check_workdir(text)
