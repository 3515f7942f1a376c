"""What keeps dead code: causes with all ways to them, told by the linker of each Go."""

import os
import subprocess
from pathlib import Path

import pytest

from gobuild import go_said, go_version
from needs import need
from wherry.lab.deadcode import FLAGS, DeadCode, read

FILES = {
    "go.mod": "module example.com/planted\n\ngo 1.20\n",
    "main.go": (
        'package main\n\nimport (\n\t"example.com/planted/a"\n\t"example.com/planted/b"\n)\n\n'
        "func main() { a.A(); b.B() }\n"
    ),
    "a/a.go": (
        'package a\n\nimport "example.com/planted/reflector"\n\n//go:noinline\n'
        'func A() { reflector.Call(reflector.T{}, "M") }\n'
    ),
    "b/b.go": (
        'package b\n\nimport "example.com/planted/reflector"\n\n//go:noinline\n'
        'func B() { reflector.Call(reflector.T{}, "N") }\n'
    ),
    "reflector/r.go": (
        'package reflector\n\nimport "reflect"\n\ntype T struct{}\n\nfunc (T) M() {}\n\n//go:noinline\n'
        "func Call(v any, name string) { reflect.ValueOf(v).MethodByName(name).Call(nil) }\n"
    ),
}
IMPORTS = {
    "main": ("example.com/planted/a", "example.com/planted/b"),
    "example.com/planted/a": ("example.com/planted/reflector",),
    "example.com/planted/b": ("example.com/planted/reflector",),
    "example.com/planted/reflector": ("reflect",),
}


def linked(folder: Path, toolchain: str, files: dict[str, str] = FILES) -> DeadCode:
    """Link a planted module, and read what the linker says."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    words = [need("go"), "build", "-buildvcs=false", f"-ldflags=-s {FLAGS}", "-o", "out", "."]
    environment = {"GOFLAGS": "", "GOTOOLCHAIN": toolchain, "CGO_ENABLED": "0"}
    done = subprocess.run(
        words, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return read(done.stderr.splitlines(), IMPORTS, go_version() if toolchain == "local" else toolchain)


@pytest.mark.slow
def test_both_ways_are_told(tmp_path):
    """Two packages use the function that calls by name: a spanning tree would show one of them."""
    found = linked(tmp_path, "local")

    (cause,) = found.causes
    assert cause.function == "example.com/planted/reflector.Call"
    assert cause.chain[-1] == cause.function
    assert "main.main" in cause.chain
    assert cause.routes == (
        ("main", "example.com/planted/a", "example.com/planted/reflector"),
        ("main", "example.com/planted/b", "example.com/planted/reflector"),
    )


@pytest.mark.slow
def test_nothing_to_tell(tmp_path):
    """A program that calls no method by name lets the linker leave methods out."""
    found = linked(tmp_path, "local", {"go.mod": FILES["go.mod"], "main.go": "package main\n\nfunc main() {}\n"})

    assert found.told
    assert found.eliminated
    assert found.symbols > 1000


@pytest.mark.peers
@pytest.mark.parametrize("toolchain", ["go1.22.12", "go1.24.9", "go1.27.3"])
def test_each_linker_says_it(tmp_path, toolchain):
    """The linkers of all Gos that are read say it in these words."""
    assert go_said("env", "GOPROXY", own=True)

    found = linked(tmp_path, toolchain)

    assert [cause.function for cause in found.causes] == ["example.com/planted/reflector.Call"]
    assert len(found.causes[0].routes) == 2


@pytest.mark.peers
def test_older_linkers_say_less(tmp_path):
    """That of Go 1.21 marks the function that was called, and not the one that calls it; that of 1.20 nothing."""
    found = linked(tmp_path, "go1.21.13")
    assert [cause.function for cause in found.causes] == ["reflect.Value.MethodByName"]

    found = linked(tmp_path, "go1.20.14")
    assert not found.causes
    assert not found.told


def test_a_linker_that_says_nothing():
    """Without marks nothing is known, which is not the same as nothing kept."""
    found = read(["_ -> main.main"], {}, "go1.20.14")

    assert not found.told
    assert not found.eliminated


def test_lines_of_another_kind():
    """What is no edge and no call is passed over; consequences are told from causes by when they come."""
    found = read(
        [
            "# example.com/planted",
            "_ -> main.main",
            "main.main -> a.First <ReflectMethod>",
            "main.main -> type:b.T <UsedInIface>",
            "type:b.T <UsedInIface> -> b.(*T).Exported",
            "b.(*T).Exported -> c.Second <ReflectMethod>",
            "main.main calls a.First",
            "->",
        ],
        {"main": ("a", "b"), "b": ("c",)},
        "go1.26.8",
    )

    assert [cause.function for cause in found.causes] == ["a.First"]
    assert found.causes[0].routes == (("main", "a"),)
    assert found.consequences == ("c.Second",)
