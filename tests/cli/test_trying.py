"""`wherry slim` and `wherry flags` as a user calls them."""

import json
import tomllib

import pytest

from cli_shell import Shell

pytestmark = pytest.mark.slow

MAIN = """package main

import (
	"os"
	"reflect"
)

type shown struct{}

func (shown) Kept() string { return page }

func main() {
	if len(os.Args) > 1 {
		reflect.ValueOf(shown{}).MethodByName(os.Args[1]).Call(nil)
	}
}
"""
PAGE = "//go:build !nopage\n\npackage main\n\nvar page = `" + "a page of a text that is embedded " * 2000 + "`\n"
NO_PAGE = "//go:build nopage\n\npackage main\n\nvar page string\n"
TOML = """[build] # everything
base = "static"

[slim.nopage]
tags = ["nopage"]
why = "nobody reads the page"

[slim.broken]
tags = ["broken"]

[slim.pictures]
tags = ["nopage", "nopictures"]
drops = "pictures"
"""


@pytest.fixture
def wherry(tmp_path):
    """A module whose program calls a method by name, with ways of its own to be smaller."""
    shell = Shell(tmp_path)
    shell.module()
    shell.write("main.go", MAIN)
    shell.write("page.go", PAGE)
    shell.write("nopage.go", NO_PAGE)
    shell.write("broken.go", "//go:build broken\n\npackage main\n\nvar broken int = page\n")
    shell.write("wherry.toml", TOML)
    return shell


def test_slim(wherry):
    """The cause is told, each way is tried, and what can't be built is a row with its error."""
    text = "\n".join(wherry("slim"))

    assert "every exported method is kept" in text
    assert "main.main" in text
    assert "drops pictures" in text
    assert "could not be built" in text
    wherry("slim", "--json")
    found = json.loads(wherry.out)
    assert found["schema"] == "wherry.slim/1"
    assert [cause["function"] for cause in found["causes"]] == ["main.main"]
    ways = {way["name"]: way for way in found["ways"]}
    assert ways["nopage"]["saved"] > 50_000
    assert ways["broken"]["unpacked"] is None
    assert "nopage" in wherry.err


def test_slim_writes_what_pays(wherry):
    """--apply writes the tag into wherry.toml; then `wherry build` takes it, and it is not tried again."""
    wherry("slim", "--apply")

    text = (wherry.root / "wherry.toml").read_text()
    assert tomllib.loads(text)["build"] == {"base": "static", "go-tags": ["nopage"]}
    assert text.replace('go-tags = ["nopage"]\n', "") == TOML
    wherry("slim", "--json")
    assert "nopage" not in [way["name"] for way in json.loads(wherry.out)["ways"]]


def test_a_wrong_way_of_ones_own(wherry):
    """A key that is unknown is an error with its line."""
    wherry.write("wherry.toml", '[slim.x]\ntag = ["a"]\n')

    wherry("slim", code=78)

    assert "line 2" in wherry.err


def test_flags(wherry):
    """Variants are weighed and started, and what does not hold is told with its evidence."""
    wherry("flags", "--run", "--runs", "3", "--json")
    found = json.loads(wherry.out)

    variants = {one["name"]: one for one in found["variants"]}
    assert found["schema"] == "wherry.flags/1"
    assert variants["no linker flags"]["unpacked"] > variants["-ldflags=-s"]["unpacked"]
    assert variants["-ldflags=-s"]["unpacked"] == variants["-ldflags='-s -w'"]["unpacked"]
    assert all(len(one["starts"]) == 3 for one in variants.values())
    assert set(variants["-ldflags=-s"]["pulled"]) == {"gzip 5", "zstd 19"}
    beliefs = {one["claim"]: one for one in found["beliefs"]}
    assert not any(one["holds"] for one in beliefs.values()), beliefs
    assert "not defined: -z" in beliefs["-ldflags=-z compresses code and constants by zstd"]["evidence"]
    assert "ld-linux" in beliefs["-buildmode=pie starts on a static base"]["evidence"]


def test_flags_that_can_not_be_started(wherry):
    """A program that fails is told as such, and the sizes stay; a foreign one is refused."""
    text = "\n".join(wherry("flags", "--run", "--runs", "3", ".", "--", "NoSuchMethod"))
    assert "it did not start" in text
    assert "unpacked" in text

    wherry("flags", "--run", "--platform", "linux/s390x", code=64)
