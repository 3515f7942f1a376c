"""The go.mod that a published program is built by, and the texts that name one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidUsage
from wherry.golang.modfile import parse_go_mod
from wherry.source.published import PRIVATE, is_exact, is_published, parse_published, private_go_mod

PUBLISHED = """module example.com/tool/v2

go 1.22.1

toolchain go1.23.0

godebug default=go1.21

require (
	example.com/a v1.2.3
	example.com/b v0.0.0-20260102030405-0123456789ab // indirect
)

exclude example.com/a v1.2.4

replace example.com/a v1.2.3 => example.com/fork v1.0.0

retract v2.0.1 // oops

tool example.com/tool/v2/cmd/gen

ignore ./docs
"""


def test_the_author_s_lines_are_kept():
    """What decides versions stays; what a module says of itself goes."""
    published = parse_go_mod(PUBLISHED, "published")
    ours = parse_go_mod(private_go_mod(published, "example.com/tool/v2", "v2.1.0"), "ours")

    assert ours.module == PRIVATE
    assert (ours.go, ours.toolchain, ours.godebug) == ("1.22.1", "go1.23.0", {"default": "go1.21"})
    assert [(required.path, required.version) for required in ours.require] == [
        ("example.com/tool/v2", "v2.1.0"),
        ("example.com/a", "v1.2.3"),
        ("example.com/b", "v0.0.0-20260102030405-0123456789ab"),
    ]
    assert [(excluded.path, excluded.version) for excluded in ours.exclude] == [("example.com/a", "v1.2.4")]
    assert [(new.old_path, new.old_version, new.new_path, new.new_version) for new in ours.replace] == [
        ("example.com/a", "v1.2.3", "example.com/fork", "v1.0.0")
    ]
    assert not ours.retract
    assert not ours.tool
    assert not ours.ignore


def test_an_old_go_mod_names_no_go():
    """Go takes a missing line for 1.16; so it has to stay missing."""
    ours = private_go_mod(parse_go_mod("module example.com/old\n", "old"), "example.com/old", "v1.0.0")

    assert ours == f"module {PRIVATE}\nrequire example.com/old v1.0.0\n"


@pytest.mark.parametrize(
    ("version", "exact"),
    [
        ("v1.2.3", True), ("v0.0.0-20260102030405-0123456789ab", True), ("v2.0.0+incompatible", True),
        ("v1", False), ("v1.2", False), ("latest", False), ("main", False), ("v01.2.3", False), ("<v1.2.3", False),
    ],
)  # fmt: skip
def test_exact_versions(version, exact):
    """Only what always means the same is exact."""
    assert is_exact(version) is exact


@given(st.text(max_size=40))
def test_any_text_is_split_or_refused(text):
    """What is split comes together again; the rest is refused with a hint."""
    with suppress(InvalidUsage):
        path, version = parse_published(text)
        assert f"{path}@{version}" == text
        assert is_published(text) or text.startswith(".")
