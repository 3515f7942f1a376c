"""What `.ko.yaml` says, as ko takes it: templates in flags, entries that match nothing, unknown keys."""

import json
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from wherry.store.images import read_image

pytestmark = pytest.mark.slow

TAGGED = {
    "cmd/api/main.go": 'package main\n\nvar word = "plain"\n\nfunc main() { println(word) }\n',
    "cmd/api/tagged.go": '//go:build special\n\npackage main\n\nfunc init() { word = "special" }\n',
}


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A module whose program is another with a tag."""
    need("go")
    shell = Shell(tmp_path / "home")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    for name, text in TAGGED.items():
        shell.write(name, text)
    return shell


def flags(wherry: Shell, name: str) -> str:
    """Read the flags that an image was compiled with."""
    image = read_image(wherry.store, wherry.store.resolve(name))
    recipe = json.loads((image.config.runtime.labels or {})["dev.wherry.recipe"])
    return str(recipe["go"]["flags"])


@pytest.mark.parametrize(
    "entry",
    [
        "flags: ['-tags={{.Env.TAGS}}']",
        "flags: [-tags, '{{ .Env.TAGS }}']",
        "flags: -tags={{.Env.TAGS}}",
        """flags: ['-tags={{index .Env "TAGS"}}']""",
        "flags: ['-tags=other,{{.Env.TAGS}}']",
    ],
)
def test_a_template_in_flags(wherry, entry):
    """It is expanded as one in ldflags is; the program has the tag."""
    wherry.environment["TAGS"] = "special"
    wherry.write(".ko.yaml", f"builds:\n- main: ./cmd/api\n  {entry}\n")

    wherry("build", "./cmd/api", "-t", "a:1", "--no-vcs")

    assert "special" in flags(wherry, "a:1")
    assert "{{" not in flags(wherry, "a:1")


@pytest.mark.parametrize("command", [("build", "./cmd/api"), ("init", "--stdout")])
@pytest.mark.parametrize(
    "entry",
    [
        "flags: ['-tags={{if .Env.TAGS}}x{{end}}']",
        "ldflags: ['-X main.word={{.Env.TAGS | printf \"%s\"}}']",
        "flags: ['{{.Env.TAGS}}']",
        "flags: ['-tags={{.GoEnv.GOOS}}']",
    ],
)
def test_templates_that_are_not_expanded(wherry, command, entry):
    """`init` refuses what `build` refuses: no program is built of literal braces."""
    wherry.write(".ko.yaml", f"builds:\n- main: ./cmd/api\n  {entry}\n")

    wherry(*command, code=78 if "['{{" in entry else 64)

    assert "{{" in wherry.err
    assert not (wherry.root / "wherry.toml").exists()


def test_templates_in_init(wherry):
    """They are written down as they are, and the wherry.toml builds the same program."""
    wherry.environment["TAGS"] = "special"
    wherry.write(".ko.yaml", "builds:\n- main: ./cmd/api\n  flags: ['-tags={{.Env.TAGS}}']\n")
    wherry("init")

    wherry("build", "api", "--no-vcs")

    assert "special" in flags(wherry, "api:latest")


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("main: ./cmd/nothere", "line 2: builds[0].main"),
        ("main: ./cmd/api/none.go", "line 2: builds[0].main"),
        ("dir: ./nothere", "line 2: builds[0].dir"),
        ("id: x\n  main: example.com/app/cmd/nothere", "line 3: builds[0].main"),
        ("main: ./cmd", "line 2: builds[0].main"),
    ],
)
def test_an_entry_that_matches_nothing(wherry, entry, place):
    """It is an error at its line, whichever program is built."""
    wherry.write(".ko.yaml", f"builds:\n- {entry}\n")

    wherry("build", "./cmd/api", code=78)

    assert place in wherry.err


@pytest.mark.parametrize(
    "entry",
    [
        "main: example.com/app/cmd/api",
        "main: ./cmd/api/main.go",
        "dir: cmd\n  main: api",
        "dir: ./cmd/api",
        "DIR: cmd/api",
    ],
)
def test_entries_that_match(wherry, entry):
    """An import path, a file, a folder: all name the program."""
    wherry.write(".ko.yaml", f"builds:\n- {entry}\n  flags: [-tags=special]\n")

    wherry("build", "./cmd/api", "-t", "a:1", "--no-vcs")

    assert "special" in flags(wherry, "a:1")


def test_unknown_keys(wherry):
    """Ko ignores them, and so do we, with a line each; `init` says it too."""
    wherry.write(".ko.yaml", "defaultBaseImg: x\nbuilds:\n- main: ./cmd/api\n  ldflag: -s\n")

    wherry("build", "./cmd/api", "-t", "a:1", "--no-vcs")
    assert "line 1: defaultBaseImg is unknown and ignored; did you mean defaultBaseImage?" in wherry.err
    assert "line 4: builds[0].ldflag is unknown" in wherry.err
    wherry("init", "--stdout")
    assert "defaultBaseImg is unknown" in wherry.err


def test_a_file_that_is_named_and_missing(wherry):
    """KO_CONFIG_PATH is not ignored."""
    wherry.environment["KO_CONFIG_PATH"] = "nothere.yaml"

    wherry("build", "./cmd/api", code=78)

    assert "KO_CONFIG_PATH=nothere.yaml" in wherry.err


def test_paths_of_a_file_elsewhere(wherry):
    """They start at the working directory, as in ko."""
    wherry.environment["KO_CONFIG_PATH"] = "config/ko.yaml"
    wherry.write("config/ko.yaml", "builds:\n- main: ./cmd/api\n  flags: [-tags=special]\n")

    wherry("build", "./cmd/api", "-t", "a:1", "--no-vcs")

    assert "special" in flags(wherry, "a:1")


def test_a_broken_link_in_kodata(wherry):
    """The message speaks of kodata, not of an option that was not given."""
    wherry.write("cmd/api/kodata/page.html", "hello")
    (wherry.root / "cmd/api/kodata/gone").symlink_to("missing.html")

    wherry("build", "./cmd/api", code=66)

    assert "kodata/gone: broken link to missing.html" in wherry.err
