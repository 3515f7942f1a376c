"""Budgets of wherry.toml: read, joined, and refused with line and key."""

import pytest

from wherry.settings.budgets import Budgets
from wherry.settings.readers import WrongKey
from wherry.settings.sizes import Growth
from wherry.settings.wherry_toml import Settings

FILE = """[budgets]
unpacked = "16MB"
pulled = "5.5MB"
growth-unpacked = "200kB"
against = "figures.json"
modules = { "google.golang.org/grpc" = "1.5MB" }

[services.api]
package = "./cmd/api"

[services.api.budgets]
unpacked = 18000000
binary = "15 MiB"

[services.api.budgets.modules]
"golang.org/x/net" = "1MB"

[services.worker]
package = "./cmd/worker"
"""


def test_joined_key_by_key():
    """A service's own budgets stand above those of all; what it does not say stays."""
    settings = Settings.parse(FILE)

    assert settings.budgets_of("api") == Budgets(
        sizes={"unpacked": 18_000_000, "pulled": 5_500_000, "binary": 15 << 20},
        growth={"growth-unpacked": Growth(200_000)},
        modules={"google.golang.org/grpc": 1_500_000, "golang.org/x/net": 1_000_000},
        against="figures.json",
    )
    assert settings.budgets_of("worker") == settings.budgets_of("") == settings.budgets
    assert settings.services["api"].package == "./cmd/api"


def test_a_file_without_budgets():
    """None is none."""
    assert not Settings.parse('[services.api]\npackage = "."\n').budgets_of("api")


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ('[budgets]\nunpackd = "1MB"\n', 2, "unpackd", 'did you mean "unpacked"?'),
        ('[budgets]\n\npulled = "5.5XB"\n', 3, "pulled", "5.5MB"),
        ("[budgets]\npulled = true\n", 2, "pulled", 'pulled = "5.5MB"'),
        ("[budgets]\npulled = -1\n", 2, "pulled", 'pulled = "5.5MB"'),
        ('[budgets]\ngrowth-pulled = "2 parts"\n', 2, "growth-pulled", "2%"),
        ('[budgets.modules]\n"example.com/a" = "much"\n', 2, "example.com/a", "5.5MB"),
        ("[budgets]\nmodules = 5\n", 2, "modules", "google.golang.org/grpc"),
        ('[services.api]\npackage = "."\n[services.api.budgets]\nagainst = ""\n', 4, "against", "figures.json"),
        ("budgets = 5\n", 1, "budgets", "[budgets]"),
        ('[budgetts]\npulled = "1MB"\n', 1, "budgetts", "budgets"),
    ],
)
def test_what_does_not_fit(text, line, key, words):
    """Line and key are named, and how it is written."""
    with pytest.raises(WrongKey) as caught:
        Settings.parse(text)

    assert (caught.value.line, caught.value.key) == (line, key)
    assert words in caught.value.hint
