"""Platforms: what users write, in normal form, and as Go names it."""

import pytest

from wherry.errors import InvalidUsage
from wherry.platform import ALL, Platform, order


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("amd64/v3", "linux/amd64/v3"),
        ("amd64/v1", "linux/amd64"),
        ("arm64/v8", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("arm", "linux/arm/v7"),
        ("arm/v6", "linux/arm/v6"),
        ("armhf", "linux/arm/v7"),
        ("Linux/ARM64", "linux/arm64"),
    ],
)
def test_one_platform_has_one_form(text, normal):
    """And its form reads back to itself."""
    assert str(Platform.parse(text)) == normal
    assert Platform.parse(normal) == Platform.parse(text)


@pytest.mark.parametrize("text", ["", "linux/amd46", "linux/amd64/v9", "linux/riscv64/v1", "a/b/c/d", "linux/"])
def test_what_is_none_names_the_nearest(text):
    """A typo is told from a platform."""
    with pytest.raises(InvalidUsage) as caught:
        Platform.parse(text)
    assert "linux/" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("linux/amd64/v3", {"GOOS": "linux", "GOARCH": "amd64", "GOAMD64": "v3"}),
        ("linux/arm/v6", {"GOOS": "linux", "GOARCH": "arm", "GOARM": "6"}),
        ("linux/arm64", {"GOOS": "linux", "GOARCH": "arm64", "GOARM64": "v8.0"}),
        ("linux/386", {"GOOS": "linux", "GOARCH": "386"}),
    ],
)
def test_go_knows_it_by_these_variables(text, named):
    """The variant decides the level."""
    assert Platform.parse(text).go_environment() == named


def test_an_index_has_one_order():
    """Each platform once, those of `all` first."""
    wanted = [Platform.parse("linux/mips64le"), *reversed(ALL), ALL[0]]
    assert order(wanted) == (*ALL, Platform.parse("linux/mips64le"))


@pytest.mark.parametrize(
    ("text", "environment", "levels"),
    [
        ("linux/amd64", {"GOAMD64": "v3"}, {"GOAMD64": "v3"}),
        ("linux/amd64/v3", {"GOAMD64": "v3"}, {"GOAMD64": "v3"}),
        ("linux/amd64", {}, {}),
        ("linux/amd64", {"GOAMD64": ""}, {}),
        ("linux/amd64", {"GOARM": "6"}, {}),
        ("linux/arm", {"GOARM": "6"}, {"GOARM": "6"}),
        ("linux/arm/v7", {"GOARM": "7,softfloat"}, {"GOARM": "7,softfloat"}),
        ("linux/arm64", {"GOARM64": "v8.1,lse"}, {"GOARM64": "v8.1,lse"}),
        ("linux/arm64/v8", {"GOARM64": "v8.0"}, {"GOARM64": "v8.0"}),
    ],
)
def test_levels_of_the_environment(text, environment, levels):
    """They count where no variant says otherwise."""
    assert Platform.parse(text).go_levels(environment) == levels


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("linux/amd64/v1", {"GOAMD64": "v3"}),
        ("linux/amd64/v2", {"GOAMD64": "v3"}),
        ("linux/arm/v7", {"GOARM": "6"}),
        ("linux/arm64/v9", {"GOARM64": "v8.0"}),
        ("linux/amd64", {"GOAMD64": "v9"}),
    ],
)
def test_levels_that_contradict(text, environment):
    """Neither is ignored: both are named."""
    with pytest.raises(InvalidUsage) as caught:
        Platform.parse(text).go_levels(environment)

    assert next(iter(environment)) in caught.value.message
