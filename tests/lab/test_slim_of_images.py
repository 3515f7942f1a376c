"""`wherry slim` and `wherry flags` take an image of the store: its recipe says what it was built from."""

import pytest

from cli_shell import Shell
from needs import need

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path):
    """A module with two programs, one of which is built."""
    need("go")
    shell = Shell(tmp_path / "here")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    for name in ("notes", "other"):
        shell.write(f"cmd/{name}/main.go", f'package main\n\nfunc main() {{ println("{name}") }}\n')
    shell("build", "-t", "notes:latest", "./cmd/notes")
    return shell


def test_the_advice_of_a_broken_budget_works(wherry):
    """The command that the hint of a broken budget names does what the hint says."""
    wherry.write("wherry.toml", '[services.notes]\npackage = "./cmd/notes"\ntags = ["notes:latest"]\n')
    wherry.write("wherry.toml", (wherry.root / "wherry.toml").read_text() + '[budgets]\nunpacked = "1 kB"\n')
    wherry("build", code=1)
    assert "wherry slim notes:latest" in wherry.err

    assert wherry("slim", "notes:latest")
    assert wherry("slim", "--json", "notes:latest")


def test_elsewhere_it_says_where_to_go(wherry):
    """Without the source, the package is named."""
    wherry.root = wherry.root.parent / "elsewhere"
    wherry.root.mkdir()

    wherry("slim", "notes:latest", code=66)

    assert "example.com/app/cmd/notes" in wherry.err


def test_what_is_no_image_either(wherry):
    """Nothing is found, as before."""
    wherry("slim", "nowhere:1", code=66)
