"""Addresses of repositories: read, refused, and shown without credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidUsage
from wherry.source.git_address import GitAddress, is_ref, without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@host/x", "https://xxxxx:xxxxx@host/x"),
        ("https://secret@host/x", "https://xxxxx@host/x"),
        ("https://me:se:cr@et@host/x", "https://xxxxx:xxxxx@host/x"),
        ("https://a@me:secret@host", "https://xxxxx:xxxxx@host"),
        ("two: http://a:b@c and ftp://d:e@f.", "two: http://xxxxx:xxxxx@c and ftp://xxxxx:xxxxx@f."),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("ssh://git:secret@host/x", "ssh://git:xxxxx@host/x"),
        ("git@host:x", "git@host:x"),
        ("https://host/a@b", "https://host/a@b"),
        ("https://host?a@b", "https://host?a@b"),
        ('"https://host","a@b"', '"https://host","a@b"'),
    ],
)
def test_shown(text, shown):
    """As BuildKit shows them."""
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    ("text", "remote", "host", "rest"),
    [
        ("https://host/x.git", "https://host/x.git", "host", ("", "", "", "")),
        (
            "https://me:p%40@host:8443/x.git#v1:sub/dir/",
            "https://host:8443/x.git",
            "host:8443",
            ("v1", "sub/dir", "", "me:p@"),
        ),
        ("https://host/x.git?tag=v1&subdir=s&commit=abcdef0", "https://host/x.git", "host", ("v1", "s", "abcdef0", "")),
        ("https://[::1]:80/x.git", "https://[::1]:80/x.git", "[::1]:80", ("", "", "", "")),
        ("https://[::1]/x.git", "https://[::1]/x.git", "[::1]", ("", "", "", "")),
        (
            "git@host.example:org/x.git#refs/heads/a-b",
            "git@host.example:org/x.git",
            "host.example",
            ("refs/heads/a-b", "", "", ""),
        ),
        ("ssh://git@host:22/x", "ssh://git@host:22/x", "host:22", ("", "", "", "")),
        ("git://host/x#:sub", "git://host/x", "host", ("", "sub", "", "")),
    ],
)
def test_read(text, remote, host, rest):
    """All that buildx's documentation has."""
    found = GitAddress.parse(text)

    assert (found.remote, found.host) == (remote, host)
    assert (found.ref, found.folder, found.checksum, found.credentials) == rest


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("main", True), ("v1.2.3", True), ("feature/x", True), ("refs/tags/v1", True), ("a-b_c+d", True), ("ä", True),
        ("-main", False), ("/a", False), (".a", False), ("a/.b", False), ("a..b", False), ("a.lock", False),
        ("a.lock/b", False), ("a/", False), ("a.", False), ("@", False), ("a@{1}", False), ("a:b", False),
        ("a^", False), ("a~1", False), ("a?", False), ("a*", False), ("a[b", False), ("a\\b", False), ("a b", False),
        ("a\x7f", False), ("", False), ("a//b", False),
    ],
)  # fmt: skip
def test_refs(name, good):
    """git-check-ref-format(1), and no dash in front."""
    assert is_ref(name) is good


@pytest.mark.parametrize("text", ["https://[x?ref=a", "https://[::1?ref=a", "https://h:p/x.git", "https://h:x?a=b"])
def test_no_address(text):
    """Half an address is refused in words."""
    with pytest.raises(InvalidUsage):
        GitAddress.parse(text)


@given(st.text(max_size=60), st.sampled_from(("https://", "ssh://", "git@", "git://", "")))
def test_whatever_is_read_is_no_option(text, start):
    """What passes begins with no dash, and has no control characters, in any part that git gets."""
    try:
        found = GitAddress.parse(start + text)
    except InvalidUsage:
        return
    for part in (found.remote, found.host, found.ref, found.checksum):
        assert not part.startswith("-")
        assert all(letter.isprintable() or ord(letter) > 0x7F for letter in part)
