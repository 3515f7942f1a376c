"""Modes change as BuildKit changes them."""

import pytest

from wherry.dockerfile.modes import changed_mode


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (0o644, "0755", 0o755),
        (0o644, "", 0o644),
        (0o644, "u+x", 0o744),
        (0o644, "u+x,go=rX", 0o744),
        (0o755, "go-rx", 0o700),
        (0o4755, "u=rwx", 0o755),
        (0o1777, "u=rwx,go=rx", 0o1755),
        (0o1777, "=", 0o1000),
        (0o6755, "=t", 0o7755),
        (0o640, "o=g", 0o644),
        (0o700, "g=u-w", 0o750),
        (0o644, "+X", 0o644),
        (0o744, "+X", 0o755),
        (0o600, "o+s", 0o600),
        (0o600, "a+s", 0o6600),
    ],
)
def test_a_files_mode(before, change, after):
    """Octal, or clauses one after the other; BuildKit's own library was asked for each of these."""
    assert oct(changed_mode(before, change, folder=False)) == oct(after)


def test_a_folder_may_be_entered():
    """X means a folder, or a file that somebody may execute."""
    assert oct(changed_mode(0o600, "a+X", folder=True)) == "0o711"


@pytest.mark.parametrize("change", ["u", "x", "u+q", "u+x,", ",u+x", "rwx", "u+x;g+x"])
def test_what_is_no_mode(change):
    """It is refused, not passed over."""
    with pytest.raises(ValueError, match=r".*"):
        changed_mode(0o644, change, folder=False)
