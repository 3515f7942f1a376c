"""Linking a stripped program again: what it says of its build is used with care, and the result is compared."""

import msgspec
import pytest

from gobuild import PRINT, go_binary
from wherry.analysis.mapped import map_elf
from wherry.lab.relink import NotTheSame, built_by_recipe, built_by_settings, differing_sections

HARMFUL = (
    "-ldflags=-linkmode=external -extld=/x/evil",
    "-ldflags=-cpuprofile=/x/file",
    "-gcflags=-cpuprofile=/x/file",
    "-gcflags=all=-o=/x/file",
    "-asmflags=-o=/x/file",
    "-toolexec=/x/evil",
    "-o=/x/file",
    "-overlay=/x/overlay.json",
)
"""Flags by which `go build` starts a program or touches a file that an image names."""


@pytest.mark.parametrize("flag", HARMFUL)
def test_an_image_names_no_program_to_run_and_no_file_to_write(flag):
    """A recipe's label is written by anybody: a flag that could do harm stops the link."""
    for flags in (flag, f"-trimpath {flag}"):
        recipe = msgspec.json.encode({"version": 1, "go": {"version": "go1.26.8", "flags": flags}}).decode()
        with pytest.raises(NotTheSame, match="does not pass on"):
            built_by_recipe(recipe)


@pytest.mark.parametrize("flag", HARMFUL[:5])
def test_nor_does_build_info(flag):
    """The same of what a program says of itself; settings that are no flags are left alone."""
    name, _, value = flag.partition("=")
    with pytest.raises(NotTheSame, match="does not pass on"):
        built_by_settings({name: value}, "go1.26.8")

    built = built_by_settings({"-toolexec": "/x/evil", "-tags": "a,b", "GOFLAGS": "-x", "GOARCH": "arm64"}, "go1.26.8")
    assert built.flags == ("-tags=a,b",)
    assert built.environment == {"GOARCH": "arm64"}


def test_a_recipe():
    """Flags with spaces in them are read as they were given; a version that is none is not asked for."""
    go = {"flags": "-trimpath -ldflags=-s -X main.a=b -tags=x,y", "GOARCH": "arm64", "buildvcs": "true"}
    recipe = msgspec.json.encode({"version": 1, "go": {**go, "version": "go1.2/../../evil"}}).decode()

    built = built_by_recipe(recipe)

    assert built is not None
    assert built.flags == ("-trimpath", "-ldflags=-s -X main.a=b", "-tags=x,y")
    assert built.environment == {"GOARCH": "arm64"}
    assert built.stamped
    assert built.go == ""
    assert built_by_recipe("") is None
    assert built_by_recipe('{"go": 1}') is None


@pytest.mark.slow
def test_sections_that_differ():
    """Symbols change no byte that is loaded; other source does."""
    stripped, twin = (map_elf(go_binary(PRINT, *flags)) for flags in (("-trimpath", "-ldflags=-s"), ("-trimpath",)))
    other = map_elf(go_binary(PRINT.replace("hello", "hullo"), "-trimpath"))

    assert list(differing_sections(stripped, twin)) == []
    assert ".rodata" in list(differing_sections(stripped, other))


def test_a_recipe_of_version_2():
    """It quotes flags as a shell does; a broken quote leaves none."""
    recipe = {"version": 2, "go": {"version": "go1.26.8", "flags": "-trimpath '-ldflags=-s -X main.v=1'"}}
    built = built_by_recipe(msgspec.json.encode(recipe).decode())

    assert built is not None
    assert built.flags == ("-trimpath", "-ldflags=-s -X main.v=1")
    recipe["go"] = {"version": "go1.26.8", "flags": "'-ldflags=-s"}
    broken = built_by_recipe(msgspec.json.encode(recipe).decode())
    assert broken is not None
    assert broken.flags == ()
