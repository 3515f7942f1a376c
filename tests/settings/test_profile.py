"""The profile's words, and what `[edge]` of wherry.toml says of it."""

import pytest

from wherry.errors import InvalidSettings, InvalidUsage
from wherry.settings.profile import parse_device_memory, parse_profile
from wherry.settings.wherry_toml import Settings

TEXT = """\
[build]
base = "static"
go-tags = ["one"]

[edge]
base = "scratch"
go-tags = ["one", "two"]
no-inline = ["google.golang.org/..."]
device-memory = "64MB"

[edge.budgets]
unpacked = "14MB"
pulled = "4MB"

[edge.small.budgets]
pulled = "3MB"

[budgets]
unpacked = "20MB"

[services.api]
package = "./cmd/api"

[services.tiny]
package = "./cmd/tiny"
profile = ["edge", "small"]
base = "static-notz"
"""


@pytest.mark.parametrize(("text", "words"), [("edge", ("edge",)), ("small, edge", ("edge", "small"))])
def test_words(text, words):
    """In any order, and always given in one."""
    assert parse_profile(text) == words


@pytest.mark.parametrize("text", ["", "small", "edge,tiny", "edge;small"])
def test_other_words(text):
    """Each is refused, `small` alone too."""
    with pytest.raises(InvalidUsage):
        parse_profile(text)


def test_memory():
    """A size from 32 MB on."""
    assert parse_device_memory("64MB") == 64_000_000
    with pytest.raises(InvalidUsage, match="too little memory"):
        parse_device_memory("16MB")


def test_where_it_holds():
    """Above `[build]` and below a service, and only with the profile, from wherever that is asked for."""
    settings = Settings.parse(TEXT)

    plain, edge, tiny = settings.resolve("api"), settings.resolve("api", ("edge",)), settings.resolve("tiny")

    assert (plain.base, plain.go_tags, plain.no_inline) == ("static", ("one",), None)
    assert (edge.base, edge.go_tags, edge.device_memory) == ("scratch", ("one", "two"), 64_000_000)
    assert edge.no_inline == ("google.golang.org/...",)
    assert (tiny.base, tiny.profile) == ("static-notz", ("edge", "small"))
    assert settings.options(profile=("edge",)).base == "scratch"
    assert settings.resolve("tiny", ()).go_tags == ("one",)


def test_budgets():
    """The profile's stand above those of all, those of `small` above them."""
    settings = Settings.parse(TEXT)

    found = [settings.budgets_of("api", words).sizes for words in ((), ("edge",), ("edge", "small"))]

    assert found == [
        {"unpacked": 20_000_000},
        {"unpacked": 14_000_000, "pulled": 4_000_000},
        {"unpacked": 14_000_000, "pulled": 3_000_000},
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[build]\nprofile = "tiny"', "profile"),
        ('[edge]\nprofile = "edge"', "profile"),
        ('[edge]\nno-inline = ["-l x"]', "no-inline"),
        ('[edge]\ndevice-memory = "1MB"', "device-memory"),
        ('[edge.small]\nbase = "scratch"', "base"),
        ('[build]\ncgo = "glibc"', "cgo"),
        ("[edge.budgets]\nsize = 1", "size"),
    ],
)
def test_what_does_not_fit(text, key):
    """The line and the key are named."""
    with pytest.raises(InvalidSettings, match=f'line 2: key "{key}"'):
        Settings.parse(text)
