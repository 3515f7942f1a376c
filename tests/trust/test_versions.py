"""Versions of modules, of Go and of Debian packages, and which ranges they are in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.trust.database import VersionRange, Vulnerable
from wherry.trust.matching import debian_fixed, go_affected, go_fixed, semver_less
from wherry.trust.versions import debian_less, go_name, go_release, semver


@pytest.mark.parametrize(("low", "high"), [
    ("v0.0.0-20220101000000-abcdefabcdef", "v0.0.1"), ("1.2.3-rc.1", "1.2.3"), ("1.2.3-1", "1.2.3-a"),
    ("1.2.9", "1.2.10"), ("v1.2.3-alpha.2", "v1.2.3-alpha.10"), ("1.2", "1.2.1"), ("1.20.0-0", "1.20.0-rc.1"),
])  # fmt: skip
def test_order_of_modules(low, high):
    """As semver has it."""
    assert semver_less(low, high)
    assert not semver_less(high, low)


@pytest.mark.parametrize(("low", "high"), [
    ("1.0~rc1", "1.0"), ("1.0-1", "1.0-1+deb12u1"), ("2.9", "2.10"), ("9", "1:1"), ("1.0a", "1.0+"), ("1.0", "1.0a"),
    ("3.0.11-1~deb12u2", "3.0.11-1"),
])  # fmt: skip
def test_order_of_debian_packages(low, high):
    """As dpkg has it."""
    assert debian_less(low, high)
    assert not debian_less(high, low)


@pytest.mark.parametrize(("said", "version"), [
    ("go1.26.8", "1.26.8"), ("go1.22rc1", "1.22.0-rc.1"), ("go1.26", "1.26.0"), ("go1.26.8 X:jsonv2", "1.26.8"),
    ("go1.24.1-custom", "1.24.1"), ("devel go1.27-0123456", ""), ("", ""),
    ("go1.24.4 (Red Hat 1.24.4-1.el9)", "1.24.4"),
])  # fmt: skip
def test_what_a_binary_says(said, version):
    """Experiments and vendors' words do not count; an unreleased Go has no version."""
    assert go_release(said) == version


def test_go_names():
    """Releases are named as downloads are."""
    assert [go_name(text) for text in ("1.24.2", "1.22.0-rc.1", "1.20.0-0")] == ["go1.24.2", "go1.22rc1", "go1.20.0"]


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=40))
def test_any_text(text):
    """No text stops the readers."""
    semver(text)
    go_release(text)
    debian_less(text, "1.0")


def ranged(*events: str) -> Vulnerable:
    """Make a part of an entry: introduced and fixed in turn."""
    kinds = ("introduced", "fixed") * len(events)
    return Vulnerable((VersionRange("SEMVER", tuple(zip(kinds, events, strict=False))),))


def test_zero_is_below_everything():
    """Also below the pseudo-versions that semver places under 0.0.0."""
    assert go_affected("v0.0.0-20200101000000-abcdefabcdef", ranged("0", "0.0.0-20210101000000-abcdefabcdef"))
    assert not go_affected("v0.0.0-20220101000000-abcdefabcdef", ranged("0", "0.0.0-20210101000000-abcdefabcdef"))


def test_several_ranges():
    """The fix is the one of the range that a version is in."""
    part = ranged("0", "1.23.8", "1.24.0-0", "1.24.2")
    assert go_affected("1.24.1", part)
    assert not go_affected("1.23.9", part)
    assert go_fixed("1.24.1", (part,)) == "1.24.2"
    assert go_fixed("1.23.1", (part,)) == "1.23.8"
    assert go_fixed("1.0.0", (ranged("0"),)) == ""


def test_no_ranges():
    """Without a range every version is affected."""
    assert go_affected("v1.0.0", Vulnerable())


def test_fixes_of_debian():
    """The version behind the range."""
    part = Vulnerable((VersionRange("ECOSYSTEM", (("introduced", "0"), ("fixed", "3.0.11-1~deb12u2"))),))
    assert debian_fixed("3.0.9-1", (part,)) == "3.0.11-1~deb12u2"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=12, unique=True), st.integers(0, 45), st.randoms())
def test_events_in_any_order(numbers, at, random):
    """An entry may list events as it likes: what is affected, and the fix, are the same."""
    sorted_numbers = sorted(numbers)
    part = ranged(*(f"1.{number}.0" for number in sorted_numbers))
    events = list(part.ranges[0].events)
    random.shuffle(events)
    shuffled = Vulnerable((VersionRange("SEMVER", tuple(events)),))
    version = f"v1.{at}.0"
    below = sum(number <= at for number in sorted_numbers)

    assert go_affected(version, part) == go_affected(version, shuffled) == bool(below % 2)
    expected = f"1.{sorted_numbers[below]}.0" if below % 2 and below < len(numbers) else ""
    assert go_fixed(version, (part,)) == go_fixed(version, (shuffled,)) == expected


def test_very_many_ranges():
    """Ranges that follow one another, the last first, take one pass: it was the square of their number."""
    ranges = tuple(
        VersionRange("SEMVER", (("fixed", f"1.{number + 1}.0"), ("introduced", f"1.{number}.0")))
        for number in range(20_000, 0, -1)
    )

    assert go_fixed("v1.1.5", (Vulnerable(ranges),)) == "1.20001.0"
    assert not go_affected("v1.20001.0", Vulnerable(ranges))


def test_last_affected():
    """The last affected version is affected; the next fixed one of the range is the fix."""
    events = (("last_affected", "1.5.0"), ("introduced", "1.2.0"), ("fixed", "1.6.0"))
    part = Vulnerable((VersionRange("SEMVER", events),))

    assert [go_affected(f"v1.{minor}.0", part) for minor in (1, 2, 5)] == [False, True, True]
    assert not go_affected("v1.5.1", part)
    assert go_fixed("v1.5.0", (part,)) == "1.6.0"
    assert go_fixed("v1.5.0", (Vulnerable((VersionRange("SEMVER", events[:2]),)),)) == ""
