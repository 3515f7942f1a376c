"""Help that is read: groups, two examples a page, versions, and what `--verbose` and `--debug` print."""

import io
import json
import re
import shlex
from collections import Counter
from pathlib import Path

import click
import pytest

from cli_shell import Shell
from wherry import __version__
from wherry.cli.examples import EXAMPLES
from wherry.cli.grouped import COMMAND_GROUPS, by_group, group_of
from wherry.cli.main import COMMANDS, wherry
from wherry.cli.world import World


def command_of(name: str) -> tuple[click.Command, click.Context]:
    """Give a command and its context."""
    world = World(io.StringIO(), io.StringIO(), {"HOME": "/"}, Path("/"))
    top = wherry.make_context("wherry", [], resilient_parsing=True, obj=world)
    command = wherry.get_command(top, name)
    assert command is not None
    return command, command.make_context(name, [], parent=top, resilient_parsing=True)


def test_every_command_is_in_one_group():
    """`wherry --help` lists each command once."""
    named = Counter(name for names in COMMAND_GROUPS.values() for name in names)

    assert set(named) == set(COMMANDS)
    assert set(named.values()) == {1}
    assert [name for names in by_group(COMMANDS).values() for name in names] == list(named)


@pytest.mark.parametrize("name", ["build", "resolve", "apply", "create", "run"])
def test_every_option_of_a_long_page_has_a_group(name):
    """Nothing is left over."""
    command, context = command_of(name)
    options = [one for one in command.get_params(context) if isinstance(one, click.Option) and not one.hidden]

    assert [one.opts for one in options if group_of(name, one) == "Other options"] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_two_examples_that_are_right(name):
    """Each example is read by its command as it stands."""
    command, context = command_of(name)
    page = command.get_help(context)

    assert len(EXAMPLES[name]) == 2
    for example in EXAMPLES[name]:
        assert f"  {example}\n" in f"{page}\n"
        words = shlex.split(example)
        assert words[:2] == ["wherry", name]
        command.make_context(name, words[2:], parent=context.parent)


def test_a_long_page_has_groups():
    """Options of a front end stand under its name."""
    command, context = command_of("build")
    page = command.get_help(context)

    assert re.findall(r"^(\w[^:\n]*):$", page, re.MULTILINE) == [
        "Result", "Both front ends", "Image", "Go", "Dockerfile", "On a cluster", "Names, as in ko", "General",
        "Examples",
    ]  # fmt: skip
    assert page.index("Dockerfile:\n") < page.index("--build-arg") < page.index("Names, as in ko:\n")


def test_versions(tmp_path):
    """`wherry version` names wherry and the Go of builds."""
    wherry = Shell(tmp_path)

    assert wherry("version")[0] == f"wherry {__version__}"
    assert json.loads("\n".join(wherry("version", "--json")))["wherry"] == __version__


def test_verbose_shows_programs(tmp_path):
    """Before or after the command, each program that is started has a line with its exit code."""
    wherry = Shell(tmp_path)
    for words in (("--verbose", "version"), ("version", "--verbose")):
        wherry(*words)
        assert re.search(r"^\+ \S+ env -json .*; exit \d+\)$", wherry.err, re.MULTILINE)
    wherry("version")
    assert wherry.err == ""


def test_verbose_hides_values_of_x(tmp_path):
    """What -X sets may be a secret: its name is printed, its value is not."""
    wherry = Shell(tmp_path)
    wherry.module()
    wherry("--verbose", "build", ".", "--ldflags", "-X main.x=hunter2", "--allow-secret-ldflags", "--progress", "quiet")

    assert " build -v " in wherry.err
    assert "main.x" in wherry.err
    assert "hunter2" not in wherry.err


def test_debug_shows_where_an_error_is_from(tmp_path: Path):
    """--debug prints the traceback, and then the error as ever."""
    wherry = Shell(tmp_path)
    wherry("--debug", "inspect", "nothing:here", code=66)

    assert wherry.err.index("Traceback (most recent call last):") < wherry.err.index("error: ")
