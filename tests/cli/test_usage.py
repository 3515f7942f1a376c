"""How a command line is refused: with 64 (EX_USAGE), whichever command it is for and whoever finds the fault."""

import importlib
import io
from collections.abc import Iterator

import click
import pytest

from built_images import file, put_layers
from cli_shell import Shell
from wherry.cli.main import COMMANDS, run
from wherry.cli.world import World
from wherry.errors import InvalidUsage


@pytest.fixture(scope="module")
def wherry(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in an empty directory."""
    return Shell(tmp_path_factory.mktemp("usage"))


def command_named(name: str) -> click.Command:
    """Load a command."""
    found = importlib.import_module("wherry.cli." + name.replace("-", "_")).command
    assert isinstance(found, click.Command)
    return found


def wrong_calls(name: str) -> Iterator[list[str]]:
    """Give calls of a command that nothing makes right: one for each kind of slip that its parameters allow."""
    command = command_named(name)
    taken = command.context_settings.get("ignore_unknown_options", False)
    if not taken:
        yield [name, "--no-such-option"]
    if any(parameter.required for parameter in command.params):
        yield [name]
    most = sum(parameter.nargs for parameter in command.params if isinstance(parameter, click.Argument))
    if not any(parameter.nargs < 0 for parameter in command.params) and not taken:
        yield [name, *["surplus"] * (most + 1)]
    for parameter in command.params:
        needs = isinstance(parameter, click.Option) and not parameter.is_flag and not parameter.count
        if needs and not parameter._flag_needs_value:
            option = max(parameter.opts, key=len)
            yield [name, option]
            if isinstance(parameter.type, click.Choice | click.types.IntParamType | click.types.FloatParamType):
                yield [name, option, "no such value"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_alike(wherry: Shell, name: str):
    """An unknown option, a missing or surplus argument, an option without its value, a value that is none of its."""
    calls = list(wrong_calls(name))

    assert calls
    assert {tuple(call): wherry.ended(*call) for call in calls} == {tuple(call): 64 for call in calls}
    assert InvalidUsage.exit_code == 64


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",), ("--no-such-option",), (), ("--store",), ("scan",), ("scan", ".", "--fail-on", "nothing"),
        ("scan", "--update", "--offline"), ("attest", "x", "--predicate", "-", "--type", "openvex"),
        ("build", "--sbom", "unheard-of"), ("copy", "a", "oci-archive:"), ("timeouts",), ("sbom", "x", "-o", "."),
    ],
)  # fmt: skip
def test_words_that_do_not_fit(wherry: Shell, words: tuple[str, ...]):
    """What click finds and what wherry finds end with the same code."""
    assert wherry.ended(*words) == 64


def test_as_json(wherry: Shell):
    """The document of the error has the code that the program ends with."""
    assert wherry.ended("scan", "--json", "--no-such-option") == 64
    assert '"exitCode": 64' in wherry.out


@pytest.mark.parametrize("words", [("sbom", "it:dev", "--no-licenses"), ("provenance", "it:dev", "--predicate")])
def test_a_dash_is_stdout(wherry: Shell, words: tuple[str, ...]):
    """A document is written to a file, or with `-o -` where it goes without an option."""
    wherry.store.tag("it:dev", put_layers(wherry.store, [[file("etc/motd", b"hello\n")]]))
    printed = wherry(*words)

    assert wherry(*words, "-o", "-") == printed
    assert not (wherry.root / "-").exists()
    assert wherry(*words, "-o", "document.json") == []
    assert (wherry.root / "document.json").read_text().splitlines() == printed


def test_a_dash_is_stdin(wherry: Shell):
    """What is stated can come from another program."""
    wherry.store.tag("it:dev", put_layers(wherry.store, [[file("etc/motd", b"hello\n")]]))
    stdin = io.TextIOWrapper(io.BytesIO(b'{"@context": "https://openvex.dev/ns/v0.2.0"}'))
    world = World(io.StringIO(), io.StringIO(), wherry.environment, wherry.root, stdin=stdin)
    words = ["attest", "it:dev", "--predicate", "-", "--type", "openvex", "--attach", "referrers"]

    assert run(words, world) == 0
    assert any("application/vnd.in-toto+json" in line for line in wherry("tree", "it:dev"))


def test_no_packages_to_update(wherry):
    """`base update` without a lock file says that there is nothing, and what makes one."""
    wherry("base", "update", "--dry-run", code=66)

    assert "wherry.lock pins no Debian packages" in wherry.err
