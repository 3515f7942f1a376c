"""`wherry diff` as a user calls it, on real builds."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from built_images import file, put_layers, put_platforms
from cli_shell import Shell
from gobuild import PRINT, go_binary, go_module
from module_proxy import ModuleProxy
from needs import absent, need
from wherry.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
STRIPPED = ("-trimpath", "-ldflags=-s")
PLANTED = f"""package planted

//go:noinline
func A(n int) int {{ return n*n + int(Text[n]) }}

var Text = "{"planted text " * 2000}"
"""
WITH_PLANTED = """package main

import (
	"fmt"
	"os"

	"example.com/hello/planted"
)

func main() { fmt.Println("hello", planted.A(len(os.Args))) }
"""
OLDER = "go1.25.3"

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path):
    """A shell in a folder with `before`, and `after` which has one package more."""
    shell = Shell(tmp_path)
    shutil.copy(go_binary(PRINT, *STRIPPED), tmp_path / "before")
    after = {"main.go": WITH_PLANTED, "planted/planted.go": PLANTED}
    shutil.copy(go_module(after, *STRIPPED, module="example.com/hello"), tmp_path / "after")
    return shell


def document(wherry: Shell, *arguments: str) -> dict:
    """Ask for JSON."""
    wherry("diff", *arguments, "--json")
    return json.loads(wherry.out)


def change(row: dict) -> int:
    """Give what a row grew by."""
    return row["after"] - row["before"]


def test_a_planted_package(wherry):
    """It is told by name, all of its bytes are new, and nothing of it is the toolchain's."""
    found = document(wherry, "before", "after")["binaries"][0]

    rows = {row["path"]: row for row in found["packages"]}
    assert rows["example.com/hello/planted"]["before"] == 0
    assert rows["example.com/hello/planted"]["after"] > 50
    assert {row["name"] for row in found["functions"] if row["package"] == "example.com/hello/planted"} == {
        "example.com/hello/planted.A"
    }
    assert {row["path"]: row["cause"] for row in found["modules"]}["example.com/hello"] == "code"
    assert found["toolchain"] is None
    for level in ("modules", "packages", "kinds"):
        assert sum(map(change, found[level])) == change(found), level


def test_the_same_program(wherry):
    """Nothing grew, and nothing is listed."""
    found = document(wherry, "before", "before")["binaries"][0]

    assert (change(found), found["modules"], found["packages"], found["functions"], found["kinds"]) == (
        0,
        [],
        [],
        [],
        [],
    )


@pytest.mark.parametrize("by", ["module", "package", "function", "kind", "layer"])
def test_text_and_markdown(wherry, by):
    """Each way to list it is a table; the Markdown one has its rows whole."""
    lines = wherry("diff", "before", "after", "--by", by, "--top", "5")
    assert lines[0] == "before → after"

    lines = wherry("diff", "before", "after", "--by", by, "--top", "5", "--markdown")
    assert lines[0] == "**before → after**"
    tables = [line for line in lines if line.startswith("|")]
    assert bool(tables) == (by != "layer")
    assert lines.count("</details>") == sum(line.startswith("<details>") for line in lines)


def test_growth_that_is_too_much(wherry):
    """The exit code tells, and a line says by how much."""
    grew = (wherry.root / "after").stat().st_size - (wherry.root / "before").stat().st_size
    wherry("diff", "before", "after", "--fail-on", f"growth={grew}")
    wherry("diff", "before", "after", "--fail-on", "growth=5%")

    wherry("diff", "before", "after", "--fail-on", f"growth={grew - 1}", code=1)
    assert f"grew by {grew} bytes, 1 more than" in wherry.err

    wherry("diff", "before", "after", "--fail-on", "size=5", code=64)
    assert "growth=2%" in wherry.err


def images(shell: Shell) -> dict[str, dict]:
    """Put two images of two platforms into the store; the second has another program and one layer more."""
    sources = {"hello:1": {"main.go": PRINT}, "hello:2": {"main.go": WITH_PLANTED, "planted/planted.go": PLANTED}}
    for name, files in sources.items():
        built = {}
        for platform in (AMD64, ARM64):
            program = go_module(files, *STRIPPED, module="example.com/hello", arch=platform.architecture)
            layers = [[file("etc/passwd", b"root:x:0:0\n")], [file("app/hello", program.read_bytes(), 0o755)]]
            if name == "hello:2":
                layers.append([file("etc/extra", b"extra")])
            built[platform] = put_layers(shell.store, layers, platform=platform)
        shell.store.tag(name, put_platforms(shell.store, built))
    return document(shell, "hello:1", "hello:2")


def test_images_of_two_platforms(wherry):
    """Each platform is told on its own; layers sum up, pulled and unpacked, and one that is in both is left out."""
    found = images(wherry)

    assert [one["platform"] for one in found["binaries"]] == ["linux/amd64", "linux/arm64"]
    for image in found["images"]:
        assert sum(map(change, image["layers"])) == change(image)
        pulled = sum(layer["pulledAfter"] - layer["pulledBefore"] for layer in image["layers"])
        assert pulled == image["pulledAfter"] - image["pulledBefore"]
        assert [(bool(layer["digestBefore"]), bool(layer["digestAfter"])) for layer in image["layers"]] == [
            (True, True), (False, True),
        ]  # fmt: skip
    assert [change(image) for image in found["images"]] == [change(binary) + 5 for binary in found["binaries"]]

    lines = wherry("diff", "hello:1", "hello:2", "--by", "layer")
    assert sum("sha256:" in line for line in lines) == 4
    assert wherry("diff", "hello:1", "hello:2", "--by", "layer", "--markdown", "--platform", "linux/arm64")[2:]


def test_a_file_and_an_image(wherry):
    """The image's program of the file's platform is what is compared."""
    images(wherry)
    found = document(wherry, "before", "hello:2")

    assert [one["platform"] for one in found["binaries"]] == ["linux/amd64"]
    assert found["images"] == []
    assert found["notes"] == ["only hello:2 has linux/arm64"]

    shutil.copy(go_binary(PRINT, *STRIPPED, arch="386"), wherry.root / "small")
    wherry("diff", "small", "hello:2", code=66)
    assert "no platform in common" in wherry.err


def test_images_without_programs(tmp_path):
    """Their layers are what is compared."""
    shell = Shell(tmp_path)
    for name, layers in {"data:1": [b"12345"], "data:2": [b"12345", b"678"]}.items():
        put = put_layers(shell.store, [[file(f"data{at}", content)] for at, content in enumerate(layers)])
        shell.store.tag(name, put)
    found = document(shell, "data:1", "data:2")

    assert [(image["before"], image["after"]) for image in found["images"]] == [(5, 8)]
    assert [change(layer) for layer in found["images"][0]["layers"]] == [3]
    assert any("+3 B" in line and "sha256:" in line for line in shell("diff", "data:1", "data:2"))
    shell("diff", "data:1", "data:2", "--fail-on", "growth=50%", code=1)
    shell("diff", "data:1", "nothing", code=66)


LIB = 'package lib\n\nimport "fmt"\n\n' + "\n".join(
    f"""func F{n}(m map[string]int, s []string) string {{
	text := ""
	for i, word := range s {{
		m[word] += i * {n}
		switch {{
		case len(word) > {n}:
			text += fmt.Sprintf("%s-{n}-%d", word, m[word])
		case word == "name{n}":
			text += fmt.Sprint(word, i, {n})
		}}
	}}
	return text
}}
"""
    for n in range(60)
)  # fmt: skip
ALL = " + ".join(f"lib.F{n}(m, os.Args)" for n in range(60))
USES = f"""package main

import (
	"os"

	"example.com/lib"
)

func main() {{ m := map[string]int{{}}; println({ALL}) }}
"""
EDITED = (
    USES
    + "\n//go:noinline\nfunc edited(a []string) int { return len(a) * 3 }\n\nfunc init() { println(edited(os.Args)) }\n"
)


def built(folder: Path, main: str, toolchain: str) -> Path:
    """Build a program that uses a published module, with a toolchain."""
    where = subprocess.run(
        [need("go"), "env", "GOROOT"], env={**os.environ, "GOTOOLCHAIN": toolchain}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if where.returncode:
        absent(f"{toolchain} can't be had")
    proxy = ModuleProxy(folder / "proxy")
    for version in ("v1.0.0", "v1.1.0"):
        proxy.publish("example.com/lib", version, {"go.mod": "module example.com/lib\n\ngo 1.21\n", "lib.go": LIB})
    (folder / "go.mod").write_text("module example.com/app\n\ngo 1.21\n\nrequire example.com/lib v1.0.0\n")
    (folder / "main.go").write_text(main)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GO") or name == "GOCACHE"}
    environment |= {**proxy.environment(folder / "modules"), "CGO_ENABLED": "0", "GOFLAGS": "-modcacherw -mod=mod"}
    subprocess.run(
        [f"{where.stdout.strip()}/bin/go", "build", "-buildvcs=false", *STRIPPED, "-o", "hello", "."],
        cwd=folder, env=environment, check=True,
    )  # fmt: skip
    return folder / "hello"


def test_another_toolchain(tmp_path):
    """The module with the same source tells what Go did; of the edited program that part is told apart."""
    shell = Shell(tmp_path)
    for name, main, toolchain in (("before", USES, OLDER), ("after", EDITED, "local")):
        (tmp_path / name).mkdir()
        built(tmp_path / name, main, toolchain)
    found = document(shell, "before/hello", "after/hello")["binaries"][0]

    rows = {row["path"]: row for row in found["modules"]}
    assert rows["std"]["cause"] == rows["example.com/lib"]["cause"] == "toolchain"
    assert rows["std"]["versionBefore"] == OLDER
    assert rows["example.com/app"]["cause"] == "code"
    assert rows["example.com/app"]["new"] > 0
    toolchain = found["toolchain"]
    assert toolchain["basis"] == "1 module with the same source"
    assert 0.8 < toolchain["ratio"] < 1.25
    expected = rows["example.com/app"]["expected"]
    assert toolchain["bytes"] == change(rows["std"]) + change(rows["example.com/lib"]) + expected
    for level in ("modules", "packages", "kinds"):
        assert sum(map(change, found[level])) == change(found), level

    lines = shell("diff", "before/hello", "after/hello")
    assert any(line.startswith(f"  {OLDER} → go1.") for line in lines)
    assert any("from the toolchain)" in line for line in lines)


def test_flags_are_named(wherry):
    """A setting that differs is told, and what it did is no change of code."""
    shutil.copy(go_binary(PRINT, *STRIPPED, "-gcflags=all=-l"), wherry.root / "other")
    found = document(wherry, "before", "other")["binaries"][0]

    assert found["settings"] == [{"name": "-gcflags", "before": "", "after": "all=-l"}]
    assert {row["path"]: row["cause"] for row in found["modules"]}["std"] == "flags"
    assert any("-gcflags: (not set) → all=-l" in line for line in wherry("diff", "before", "other"))


def test_files_and_waste_of_images(tmp_path):
    """What containers see, by cause, and what is shipped in vain on each side."""
    from archives import file, link
    from built_images import put_layers
    from cli_shell import Shell

    shell = Shell(tmp_path)
    shell.store.tag("a:dev", put_layers(shell.store, [[file("same", b"1"), file("gone", b"g" * 40), file("m", b"m")]]))
    after = [
        [file("same", b"1"), file("new", b"n" * 700), file("m", b"m", mode=0o600), link("l", "new")],
        [file("new", b"N" * 900), file("copy", b"N" * 900)],
    ]
    shell.store.tag("b:dev", put_layers(shell.store, after))

    text = "\n".join(shell("diff", "a:dev", "b:dev", "--by", "file"))
    shell("diff", "a:dev", "b:dev", "--json")
    (image,) = json.loads(shell.out)["images"]

    assert "files: 3 added, 1 removed, 1 with another mode or owner (+2 kB visible)" in text
    assert "wasted: 0 B → 700 B" in text
    assert image["waste"] == {"before": 0, "after": 700, "duplicatesBefore": 0, "duplicatesAfter": 900}
    assert [(row["path"], row["cause"]) for row in image["files"]["files"]] == [
        ("/copy", "added"), ("/new", "added"), ("/gone", "removed"), ("/m", "mode"), ("/l", "added"),
    ]  # fmt: skip
    assert "| added | /copy" in "\n".join(shell("diff", "a:dev", "b:dev", "--by", "file", "--markdown")).replace(
        "`", ""
    )


def test_programs_that_are_the_same_and_not_of_go(tmp_path):
    """A program of another language that did not change takes no lines of its own, and no word that it is not Go's."""
    shell = Shell(tmp_path)
    program = Path(os.path.realpath("/bin/true")).read_bytes()
    for name, text in {"a:1": b"one", "a:2": b"another"}.items():
        layers = [[file("bin/true", program, mode=0o755), file("etc/x", text)]]
        shell.store.tag(name, put_layers(shell.store, layers))

    shell("diff", "a:1", "a:2")
    assert "pclntab" not in shell.out
    assert "the same in both: linux/amd64  /bin/true" in shell.out
