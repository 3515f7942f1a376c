"""Patterns within `${x#…}`, `${x%…}` and `${x/…/…}`: `*` and `?`, neither of which is a line's end.

A value is read once, with a bit for each place in the pattern that has been come to, so no pattern makes it slow.

Source: POSIX.1-2017, shell command language, 2.13; Baeza-Yates and Gonnet, "A new approach to text searching", 1992.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

_ANY, _MANY = "?", "*"


class BadGlob(ValueError):
    """An escape in a pattern is invalid."""


@dataclass(frozen=True)
class Glob:
    """A pattern, as letters; `?` and `*` have no letter of their own."""

    tokens: tuple[tuple[str, bool], ...]
    """Letters, and whether they are themselves."""

    @classmethod
    def parse(cls, pattern: str) -> Self:
        r"""Read a pattern; `\` makes `*`, `?` and `\` themselves, and `}` and `/` with which it would end.

        Raises:
            BadGlob: it stands before another letter.
        """
        tokens = []
        letters = iter(pattern)
        for letter in letters:
            if letter != "\\":
                tokens.append((letter, letter not in (_ANY, _MANY)))
                continue
            escaped = next(letters, "")
            if not escaped or escaped not in r"*?\}/":
                raise BadGlob(f"invalid escape '\\{escaped}'")
            tokens.append((escaped, True))
        return cls(tuple(tokens))

    def backwards(self) -> "Glob":
        """Give the pattern for a text read from its end."""
        return _glob(self.tokens[::-1])

    def end(self, text: str, at: int, *, longest: bool) -> int:
        """Find where a match that begins at a place ends; -1: none does.

        Cost: O(len(text) - at).
        """
        step, final = self._automaton.step, self._automaton.final
        state = self._automaton.begin
        found = at if state & final else -1
        while state and at < len(text) and (longest or found < 0):
            state = step(state, text[at])
            at += 1
            if state & final:
                found = at
        return found

    def begins(self, text: str) -> list[int]:
        """Find all places where a match begins, in their order.

        Cost: O(len(text)).
        """
        automaton = self.backwards()._automaton  # noqa: SLF001 - our own
        state = automaton.begin
        found = [len(text)] if state & automaton.final else []
        for place in range(len(text) - 1, -1, -1):
            state = automaton.step(state, text[place]) | automaton.begin
            if state & automaton.final:
                found.append(place)
        return found[::-1]

    def matches(self, text: str) -> Iterator[tuple[int, int]]:
        """Give the longest matches from the left; one of no letters right behind another is none, as for Go's regexp.

        Cost: O(len(text)).
        """
        after = -1
        for begin in self.begins(text):
            if begin < after:
                continue
            end = self.end(text, begin, longest=True)
            if not begin == end == after:
                yield begin, end
            after = end

    @cached_property
    def _automaton(self) -> "_Automaton":
        return _Automaton.of(self.tokens)


@lru_cache(maxsize=64)
def _glob(tokens: tuple[tuple[str, bool], ...]) -> Glob:
    return Glob(tokens)


@dataclass(frozen=True, slots=True)
class _Automaton:
    """Places in a pattern as bits: bit n is set where n letters of it have been found."""

    letters: dict[str, int]
    """By letter: the places from which it leads on."""
    any_letter: int
    many: int
    """The places at which any letters may be passed by."""
    begin: int
    final: int

    @classmethod
    def of(cls, tokens: Sequence[tuple[str, bool]]) -> Self:
        letters: dict[str, int] = {}
        any_letter = many = 0
        place = 1
        for token, itself in tokens:
            if not itself and token == _MANY:
                many |= place
                continue
            if itself:
                letters[token] = letters.get(token, 0) | place
            else:
                any_letter |= place
            place <<= 1
        return cls(letters, any_letter, many, 1, place)

    def step(self, state: int, letter: str) -> int:
        """Give the places that a letter points to."""
        onward = self.letters.get(letter, 0)
        if letter == "\n":
            return (state & onward) << 1
        return (state & (onward | self.any_letter)) << 1 | state & self.many
