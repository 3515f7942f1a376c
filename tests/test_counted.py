"""Numbers of things, as messages have them."""

import pytest

from wherry.counted import counted


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "file", "0 files"),
        (1, "file", "1 file"),
        (2, "file", "2 files"),
        (1, "process", "1 process"),
        (2, "process", "2 processes"),
        (3, "entry", "3 entries"),
        (2, "key", "2 keys"),
        (2, "match", "2 matches"),
        (2, "start of a container", "2 starts of a container"),
    ],
)
def test_one_and_several(number, noun, said):
    """Only one is without the plural's ending, and what follows the noun stays."""
    assert counted(number, noun) == said
