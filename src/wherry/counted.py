"""Numbers of things in messages: `1 file`, `2 files`; and bytes on their way, as whoever moves them counts them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

Moved = Callable[[int, int], object]
"""Hears how many bytes have gone by, and how many there are in all; 0: that is not known."""
Moving = Callable[[str], AbstractContextManager[Moved]]
"""Begins to count bytes of something, by its name, for as long as the block lasts."""

_HISSING = ("s", "x", "ch", "sh")


def counted(number: int, noun: str) -> str:
    """Write how many there are of something.

    Args:
        number: how many.
        noun: of one of them, such as `file` or `blob of the store`; its first word gets the plural.
    """
    if number == 1:
        return f"1 {noun}"
    word, space, rest = noun.partition(" ")
    return f"{number} {_plural(word)}{space}{rest}"


def _plural(word: str) -> str:
    if word.endswith(_HISSING):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


@contextmanager
def unheard(name: str) -> Iterator[Moved]:
    """Count bytes for nobody: the `Moving` of a caller that wants to know nothing."""
    del name
    yield lambda _done, _total: None


def passing(chunks: Iterable[bytes], moved: Moved, total: int = 0) -> Iterator[bytes]:
    """Count bytes as they go by."""
    done = 0
    for chunk in chunks:
        done += len(chunk)
        moved(done, total)
        yield chunk
