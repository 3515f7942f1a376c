"""What Go says, as it would be said where the user is: judged by Go itself."""

import os
import subprocess

import pytest

from needs import need
from wherry.errors import SourceLine
from wherry.source.go_messages import places_in, seen_from

FILES = {
    "go.mod": "module example.com/app\n\ngo 1.21\n",
    "main.go": "package main\n\nfunc main() { undefined0() }\n",
    "cmd/worker/main.go": 'package main\n\nimport "example.com/app/internal/x"\n\nfunc main() { x.X() }\n',
    "cmd/types/main.go": "package main\n\nfunc main() { y := 1 }\n\nfunc main() {}\n",
    "cmd/imports/main.go": 'package main\n\nimport _ "example.com/nowhere"\n\nfunc main() {}\n',
    "cmd/embeds/main.go": 'package main\n\nimport _ "embed"\n\n//go:embed none\nvar x string\n\nfunc main() {}\n',
    "cmd/syntax/main.go": "package main\n\nfunc main() {\n",
    "cmd/with space/main.go": "package main\n\nfunc main() { undefined1() }\n",
    "internal/x/x.go": "package x\n\nfunc X() { undefined2() }\n",
}
PROGRAMS = ["cmd/worker", "cmd/types", "cmd/imports", "cmd/embeds", "cmd/syntax", "."]


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """A module whose programs are wrong in each way."""
    folder = tmp_path_factory.mktemp("module")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def said(folder, argument):
    """What `go build` prints in a folder."""
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOWORK": "off", "GOENV": "off"}
    environment["PWD"] = str(folder)
    done = subprocess.run(
        [need("go"), "build", "-o", os.devnull, argument],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("here", [".", "cmd", "internal/x"])
def test_go_says_the_same_there(module, program, here):
    """Translated from the package's folder, it is what Go prints for the same program in the user's folder."""
    folder = module / here
    argument = os.path.relpath(module / program, folder)
    argument = argument if argument.startswith(".") else f"./{argument}"

    translated = seen_from(said(module / program, "."), module / program, folder)

    assert sorted(translated.splitlines()) == sorted(said(folder, argument).splitlines())


def test_names_with_spaces(module):
    """A path may have spaces; what is no file here is left alone."""
    words = "./main.go:3:15: undefined: undefined1\n./other.go:1:1: no\n"

    assert seen_from(words, module / "cmd" / "with space", module) == (
        "cmd/with space/main.go:3:15: undefined: undefined1\n./other.go:1:1: no\n"
    )


def test_places():
    """A place a line; a line that explains another is none."""
    words = (
        "# example.com/app\n./main.go:5:6: main redeclared in this block\n\t./main.go:3:6: other declaration of main\n"
        "go.mod:4: unknown directive: requir\n"
    )

    assert list(places_in(words)) == [
        SourceLine("main.go", 5, 6, "main redeclared in this block"),
        SourceLine("go.mod", 4, 0, "unknown directive: requir"),
    ]
