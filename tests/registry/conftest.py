"""A registry that a test sets as it wants."""

from collections.abc import Iterator

import pytest

from hostile_registry import Hostile, hostile
from repositories import BLOB, DESCRIBED


@pytest.fixture
def registry() -> Iterator[Hostile]:
    """One with a blob in it, that behaves until a test tells it otherwise."""
    with hostile() as running:
        running.blobs[DESCRIBED.digest] = BLOB
        yield running
