"""Secrets that a Dockerfile would publish: build arguments, variables, labels, commands.

The attack: pull the image and read its config and history. A known form of a token stops the build before any step;
a name alone warns, as BuildKit's check SecretsUsedInArgOrEnv does, since Docker builds such files.
"""

from pathlib import Path

import pytest
from tests.cli_shell import Shell

pytestmark = pytest.mark.slow

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A folder."""
    return Shell(tmp_path / "app")


@pytest.mark.parametrize(
    ("text", "options", "place"),
    [
        (f"ENV A={TOKEN}", (), "ENV A"),
        (f"LABEL a={TOKEN}", (), "LABEL a"),
        (f"ARG A={TOKEN}", (), "ARG A"),
        ("ARG A", ("--build-arg", f"A={TOKEN}"), "--build-arg A"),
        ("ARG A\nENV B=$A", ("--build-arg", f"A={TOKEN}"), "--build-arg A"),
        ("", ("--label", f"a={TOKEN}"), "--label a"),
        ("", ("--annotation", f"a={TOKEN}"), "--annotation a"),
        (f'CMD ["x", "{TOKEN}"]', (), "CMD"),
        (f"HEALTHCHECK CMD x {TOKEN}", (), "HEALTHCHECK"),
        (f"RUN x {TOKEN}", (), "RUN"),
    ],
)
def test_a_token_stops_the_build(wherry, text, options, place):
    """Before a step is done, and nothing is stored; the word that lets it through is told."""
    wherry.write("f", "x")
    wherry.write("Dockerfile", f"FROM scratch\nCOPY f /f\n{text}\n")

    wherry("build", "-f", "Dockerfile", ".", *options, code=65)

    assert f"{place}: contains a token of GitHub" in wherry.err
    assert "--mount=type=secret" in wherry.err
    assert "--allow published.secret" in wherry.err
    assert TOKEN not in wherry.err
    stored = b"".join(file.read_bytes() for file in (wherry.root / "store").rglob("*") if file.is_file())
    assert TOKEN.encode() not in stored


def test_allowed(wherry):
    """Then it is a warning, and the image is built."""
    wherry.write("f", "x")
    wherry.write("Dockerfile", f"FROM scratch\nCOPY f /f\nENV A={TOKEN}\n")

    wherry("build", "-f", "Dockerfile", ".", "--allow", "published.secret")

    assert wherry.err.count("contains a token of GitHub") == 1
    assert TOKEN not in wherry.err


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ENV DB_PASSWORD=correct-horse", "ENV DB_PASSWORD"),
        ("ENV URL=postgres://app:c0rrect-horse@db.internal/x", "ENV URL"),
        ("LABEL api_key=correct-horse", "LABEL api_key"),
    ],
)
def test_a_name_only_warns(wherry, text, place):
    """As a URL with a password does: defaults for development look like that."""
    wherry.write("f", "x")
    wherry.write("Dockerfile", f"FROM scratch\nCOPY f /f\n{text}\n")

    wherry("build", "-f", "Dockerfile", ".")

    assert place in wherry.err
    assert "correct-horse" not in wherry.err
    assert "c0rrect-horse" not in wherry.err


def test_what_stays_in_another_stage_is_not_published(wherry):
    """A stage that the image only copies from leaves no history in it."""
    wherry.write("f", "x")
    wherry.write("Dockerfile", f"FROM scratch AS a\nCOPY f /f\nENV A={TOKEN}\nFROM scratch\nCOPY --from=a /f /f\n")

    wherry("build", "-f", "Dockerfile", ".", "-t", "app")

    wherry("inspect", "app", "--json")
    assert TOKEN not in wherry.out


def test_a_token_in_what_a_url_asks_for(wherry):
    """ADD's source stays in the history, query and all; nothing answers here, and the warning comes before that."""
    wherry.write("Dockerfile", "FROM scratch\nADD http://127.0.0.1:9/x.tar?v=1&access_token=correct-horse /x\n")

    wherry("build", "-f", "Dockerfile", ".", code=69)

    assert "access_token: has the name of a secret" in wherry.err
    wherry.write("Dockerfile", f"FROM scratch\nADD http://127.0.0.1:9/x.tar?v={TOKEN} /x\n")
    wherry("build", "-f", "Dockerfile", ".", code=65)
