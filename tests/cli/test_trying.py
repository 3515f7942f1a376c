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
    assert "build failed" in text
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


WAY = '\n[slim.nopage]\ntags = ["nopage"]\n'


@pytest.mark.parametrize(
    ("before", "table"),
    [
        ('[build]\nbase = "static"\n\n[services.api]\npackage = "."\ngo-tags = ["own"]\n', "api"),
        (
            '[services.one]\npackage = "."\ngo-tags = ["own"]\n\n[services.two]\npackage = "."\ngo-tags = ["own"]\n',
            "two",
        ),
        ('[services.one]\npackage = "."\n\n[services."a.b"]\npackage = "."\n', "a.b"),
    ],
)
def test_slim_writes_for_the_service_that_was_tried(wherry, before, table):
    """Into its own table, where that has tags or there are others: a tag in [build] would not count, or for all."""
    wherry.write("wherry.toml", before + WAY)

    wherry("slim", "--apply", table)

    expected = tomllib.loads(before + WAY)
    service = expected["services"][table]
    service["go-tags"] = [*service.get("go-tags", ()), "nopage"]
    assert tomllib.loads((wherry.root / "wherry.toml").read_text()) == expected
    wherry("slim", "--json", table)
    assert json.loads(wherry.out)["ways"] == []


def test_slim_leaves_a_users_file_theirs(wherry):
    """A link stays a link; its file keeps its mode and its line ends."""
    real = wherry.root / "settings" / "wherry.toml"
    real.parent.mkdir()
    real.write_bytes(("[build] # everything\r\n" + WAY.replace("\n", "\r\n")).encode())
    real.chmod(0o640)
    (wherry.root / "wherry.toml").unlink()
    (wherry.root / "wherry.toml").symlink_to("settings/wherry.toml")

    wherry("slim", "--apply")

    assert (wherry.root / "wherry.toml").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes().startswith(b'[build] # everything\r\ngo-tags = ["nopage"]\r\n\r\n[slim')


def test_ways_that_do_not_build_together(wherry):
    """Each alone is told, and so is why they don't; --apply writes the one that saves most."""
    wherry.write("more.go", "//go:build !nomore\n\npackage main\n\nvar more = page + `" + "more of it " * 9000 + "`\n")
    wherry.write("shown.go", "//go:build !nomore\n\npackage main\n\nfunc init() { println(more) }\n")
    wherry.write("clash.go", "//go:build nopage && nomore\n\npackage main\n\nvar clash int = page\n")
    wherry.write("wherry.toml", WAY + '\n[slim.nomore]\ntags = ["nomore"]\n')

    wherry("slim", "--apply", "--json")

    found = json.loads(wherry.out)
    assert found["together"] is None
    assert "clash.go" in found["problem"]
    assert found["advised"] == [max(found["ways"], key=lambda way: way["saved"])["name"]]
    assert tomllib.loads((wherry.root / "wherry.toml").read_text())["build"]["go-tags"] == found["advised"]


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


def test_flags_keep_what_the_program_needs(wherry):
    """A variant changes what is about sizes: a value that is linked in by -X is there in all of them."""
    wherry.write(
        "page.go", 'package main\n\nvar page string\n\nfunc init() {\n\tif page == "" {\n\t\tpanic(0)\n\t}\n}\n'
    )
    wherry.write("nopage.go", "package main\n")
    wherry.write("wherry.toml", "[build]\nldflags = \"-X 'main.page=a page'\"\n")

    text = "\n".join(wherry("flags", "--run", "--runs", "3"))

    assert "did not start" not in text
    assert "from exec until exit" in text
    assert "median of 3 starts" in text


def test_packing_is_by_the_users_path(wherry):
    """What packs is looked for where the user's PATH says; one that can't is a row with its words."""
    wherry.write("bin/upx", "#!/bin/sh\necho cannot pack this >&2\nexit 2\n")
    (wherry.root / "bin" / "upx").chmod(0o755)
    wherry.environment["PATH"] = f"{wherry.root / 'bin'}:{wherry.environment['PATH']}"

    wherry("flags", "--json")

    (packed,) = [one for one in json.loads(wherry.out)["variants"] if one["name"].startswith("upx")]
    assert packed["unpacked"] is None
    assert "cannot pack this" in packed["problem"]
