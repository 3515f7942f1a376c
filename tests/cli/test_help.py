"""`wherry help`, and what is said where an optional package is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from wherry.app.manual import groups
from wherry.cli.main import COMMANDS

NO_NUMPY = "import sys; sys.modules['numpy'] = None; from wherry.cli.main import main; main()"


@pytest.fixture
def wherry(tmp_path):
    """A shell."""
    return Shell(tmp_path / "here")


def test_all_topics_are_listed(wherry):
    """Without a word it lists every page, and each can be read."""
    listed = wherry("help")

    topics = [topic for pages in groups().values() for topic in pages]
    assert len(topics) == len(set(topics))
    for topic in topics:
        assert any(line.split()[:1] == [topic] for line in listed)
        assert wherry("help", topic)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_its_options(wherry, name):
    """`wherry help COMMAND` is `wherry COMMAND --help`, with the pages of that name below."""
    asked = wherry(name, "--help")

    assert wherry("help", name)[: len(asked)] == asked


def test_a_command_with_pages_shows_them(wherry):
    """The schema that `wherry slim --help` points to is there."""
    shown = wherry("help", "slim")

    assert any(line.startswith("Usage: wherry slim") for line in shown)
    assert "What `wherry slim --json` prints" in shown


@pytest.mark.parametrize("topic", ["wherry.toml", "wherry-toml", "docs/reference/wherry-toml.md"])
def test_a_file_is_a_topic(wherry, topic):
    """It goes by its own name, and by its page's as docs and old messages have it."""
    assert wherry("help", topic)[0] == "wherry.toml"


def test_an_unknown_topic_names_the_nearest(wherry):
    """A slip is mended by the hint."""
    wherry("help", "exit-code", code=66)

    assert "exit-codes" in wherry.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("size", "a:dev"), ("diff", "a:dev", "a:dev"), ("slim",), ("build", "--size-record")]
)
def test_without_numpy_it_is_said(wherry, words):
    """What needs the extra says so and how to get it, before anything is built; building and inspecting need none."""
    need("go")
    wherry.module()

    def without(*words: str) -> "subprocess.CompletedProcess[str]":
        call = [sys.executable, "-c", NO_NUMPY, *words]
        return subprocess.run(
            call, cwd=wherry.root, env=wherry.environment, capture_output=True, text=True, check=False, timeout=300
        )

    assert without("build", "-t", "a:dev").returncode == 0
    assert without("inspect", "a:dev").returncode == 0
    assert without("leaks", "a:dev").returncode == 0

    refused = without(*words)

    assert refused.returncode == 69
    assert "numpy" in refused.stderr.splitlines()[0]
    assert "pipx inject wherry numpy" in refused.stderr


def test_no_page_of_help_names_a_file_of_the_repository():
    """What `--help` and messages point to is in the wheel: pages go by `wherry help`."""
    source = Path(__file__).resolve().parents[2] / "src" / "wherry"
    for file in sorted((source / "cli").glob("*.py")):
        assert "docs/" not in file.read_text(), file
