"""`wherry lint`, and the checks of a build."""

import io
import json

import pytest
from tests.cli_shell import Shell

from wherry.cli.main import run
from wherry.cli.world import World

GOOD = 'FROM scratch\nCOPY app /app\nENTRYPOINT ["/app"]\n'


@pytest.fixture
def shell(tmp_path):
    """A folder with a Dockerfile that has one flaw."""
    shell = Shell(tmp_path)
    shell.write("Dockerfile", GOOD.replace('["/app"]', "/app"))
    return shell


def test_findings_are_lines(shell):
    """File, line, rule and message, and what mends it; exit 1."""
    first, second = shell("lint", code=1)

    assert first.startswith("Dockerfile:3: JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT ")
    assert second.startswith("  remedy: write the command as a JSON array")


@pytest.mark.parametrize("words", [["Dockerfile"], ["."], ["Dockerfile", "--context", "."]])
def test_a_file_or_a_folder(shell, words):
    """All of them are the same Dockerfile."""
    found = shell("lint", *words, "--json", code=1)

    assert [one["rule"] for one in json.loads("\n".join(found))] == ["JSONArgsRecommended"]


def test_standard_input(shell):
    """A Dockerfile can come by itself."""
    out = io.StringIO()
    stdin = io.TextIOWrapper(io.BytesIO(b"FROM scratch\nMAINTAINER me\n"))

    code = run(["lint", "-"], World(out, io.StringIO(), shell.environment, shell.root, stdin=stdin))

    assert code == 1
    assert out.getvalue().startswith("-:2: MaintainerDeprecated")


def test_nothing_found(shell):
    """Stdout is empty, and stderr says so; exit 0."""
    shell.write("Dockerfile", GOOD)

    assert shell("lint") == []
    assert "no findings" in shell.err
    assert json.loads("".join(shell("lint", "--json"))) == []


def test_a_file_that_is_none(shell):
    """The error has the line and what was meant; what was found above it is printed first."""
    shell.write("Dockerfile", "FROM scratch\nMAINTAINER me\nCOPPY a /\n")

    found = shell("lint", code=65)

    assert found[0].startswith("Dockerfile:2: MaintainerDeprecated")
    assert "Dockerfile:3: unknown instruction: COPPY (did you mean COPY?)" in shell.err


def test_the_ignore_file_of_the_dockerfile_wins(shell):
    """FILE.dockerignore stands for .dockerignore."""
    shell.write(".dockerignore", "app\n")
    assert any("CopyIgnoredFile" in line for line in shell("lint", code=1))

    shell.write("Dockerfile.dockerignore", "*.md\n")
    assert not any("CopyIgnoredFile" in line for line in shell("lint", code=1))


def test_arguments_platform_and_target(shell):
    """What the build would be given is taken too."""
    shell.write("Dockerfile", "ARG base\nFROM $base AS a\nFROM --platform=linux/$WHAT scratch AS b\nARG WHAT\n")

    assert any("blank" in line for line in [*shell("lint", code=65), shell.err])
    found = shell("lint", "--build-arg", "base=scratch", "--build-arg", "WHAT=arm64", "--target", "a", code=65)
    assert "UndefinedArgInFrom" in "".join(found)


def test_a_named_context_is_a_base(shell):
    """A folder sets no variables; what it replaces is not looked into."""
    shell.write("Dockerfile", "FROM base\nENV a=$b\n")

    (line, doubt, _) = shell("lint")
    assert "UndefinedVar" in line
    assert "not available" in doubt
    assert len(shell("lint", "--build-context", "base=.", code=1)) == 2


def test_build_check(shell):
    """`wherry build --check` says the same and builds nothing."""
    assert shell("build", "--check", ".", code=1) == shell("lint", code=1)
    assert shell.store.tags() == {}


def test_a_build_can_be_held_to_its_checks(shell):
    """`# check=error=true` stops a build where something is found."""
    shell.write("Dockerfile", "# check=error=true\nFROM scratch AS a\nWORKDIR x\n")

    shell("build", "-f", "Dockerfile", ".", code=65)

    assert "lint violation found for rules: WorkdirRelativePath" in shell.err
    assert shell.store.tags() == {}
