"""Packages of a Go build are counted: done of all, the one that is compiled, downloads, then linking."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from cli_shell import Shell
from wherry.build.compile_progress import CompileProgress

IMPORTS = {
    "unsafe": (),
    "runtime": ("unsafe",),
    "errors": ("runtime",),
    "net": ("errors",),
    "example.com/m": ("net", "runtime"),
}


def progress_of(imports: dict[str, tuple[str, ...]] | None) -> tuple[CompileProgress, list[str]]:
    """Make a counter, and the list of what it reports."""
    said: list[str] = []
    return CompileProgress("example.com/m", said.append, lambda: imports), said


def test_what_a_package_imports_is_done():
    """A package that is compiled has everything it needs, whether that was compiled now or cached."""
    progress, said = progress_of(IMPORTS)
    for line in ("errors", "net", "example.com/m"):
        progress.line(line)

    assert said == [
        "2 of 5 packages, errors",
        "3 of 5 packages, net",
        "4 of 5 packages, example.com/m, then linking",
    ]


def test_downloads_are_counted():
    """Each module that Go fetches is named."""
    progress, said = progress_of(None)
    progress.line("go: downloading golang.org/x/net v0.61.0")
    progress.line("go: downloading golang.org/x/sys v0.40.0")

    assert said[-1] == "downloading golang.org/x/sys v0.40.0 (2)"


def test_before_packages_are_known():
    """Until `go list` has answered, packages are counted without their sum."""
    progress, said = progress_of(None)
    progress.line("net")

    assert said == ["package 1, net"]


@pytest.mark.parametrize("imports", [None, IMPORTS])
def test_errors_are_not_progress(imports):
    """What a compiler says stays as it is; names of packages and downloads go."""
    progress, said = progress_of(imports)
    words = "# example.com/m\n./main.go:3:1: undefined: x\n\tnote: here"

    assert progress.others(f"runtime\nnet\ngo: downloading x v1\n{words}") == words
    progress.line("# example.com/m")
    progress.line("./main.go:3:1: undefined: x")
    assert said == []


@pytest.mark.slow
def test_a_build_reports_its_packages(tmp_path: Path):
    """A real build ends at all packages but the program, with no line of Go's left in its output."""
    wherry = Shell(tmp_path)
    name = f"m{uuid4().hex}"  # else its packages are in the cache of Go from a run before
    wherry.write("go.mod", f"module example.com/{name}\n\ngo 1.21\n")
    wherry.write("inner/inner.go", 'package inner\n\nimport "fmt"\n\nfunc Say() { fmt.Println("hi") }\n')
    wherry.write("main.go", f'package main\n\nimport "example.com/{name}/inner"\n\nfunc main() {{ inner.Say() }}\n')
    wherry("build", ".", "-t", "x:dev", "--progress", "json")
    events = [json.loads(line) for line in wherry.err.splitlines()]
    details = [one["text"] for one in events if one["event"] == "detail"]

    done, _, rest = details[-1].partition(" of ")
    assert rest == f"{int(done) + 1} packages, example.com/{name}, then linking"
    assert any(text.endswith(f"packages, example.com/{name}/inner") for text in details)
    lines = [one["text"] for one in events if one["event"] in {"line", "printed"}]
    assert f"example.com/{name}/inner" not in lines
