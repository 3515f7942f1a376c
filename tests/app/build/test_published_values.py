"""Which values of -X may stand in the recipe."""

import pytest

from wherry.app.build.published_values import public_variables


@pytest.mark.parametrize(
    ("value", "public"),
    [
        ("{{.Version}}", True),
        ("v{{ .Version }}", True),
        ("{{.Git.ShortCommit}}-{{.CommitDate}}", True),
        ("{{.Env.TOKEN}}", False),
        ("{{.Version}}-{{.Env.TOKEN}}", False),
        ("1.2.3", False),
        ("hunter2{{.Version}}", False),
        ("", False),
    ],
)
def test_values(value, public):
    """Only what a template makes of version control, with nothing but punctuation around it."""
    assert public_variables(f"-s -X main.v={value} -w", "--ldflags") == ({"main.v"} if public else set())


def test_a_variable_set_twice_is_public_twice():
    """The last value counts to the linker, and the first stands in the text all the same."""
    assert public_variables("-X a.b={{.Version}} -X a.b=secret", "--ldflags") == set()
