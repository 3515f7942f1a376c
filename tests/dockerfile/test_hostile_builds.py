"""Dockerfiles that mean harm: a build ends soon, well or with the line that is wrong."""

import pytest
from tests.cli_shell import Shell

ENDLESS = "9" * 5000


@pytest.fixture
def shell(tmp_path):
    """A folder with a file to copy."""
    shell = Shell(tmp_path)
    shell.write("x", "x")
    return shell


@pytest.mark.slow
def test_a_long_chain_of_stages(shell):
    """Each of many stages begins with the one above."""
    chain = "".join(f"FROM s{number} AS s{number + 1}\n" for number in range(2000))
    shell.write("Dockerfile", f"FROM scratch AS s0\n{chain}COPY x /\n")

    (image,) = shell("build", "-f", "Dockerfile", "-t", "chain", ".")

    assert image.startswith("chain@sha256:")


@pytest.mark.parametrize(
    "text",
    [
        f"COPY --from={ENDLESS} a /b",
        f"EXPOSE {ENDLESS}",
        "COPY --from=z2 x /\nFROM scratch AS z2\nCOPY --from=z x /",
        "COPY nothere /",
        "COPY --from=b x /\nFROM scratch AS b\nCOPY --from=0 x /",
        "ENV v=aaaaaaaaaa\n" + "ENV v=$v$v$v$v$v$v$v$v$v$v\n" * 20,
        "COPY " + "x/" * 2000 + " /",
    ],
)
def test_an_error_has_its_line(shell, text):
    """What can't be is an error that shows where, whatever its size."""
    shell.write("Dockerfile", f"FROM scratch AS z\n{text}\n")

    with pytest.raises(AssertionError):
        shell("build", "-f", "Dockerfile", ".")

    assert "Dockerfile:" in shell.err
    assert "internal error" not in shell.err
    assert shell.store.tags() == {}


def test_a_target_that_is_no_number(shell):
    """A number with thousands of digits is no stage."""
    shell.write("Dockerfile", "FROM scratch\nCOPY x /\n")

    shell("build", "--target", ENDLESS, "-f", "Dockerfile", ".", code=65)

    assert "could not be found" in shell.err
