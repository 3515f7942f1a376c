"""Chunks that another thread makes ahead come in order, with their errors, and no more than are asked for."""

import threading
from collections.abc import Iterator

import pytest

from wherry.layer.ahead import ReadAhead


def test_all_in_order():
    """Small and large chunks, more than wait at a time."""
    chunks = [bytes([number % 251]) * (number * 997 % 300_000) for number in range(200)]

    assert list(ReadAhead(iter(chunks))) == chunks


def test_an_error_comes_after_what_was_made():
    """What is raised in the other thread is raised where the chunks are used, and again if asked again."""

    def broken() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("damaged")

    ahead = ReadAhead(broken())

    assert next(ahead) == b"a"
    for _ in range(2):
        with pytest.raises(ValueError, match="damaged"):
            next(ahead)


def test_closing_ends_the_thread():
    """An endless source is read no further, and never far ahead."""
    made = []

    def endless() -> Iterator[bytes]:
        while True:
            made.append(1)
            yield bytes(1 << 18)

    ahead = ReadAhead(endless())
    next(ahead)
    thread = next(one for one in threading.enumerate() if one.name == "read-ahead")
    ahead.close()
    thread.join(10)

    assert not thread.is_alive()
    assert len(made) < 10
