"""hadolint's rules in `wherry lint`: by the real program where it is installed, and by stand-ins that misbehave."""

import io
import json
from pathlib import Path

import pytest
from tests.cli_shell import Shell

from needs import need
from wherry.app.hadolint_program import program_of
from wherry.cli.world import World

FILE = """FROM golang:1.26 AS build
COPY --from=ghcr.io/astral-sh/uv:0.8 /uv /uv
RUN <<EOF
cd /tmp
sudo apt-get update
EOF
COPY --exclude=*.md . /src
COPY <<-EOT /script.sh
\tsudo x
\tEOT
RUN --mount=type=cache,target=/root/.cache pip install foo==1
# check=skip=DL3003
RUN sudo ls && cd /x
MAINTAINER me
"""


@pytest.fixture
def shell(tmp_path):
    """A folder with a Dockerfile."""
    shell = Shell(tmp_path)
    shell.write("Dockerfile", FILE)
    return shell


def rules(shell: Shell, code: int = 1) -> list[tuple[str, int]]:
    """Give rules and lines."""
    found = json.loads("\n".join(shell("lint", "--json", code=code)))
    return [(one["rule"], int(one["place"].rpartition(":")[2])) for one in found]


def world(shell: Shell) -> World:
    """Give the session that a command would have."""
    return World(io.StringIO(), io.StringIO(), shell.environment, shell.root)


def program(shell: Shell, text: str) -> None:
    """Have a program in the place of hadolint."""
    file = shell.root / "hadolint"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    shell.environment["WHERRY_HADOLINT"] = "hadolint"


@pytest.mark.peers
def test_the_real_program(shell):
    """What it finds around heredocs and flags that it does not know, each at its line; what others say is left out."""
    shell.environment["WHERRY_HADOLINT"] = need("hadolint")

    theirs = [(rule, line) for rule, line in rules(shell) if rule.startswith(("DL", "SC"))]

    assert theirs == [("DL3004", 13), ("SC2164", 13)]
    assert ("MaintainerDeprecated", 14) in rules(shell)


def test_what_stops_it_is_hidden(shell):
    """An instruction that it can't read is given to it as comments; lines stay."""
    said = '[{"code":"DL1000","level":"error","line":%d,"message":"unexpected"}]'
    program(
        shell,
        f"""text=$(cat)
case "$text" in *EOF*|*EOT*) exit 3 ;; esac
case "$text" in *--exclude*) echo '{said % 7}' ;;
*) echo '[{{"code":"DL3004","level":"error","line":13,"message":"no sudo"}}]' ;; esac""",
    )

    assert [one for one in rules(shell) if one[0].startswith("DL")] == [("DL3004", 13)]


def test_what_others_say_better(shell):
    """Rules that wherry or Docker has, `COPY --from=IMAGE`, caches that are mounted, and skipped ones are left out."""
    said = [
        {"code": code, "level": "warning", "line": line, "message": "m"}
        for code, line in (
            ("DL3022", 2),
            ("DL3042", 11),
            ("DL3003", 13),
            ("DL4000", 14),
            ("DL3013", 11),
            ("DL3059", 13),
        )
    ]
    said[-1]["level"] = "style"
    program(shell, f"cat >/dev/null; echo '{json.dumps(said)}'")

    found = json.loads("\n".join(shell("lint", "--json", code=1)))

    assert [(one["rule"], one["severity"]) for one in found if one["rule"].startswith("DL")] == [
        ("DL3013", "warning"),
        ("DL3059", "note"),
    ]


@pytest.mark.parametrize("text", ["exit 1", "cat; echo no", "echo '[{}]'", "echo '[{\"code\":1}]'"])
def test_a_program_that_is_none(shell, text):
    """Then its rules are missing, which a note says; all others are checked."""
    program(shell, text)
    found = rules(shell)
    assert ("hadolint-failed", 1) in found
    assert ("MaintainerDeprecated", 14) in found


def test_where_it_is_looked_for(shell):
    """In PATH, and by its variable; `off` turns it off."""
    assert program_of(world(shell)) == ""
    program(shell, "")
    assert program_of(world(shell)) == str(shell.root / "hadolint")
    del shell.environment["WHERRY_HADOLINT"]
    shell.environment["PATH"] = str(shell.root)
    assert Path(program_of(world(shell))) == shell.root / "hadolint"
    shell.environment["WHERRY_HADOLINT"] = "/none/hadolint"
    assert ("hadolint-failed", 1) in rules(shell)
