"""`wherry leaks` as a user calls it."""

import json
import shutil

import pytest

from built_images import file, put_layers, put_platforms
from cli_shell import Shell
from gobuild import PRINT, go_binary
from planted import AWS
from wherry.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
CLEAN = ("-trimpath", "-ldflags=-s")
LEAKY = PRINT.replace('"hello"', f'"hello {AWS}"')

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path):
    """A shell with programs in its folder, and an image of one for two platforms."""
    shell = Shell(tmp_path)
    for name, source, flags in (("clean", PRINT, CLEAN), ("plain", PRINT, ()), ("leaky", LEAKY, CLEAN)):
        shutil.copy(go_binary(source, *flags), tmp_path / name)
    images = {
        platform: put_layers(
            shell.store,
            [[file("app/leaky", go_binary(LEAKY, *CLEAN, arch=arch).read_bytes(), 0o755)]],
            platform=platform,
        )
        for platform, arch in ((AMD64, "amd64"), (ARM64, "arm64"))
    }
    shell.store.tag("leaky:dev", put_platforms(shell.store, images))
    return shell


def test_nothing(wherry):
    """A trimmed and stripped program of no secrets tells nothing."""
    lines = wherry("leaks", "clean", "--fail-on", "note")

    assert lines[-2].strip() == "no findings"
    assert lines[-1].strip().startswith("not visible: values set by -X")


def test_untrimmed(wherry):
    """Paths are told once, with what to do; a finding alone is no failure."""
    lines = wherry("leaks", "plain")

    assert sum("untrimmed-paths" in line for line in lines) == 1
    assert any(line.strip().startswith("remedy: build with -trimpath") for line in lines)
    assert lines[-1].strip() == "1 warning"


@pytest.mark.parametrize(("name", "words", "code"), [
    ("plain", ("note",), 1), ("plain", ("warning",), 1), ("plain", ("error",), 0), ("plain", ("untrimmed-paths",), 1),
    ("plain", ("run-path", "secret-aws-key"), 0), ("leaky", ("error",), 1), ("leaky", ("secret-aws-key",), 1),
    ("leaky", ("run-path", "warning"), 1),
])  # fmt: skip
def test_fail_on(wherry, name, words, code):
    """The exit code is 1 where there is a finding of the rule, or as bad as the severity."""
    wherry("leaks", name, *(part for word in words for part in ("--fail-on", word)), code=code)


def test_a_wrong_word(wherry):
    """A rule that there is none of is an error with the nearest."""
    wherry("leaks", "plain", "--fail-on", "untrimed-paths", code=64)

    assert "untrimmed-paths" in wherry.err


def test_an_image(wherry):
    """All platforms are looked at, unless one is named."""
    wherry("leaks", "leaky:dev", "--json")
    document = json.loads(wherry.out)

    assert document["schema"] == "wherry.leaks/1"
    assert {one["platform"] for one in document["binaries"]} == {"linux/amd64", "linux/arm64"}
    assert {one["binary"] for one in document["findings"]} == {one["name"] for one in document["binaries"]}
    assert {one["rule"] for one in document["findings"]} == {"secret-aws-key"}
    keys = {"binary", "rule", "severity", "place", "message", "evidence", "remedy"}
    assert all(one.keys() == keys for one in document["findings"])

    wherry("leaks", "leaky:dev", "--platform", "linux/arm64", "--json")
    assert len(json.loads(wherry.out)["binaries"]) == 1


@pytest.mark.parametrize("form", [(), ("--json",), ("--find", AWS[:8])])
def test_a_secret_is_not_told(wherry, form):
    """Neither in text nor in JSON, nor beside what was looked for."""
    wherry("leaks", "leaky", *form)

    assert AWS[8:] not in wherry.out + wherry.err
    assert "secret-aws-key" in wherry.out


def test_find(wherry):
    """A text of the user's own."""
    assert any("looked-for" in line for line in wherry("leaks", "clean", "--find", "runtime error"))
    wherry("leaks", "clean", "--find", "x", code=64)


def test_no_program(wherry):
    """What is no program is an error."""
    wherry.write("text", "no program\n")
    wherry("leaks", "text", code=66)

    assert "neither a program nor an image" in wherry.err
