"""Flags of `go build`: what we add, what GOFLAGS adds, and which make the build read what we don't know of."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.build import compile as go
from wherry.build.compile import GoFlags
from wherry.errors import InvalidUsage
from wherry.source.inputs import InputKind


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        (GoFlags(), ("-trimpath", "-ldflags=-s")),
        (GoFlags(strip=False, trimpath=False), ()),
        (GoFlags(ldflags="-X a.b=c", strip_buildid=True), ("-trimpath", "-ldflags=-s -buildid= -X a.b=c")),
        (GoFlags(tags=("a", "b"), strip=False), ("-trimpath", "-tags=a,b")),
        (GoFlags(gcflags="-l", asmflags="-D X", strip=False, trimpath=False), ("-gcflags=-l", "-asmflags=-D X")),
    ],
)
def test_arguments(flags, arguments):
    """Small and without paths, unless the user says otherwise."""
    assert flags.arguments() == arguments


@pytest.mark.parametrize(
    ("flags", "goflags", "result"),
    [
        (("-trimpath",), (), ("-trimpath",)),
        (("-ldflags=-s",), ("-ldflags=-X a=b",), ("-ldflags=-X a=b -s",)),
        (("-tags=a,b",), ("-tags=c,a",), ("-tags=c,a,b",)),
        (("-trimpath",), ("-tags=a",), ("-trimpath",)),
        (("-tags=a",), ("-mod=vendor",), ("-tags=a",)),
    ],
)
def test_goflags_are_not_lost(flags, goflags, result):
    """The command line takes the place of GOFLAGS in cmd/go, so the two are joined; the rest cmd/go reads itself."""
    assert go.merged(flags, goflags) == result


@settings(max_examples=40)  # shlex is slow
@given(st.lists(st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=8), max_size=4))
def test_words_of_goflags_are_split_back(words):
    """Quotes and spaces within a word stay."""
    assert go.words_of(shlex.join(words)) == tuple(words)


def test_a_quote_that_is_not_closed():
    """Named as GOFLAGS, with how to see it."""
    with pytest.raises(InvalidUsage, match="GOFLAGS"):
        go.words_of("'-tags=a")


@pytest.mark.parametrize(
    ("flags", "unknown"),
    [
        (("-trimpath", "-ldflags=-s -w -X main.v=1", "-tags=a", "--race"), ()),
        (("-ldflags=-X main.v=-extld",), ()),
        (("-ldflags=-extld=cc",), ("-extld=cc",)),
        (("-ldflags=-s -r /lib",), ("-r", "/lib")),
        (("-ldflags='-s",), ("'-s",)),
        (("-gcflags=-N -l", "-gcflags=all=-N -l"), ()),
        (("-gcflags=-embedcfg=f",), ("-embedcfg=f",)),
        (("-toolexec=x",), ("-toolexec=x",)),
        (("-compiler=gc", "-new-flag"), ("-new-flag",)),
    ],
)
def test_unknown_flags(flags, unknown):
    """With one of them, a cached program would be a guess."""
    assert go.unknown_flags(flags) == unknown


def test_flags_that_decide_which_files_count():
    """The linker's do not."""
    assert go.listing_flags(("-tags=a", "-ldflags=-s", "-mod=mod", "-race", "-trimpath")) == (
        "-tags=a", "-mod=mod", "-race",
    )  # fmt: skip


def test_files_that_flags_name(tmp_path: Path):
    """A profile, an overlay with its files, a second go.mod with its sums; and the profile that Go finds itself."""
    (tmp_path / "o.json").write_text('{"Replace": {"a.go": "b.go", "gone.go": ""}}')
    found = list(go.flag_inputs(("-pgo=p.prof", "-overlay=o.json", "-modfile=x.mod", "-tags=a"), tmp_path))
    names = ["default.pgo", "p.prof", "o.json", "a.go", "b.go", "gone.go", "x.mod", "x.sum"]

    assert found == [(str(tmp_path / name), InputKind.FILE) for name in names]


@pytest.mark.parametrize("overlay", ["", "[]", "{", '{"Replace": {}}'])
def test_an_overlay_that_is_none(tmp_path, overlay):
    """Go says what is wrong with it; the file itself counts all the same."""
    (tmp_path / "o").write_text(overlay)

    assert [path for path, _ in go.flag_inputs(("-overlay=o",), tmp_path)] == [
        str(tmp_path / "default.pgo"), str(tmp_path / "o"),
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["auto", "off", ""])
def test_profiles_that_are_no_files(tmp_path, value):
    """Words of Go's own."""
    assert len(list(go.flag_inputs((f"-pgo={value}",), tmp_path))) == 1


def test_symbols_come_back():
    """Stripping is taken out, the build ID is set, the rest stays."""
    flags = ("-trimpath", "-ldflags=-s -w -X 'main.v=a b'", "-tags=a")

    assert go.with_symbols(flags, "abcd") == ("-trimpath", "-tags=a", "-ldflags=-X 'main.v=a b' -B 0xabcd")
    assert go.with_symbols(("-ldflags=-s",), "") == ()
