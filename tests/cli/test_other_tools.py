"""Commands and options of docker and ko that wherry does not have: the error says what to use in their place."""

import click
import pytest

from cli_shell import Shell
from wherry.cli.main import COMMANDS
from wherry.cli.main import wherry as group
from wherry.cli.other_tools import COMMANDS as OTHERS
from wherry.cli.other_tools import OPTIONS


@pytest.fixture
def wherry(tmp_path):
    """A shell in a folder."""
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("words", "use"),
    [
        (("publish", "./cmd/api"), "wherry build --push"),
        (("attach", "api"), "wherry logs -f"),
        (("rmi", "api:dev"), "wherry rm"),
        (("run", "--memory-swap", "1g", "api:dev"), "leave it out"),
        (("run", "--mount=type=bind,src=/a,dst=/b", "api:dev"), "use -v SRC:DST[:ro]"),
        (("build", "--rm", "."), "leave it out"),
    ],
)
def test_the_replacement_is_named(wherry, words, use):
    """And no command or option that only looks alike."""
    wherry(*words, code=64)

    assert "hint: " in wherry.err
    assert use in wherry.err
    assert "Did you mean" not in wherry.err


def test_a_slip_still_gets_the_nearest(wherry):
    """The words of other tools change nothing for it."""
    wherry("buid", code=64)
    assert "Did you mean 'build'?" in wherry.err

    wherry("run", "--nam", "x", "api:dev", code=64)
    assert "No such option '--nam'" in wherry.err


def test_no_entry_hides_what_wherry_has():
    """Hints are for what is absent."""
    assert not OTHERS.keys() & COMMANDS.keys()
    for name, hints in OPTIONS.items():
        command = group.get_command(click.Context(group), name)
        assert not hints.keys() & {word for option in command.params for word in option.opts}
