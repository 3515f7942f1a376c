"""What a rebuild takes from a recipe of its profile and its linking; anybody may have written the recipe."""

from pathlib import Path

import pytest

from wherry.app.rebuild_settings import recorded_linkage
from wherry.app.rebuild_source import CannotRebuild
from wherry.app.session import Session


@pytest.fixture
def session(tmp_path) -> Session:
    """A session without anything."""
    return Session(store=tmp_path / "store", cache=tmp_path / "cache", cwd=tmp_path, environment={}, home=Path("/"))


@pytest.mark.parametrize(
    ("recipe", "option", "value"),
    [
        ({}, "profile", ()),
        ({}, "pie", False),
        ({"CGO_ENABLED": "0"}, "cgo", "off"),
        ({"CGO_ENABLED": "1"}, "cgo", None),
        ({"profile": "edge,small"}, "profile", ("edge", "small")),
        ({"noInline": "a/... b.example/c"}, "no_inline", ("a/...", "b.example/c")),
        ({"staticPie": "1"}, "pie", True),
    ],
)
def test_known(session, recipe, option, value):
    """All is set, so that nothing of the source's wherry.toml counts."""
    found = recorded_linkage(session, recipe)

    assert found[option] == value
    assert found["settled"]


@pytest.mark.parametrize(
    "recipe",
    [
        {"noInline": "-toolexec=x"},
        {"noInline": "all=-l"},
        {"noInline": ["a"]},
        {"cgo": "glibc"},
        {"staticPie": "9"},
        {"profile": "desk"},
        {"profile": {"a": 1}},
    ],
)
def test_unknown(session, recipe):
    """It is named, and nothing is built."""
    with pytest.raises(CannotRebuild, match="which this wherry does not know"):
        recorded_linkage(session, recipe)
