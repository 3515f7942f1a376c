"""Secrets that a build would publish: values of -X, environment, labels, annotations of a Go module's image.

The attack: pull the image and read its config, its manifest, its index. Until this was found, the recipe had the
flags whole, and `wherry inspect` printed them.
"""

import json
import subprocess
from pathlib import Path

import pytest
from tests.cli_shell import Shell

pytestmark = pytest.mark.slow

VALUE = "correct-horse-battery"
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A module in a checkout with a tag."""
    shell = Shell(tmp_path / "app")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    shell.write(
        "main.go",
        "package main\n\nvar version, mode, apiToken string\n\nfunc main() { println(version, mode, apiToken) }\n",
    )
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    shell.write(".gitignore", "store\ncache\n.cache\n")
    for words in (
        ("init", "-q"),
        ("add", "go.mod", "main.go", ".gitignore"),
        ("commit", "-qm", "1"),
        ("tag", "v1.2.3"),
    ):
        subprocess.run(["git", *identity, *words], cwd=shell.root, check=True, env=shell.environment)
    return shell


def documents(shell: Shell) -> str:
    """Give every document of the store, as who pulls the image has them."""
    blobs = [file.read_bytes() for file in (shell.root / "store").rglob("*") if file.is_file()]
    return "\n".join(blob.decode(errors="replace") for blob in blobs if blob[:1] in (b"{", b"["))


def recipe(shell: Shell) -> dict[str, dict[str, str]]:
    """Read the recipe that the newest image has."""
    shell("inspect", "app", "--json")
    return json.loads(shell.out)["images"][0]["recipe"]


def test_literal_values_are_withheld(wherry):
    """The names are marked, so that a rebuild can ask for the values; no hash, since short secrets are guessed."""
    wherry("build", "-t", "app", "--ldflags", f"-X main.version={{{{.Version}}}} -X main.mode={VALUE}")

    assert VALUE not in documents(wherry)
    assert VALUE not in wherry.out + wherry.err
    go = recipe(wherry)["go"]
    assert go["flags"] == "-trimpath '-ldflags=-s -X main.version=1.2.3'"
    assert go["withheld"] == "main.mode"
    wherry("inspect", "app")
    assert "values of -X omitted: main.mode" in wherry.out


@pytest.mark.parametrize(
    "ldflags",
    [
        "-X=main.apiToken={}",
        "'-X=main.apiToken={}'",
        "--X main.apiToken={}",
        '-X "main.apiToken={}"',
        "-w -X 'main.apiToken={}'",
    ],
)
def test_a_name_stops_the_build(wherry, ldflags):
    """However it is written; and nothing was stored."""
    wherry("build", "--ldflags", ldflags.format(VALUE), code=65)

    assert "main.apiToken" in wherry.err
    assert "run time" in wherry.err
    assert "--allow-secret-ldflags" in wherry.err
    assert VALUE not in wherry.err
    assert VALUE not in documents(wherry)


def test_a_token_stops_the_build(wherry):
    """Under any name, of the environment too; and in GOFLAGS."""
    wherry.environment["T"] = TOKEN
    wherry("build", "--ldflags", "-X main.mode={{.Env.T}}", code=65)
    assert TOKEN not in wherry.err
    wherry.environment["GOFLAGS"] = f"-ldflags=-X=main.mode={TOKEN}"
    wherry("build", code=65)
    assert TOKEN not in wherry.err


def test_allowed(wherry):
    """The way past it is said aloud each time: without it, what was built once is no way in."""
    words = ("build", "-t", "app", "--ldflags", f"-X main.apiToken={VALUE}")
    wherry(*words, "--allow-secret-ldflags")
    assert "main.apiToken" in wherry.err
    assert VALUE not in documents(wherry)
    assert recipe(wherry)["go"]["withheld"] == "main.apiToken"
    wherry(*words, code=65)


def test_goflags_are_not_public(wherry):
    """Nothing tells where GOFLAGS has a value from, so a variable that it sets too is named only."""
    wherry.environment["GOFLAGS"] = f"-ldflags=-X=main.version={VALUE}"
    wherry("build", "-t", "app", "--ldflags", "-X main.version={{.Version}}")

    assert VALUE not in documents(wherry)
    assert recipe(wherry)["go"]["withheld"] == "main.version"


def test_randomness_only_warns(wherry):
    """Public keys look random too."""
    value = "q8Zr2LmN0pXvB7tYwK4sDf6GhJ1c"
    wherry("build", "-t", "app", "--ldflags", f"-X main.mode={value}")

    assert "main.mode" in wherry.err
    assert "looks random" in wherry.err
    assert value not in wherry.err + documents(wherry)


@pytest.mark.parametrize("option", ["--env", "--label", "--annotation"])
def test_tokens_in_what_an_image_says(wherry, option):
    """A token is one wherever it is put; a name alone only warns, for a value may be a switch."""
    wherry("build", option, f"a={TOKEN}", code=65)
    assert TOKEN not in wherry.err
    wherry("build", option, "USE_TOKEN=yes-please")
    assert "USE_TOKEN" in wherry.err


def test_no_value_in_an_explanation(wherry):
    """A log of CI has what --explain says; what the cache has of them, for linking again, is for its owner alone."""
    for value in (VALUE, "another-" + VALUE):
        wherry.environment["GOFLAGS"] = f"'-ldflags=-X=main.mode={value} -X=main.version={value}'"
        wherry("build", "--explain", "--no-strip", "--ldflags", f"-X main.mode={value}")
    assert "values of -X changed" in wherry.err
    assert VALUE not in wherry.err
    holders = [
        file for file in (wherry.root / "cache").rglob("*") if file.is_file() and VALUE.encode() in file.read_bytes()
    ]
    for file in holders:
        assert file.name.startswith("results-")
        assert file.stat().st_mode & 0o077 == 0


def test_leaks_names_what_the_recipe_leaves_out(wherry):
    """The program is trimmed and stripped, so only the recipe can say that a value is in it."""
    wherry("build", "-t", "app", "--allow-secret-ldflags", "--ldflags", f"-X main.apiToken={VALUE}")

    wherry("leaks", "app")

    assert "main.apiToken" in wherry.out
    assert VALUE not in wherry.out
