"""Debian's formats: versions in dpkg's order, paragraphs, relations, archives, releases."""

import io
import itertools
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debian_archive import deb
from needs import need
from wherry.debian.ar import ar_members
from wherry.debian.control import Relation, find_packages, parse_depends, parse_paragraph
from wherry.debian.release import ReleaseFile
from wherry.debian.versions import compare_versions
from wherry.errors import InvalidDocument

ORDER = ["0~~", "0~~a", "0~", "0", "1.0~rc1-1", "1.0-1~deb13u1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0a-1", "1.0+dfsg-1",
         "1.0.1-1", "1.9-1", "1.10-1", "2:0.1-1", "10:0-1"]  # fmt: skip
_VERSION = st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~]{0,6}(-[A-Za-z0-9.+~]{1,4})?", fullmatch=True)


def sign(number: int) -> int:
    """Give -1, 0 or 1."""
    return (number > 0) - (number < 0)


def test_the_order_of_versions():
    """Tildes before the end, letters before other characters, numbers as numbers, epochs first."""
    for (place, one), (others_place, other) in itertools.product(enumerate(ORDER), repeat=2):
        assert sign(compare_versions(one, other)) == sign(place - others_place), (one, other)
    assert compare_versions("1.0", "1.0-0") == 0


@given(_VERSION, _VERSION)
def test_order_is_the_same_both_ways(one, other):
    """Comparing backwards turns the answer round."""
    assert sign(compare_versions(one, other)) == -sign(compare_versions(other, one))


@pytest.mark.slow
def test_dpkg_agrees():
    """Every pair of the table, and some more."""
    dpkg = need("dpkg")
    for one, other in [
        *itertools.pairwise(ORDER),
        ("1.0", "1.0-0"),
        ("1.2.3", "1.2-3"),
        ("1a", "1+"),
        ("1.0~", "1.0~~"),
    ]:
        word = {-1: "lt", 0: "eq", 1: "gt"}[sign(compare_versions(one, other))]
        assert not subprocess.run([dpkg, "--compare-versions", one, word, other], check=False).returncode, (one, other)


def test_paragraphs():
    """Continuation lines belong to their field; an index is searched without parsing the rest."""
    assert parse_paragraph("Package: a\nDescription: x\n more\n .\n# no\nEmpty:\n", "f") == {
        "Package": "a", "Description": "x\nmore\n.", "Empty": "",
    }  # fmt: skip
    index = io.BytesIO(b"Package: ab\nVersion: 1\n\n\nPackage: a\nVersion: 2\n\n!!!\n\nPackage: c\nVersion: 3")
    assert [one["Version"] for one in find_packages(index, {"a", "c"}, "f")] == ["2", "3"]


@pytest.mark.parametrize("text", ["no field", " leading: x", ": x", "a b"])
def test_what_is_no_paragraph(text):
    """The line is named."""
    with pytest.raises(InvalidDocument) as caught:
        parse_paragraph(text, "f")

    assert "line 1" in caught.value.message


def test_a_paragraph_without_an_end():
    """A megabyte without a blank line is refused, not held."""
    with pytest.raises(InvalidDocument):
        list(find_packages(io.BytesIO(b"Package: a\n" + b"x: y\n" * 900_000), {"a"}, "f"))


def test_relations():
    """Alternatives, versions, qualifiers."""
    found = parse_depends("libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0, python3:any", "f")

    assert found == (
        (Relation("libc6", ">=", "2.38"),),
        (Relation("debconf", ">=", "0.5"), Relation("debconf-2.0")),
        (Relation("python3"),),
    )
    assert Relation("a", "<<", "2").holds("1.9")
    assert not Relation("a", ">>", "2").holds("2")
    with pytest.raises(InvalidDocument):
        parse_depends("a (>= )", "f")


def test_an_archive_and_its_damages():
    """Members have their places; each cut is refused or has fewer members."""
    whole = deb("a", "1", {"x": b"1"})
    assert [one.name for one in ar_members(io.BytesIO(whole), "f")] == [
        "debian-binary",
        "control.tar.xz",
        "data.tar.xz",
    ]
    for end in range(0, len(whole) - 1, 7):
        try:
            found = list(ar_members(io.BytesIO(whole[:end]), "f"))
        except InvalidDocument:
            continue
        assert len(found) < 3


@given(st.binary(max_size=300))
def test_any_archive(blob):
    """Bytes after the magic are members or an error."""
    try:
        found = list(ar_members(io.BytesIO(b"!<arch>\n" + blob), "f"))
    except InvalidDocument:
        return
    assert all(one.offset + one.size <= len(blob) + 8 for one in found)


@pytest.mark.parametrize(
    "text", ["Date: x\n", "Codename: a\nDate: soon\n", "Codename: a\nDate: Sat, 21 Nov 2026 09:15:44\n", "Codename:\n"]
)
def test_what_is_no_release(text):
    """A field is missing, or is no date with a zone."""
    with pytest.raises(InvalidDocument):
        ReleaseFile.parse(text, "f")
