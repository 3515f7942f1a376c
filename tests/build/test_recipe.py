"""The recipe in an image: what everybody may read, and nothing else."""

import json

import pytest

from wherry.build.recipe import SecretPublished, recipe_text, refuse_secrets, values_of
from wherry.finding import Finding, Severity
from wherry.plan.graph import CompileOp
from wherry.platform import Platform


def compiling(*flags: str, public: tuple[str, ...] = ()) -> CompileOp:
    """A compile step with these flags."""
    return CompileOp("/src", Platform("linux", "amd64"), flags, {}, "go", stamp=False, public=public)


def test_dotted_names_are_objects():
    """With the version, and in one order."""
    text = recipe_text({"go.version": "1", "go.flags": "-s", "base.digest": "sha256:0"})

    assert json.loads(text) == {"version": 2, "go": {"version": "1", "flags": "-s"}, "base": {"digest": "sha256:0"}}
    assert text == recipe_text({"base.digest": "sha256:0", "go.flags": "-s", "go.version": "1"})


def test_values_of_the_user_and_of_goflags():
    """All that -X sets, GOFLAGS first, as the linker sees it."""
    action = compiling("-ldflags=-s -X main.a=1", "-X=no.flag", public=("main.a", "main.b"))
    pairs, public = values_of(action, ("-ldflags=-X main.b=2",))

    assert pairs == [("main.b", "2"), ("main.a", "1")]
    assert public == {"main.a"}  # nothing tells where GOFLAGS has its value from


def finding(severity: Severity) -> Finding:
    """What a judge of leaks says."""
    return Finding(rule="x", severity=severity, place="-X main.token", message="looks like a token", remedy="remove it")


def test_a_secret_stops_the_build():
    """With the option that allows it, and without its value."""
    with pytest.raises(SecretPublished) as caught:
        list(refuse_secrets([finding(Severity.ERROR)], allowed=False, way="--allow-it"))

    assert "-X main.token" in caught.value.message
    assert "--allow-it" in caught.value.hint


@pytest.mark.parametrize(("severity", "allowed"), [(Severity.ERROR, True), (Severity.WARNING, False)])
def test_what_is_allowed_is_a_warning(severity, allowed):
    """It is said all the same."""
    assert list(refuse_secrets([finding(severity)], allowed=allowed)) == ["-X main.token: looks like a token"]
