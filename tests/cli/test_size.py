"""`wherry size` as a user calls it."""

import json
import re
import shutil
import subprocess

import pytest

from built_images import file, put_layers, put_platforms
from cli_shell import Shell
from gobuild import HELLO, PRINT, go_binary, go_module
from wherry.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
STRIPPED = ("-trimpath", "-ldflags=-s")

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path):
    """A shell with a program `hello` in its folder, and an image of it for two platforms."""
    shell = Shell(tmp_path)
    shutil.copy(go_binary(PRINT, *STRIPPED), tmp_path / "hello")
    images = {
        platform: put_layers(
            shell.store,
            [
                [file("etc/passwd", b"root:x:0:0\n")],
                [file("app/hello", go_binary(PRINT, *STRIPPED, arch=arch).read_bytes(), 0o755)],
            ],
            platform=platform,
        )
        for platform, arch in ((AMD64, "amd64"), (ARM64, "arm64"))
    }
    shell.store.tag("hello:dev", put_platforms(shell.store, images))
    return shell


def document(wherry: Shell, *arguments: str) -> dict:
    """Ask for JSON."""
    wherry("size", *arguments, "--json")
    return json.loads(wherry.out)


def test_a_file(wherry):
    """Kinds, modules and the certainty are told; the rows are sizes that people read."""
    lines = wherry("size", "hello")

    assert lines[0].startswith("1.")
    assert "linux/amd64  hello  go1." in lines[0]
    assert any("code" in line and "runtime" in line for line in lines)
    assert any(line.split()[-2:-1] == ["std"] for line in lines)
    assert lines[-1].strip().endswith("unknown")


@pytest.mark.parametrize("name", ["hello", "hello:dev"])
def test_all_sums_are_the_file(wherry, name):
    """Each list of each binary has every byte of the file."""
    found = document(wherry, name)

    assert found["schema"] == "wherry.size/1"
    assert len(found["binaries"]) == (1 if name == "hello" else 2)
    for binary in found["binaries"]:
        for rows in ("kinds", "sections", "modules", "packages"):
            assert sum(row["bytes"] for row in binary[rows]) == binary["size"], rows
        assert sum(binary["confidence"].values()) == binary["size"]
        for package in binary["packages"]:
            assert sum(package["kinds"].values()) == package["bytes"]
            assert sum(package["confidence"].values()) == package["bytes"]
            assert sum(function["bytes"] for function in package.get("functions", ())) <= package["bytes"]


def test_layers_of_an_image(wherry):
    """Layers are told with their files, and programs with the layer they are in."""
    found = document(wherry, "hello:dev")

    assert [binary["layer"] for binary in found["binaries"]] == [2, 2]
    assert [layer["platform"] for layer in found["layers"]] == ["linux/amd64"] * 2 + ["linux/arm64"] * 2
    assert found["layers"][1]["files"] == [{"path": "/app/hello", "bytes": found["binaries"][0]["size"]}]


def test_one_platform(wherry):
    """Of several platforms one can be meant; another than there is, is named."""
    assert [one["platform"] for one in document(wherry, "hello:dev", "--platform", "linux/arm64")["binaries"]] == [
        "linux/arm64"
    ]

    wherry("size", "hello:dev", "--platform", "linux/s390x", code=66)
    assert "linux/amd64, linux/arm64" in wherry.err


def test_remembered_by_digest(wherry):
    """The second answer is the first one, though the file has another name; a changed file is measured anew."""
    first = document(wherry, "hello")["binaries"][0]
    (wherry.root / "hello").rename(wherry.root / "other")

    again = document(wherry, "other")
    assert again["binaries"][0]["packages"] == first["packages"]
    assert again["name"] == "other"

    shutil.copy(go_binary(PRINT, "-trimpath"), wherry.root / "other")
    assert document(wherry, "other")["binaries"][0]["digest"] != first["digest"]


def test_sections_only(wherry):
    """Sections are told without owners."""
    lines = wherry("size", "hello", "--sections")

    assert any(".gopclntab" in line for line in lines)
    assert not any("exact" in line for line in lines)
    assert document(wherry, "hello", "--sections")["binaries"][0]["reading"] == "sections"


def test_what_the_source_tells(wherry):
    """Where the source is, ways to a package are shown and what would go without it."""
    wherry.write("src/go.mod", "module example.com/hello\n\ngo 1.20\n")
    wherry.write("src/main.go", PRINT)

    lines = wherry("size", "hello", "--why", "os", "--source", "src")
    assert lines[0].startswith("std go1.")
    assert "  main → fmt" in lines
    assert "      imports os" in lines

    lines = wherry("size", "hello", "--without", "strconv", "--source", "src")
    assert lines[0].startswith("without strconv: ")

    wherry("size", "hello", "--why", "strconf", "--source", "src", code=66)
    assert "did you mean strconv" in wherry.err

    wherry("size", "hello", "--why", "os", code=64)
    assert "--source DIR" in wherry.err


@pytest.mark.parametrize(
    ("system", "arch", "text"), [("windows", "amd64", ".text"), ("darwin", "arm64", "__TEXT,__text")]
)
def test_programs_of_other_systems(wherry, system, arch, text):
    """Of a PE or Mach-O program sections and build info are told, and that it is no more."""
    path = go_module({"main.go": HELLO}, arch=arch, system=system, module="example.com/hello")
    shutil.copy(path, wherry.root / "other")

    binary = document(wherry, "other")["binaries"][0]
    lines = wherry("size", "other")

    assert sum(row["bytes"] for row in binary["sections"]) == binary["size"] == path.stat().st_size
    assert (binary["platform"], binary["reading"]) == (f"{system}/{arch}", "sections")
    assert binary["module"] == "example.com/hello"
    assert any(line.split()[-2:] == [text, "code"] for line in lines)
    assert any("sections only" in line for line in lines)


def test_what_is_no_program(wherry):
    """A text is neither a program nor an image; nothing at all is not there."""
    wherry.write("text", "hello")

    wherry("size", "text", code=66)
    assert "neither a program nor an image: it is text" in wherry.err
    for text, what in (("", "it is empty"), ("x" * 512, "it is text"), ("\0\1\2\3", "00 01 02 03")):
        wherry.write("README", text)
        wherry("size", "README", code=66)
        assert what in wherry.err
    wherry("size", "./nothing", code=66)


def test_functions_and_packages(wherry):
    """Rows can be of functions or packages, those with a text in their names."""
    assert any("fmt.(*pp).printArg" in line for line in wherry("size", "hello", "--by", "function", "--match", "fmt."))
    assert any(" strconv" in line for line in wherry("size", "hello", "--by", "package", "--match", "strconv"))


def test_measured_without(wherry):
    """A rebuild with a package's functions left out is weighed; what is not there is told."""
    wherry.write("src/go.mod", "module example.com/hello\n\ngo 1.20\n")
    wherry.write("src/main.go", 'package main\n\nimport "example.com/hello/large"\n\nfunc main() { large.Print() }\n')
    wherry.write(
        "src/large/large.go",
        'package large\n\nimport (\n\t"encoding/json"\n\t"fmt"\n)\n\nvar limit = 3\n\n'
        "func Print() { text, _ := json.Marshal(limit); fmt.Println(string(text)) }\n",
    )
    subprocess.run(
        ["go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s", "-o", "../large", "."],
        cwd=wherry.root / "src", env={**wherry.environment, "CGO_ENABLED": "0", "GOFLAGS": ""}, check=True,
    )  # fmt: skip

    lines = wherry("size", "large", "--without", "example.com/hello/large", "--rebuild", "--source", "src")

    (measured,) = [line for line in lines if "measured:" in line]
    assert float(re.search(r"([0-9.]+) %", measured)[1]) > 20

    wherry("size", "large", "--rebuild", code=64)
