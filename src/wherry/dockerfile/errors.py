"""What is wrong with a Dockerfile, and where."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from wherry.errors import SourceLine, WherryError

_AROUND = 2
_WIDTH = 200
"""Letters of a line that are shown."""
_FAR = 3
"""Letters that make it another word."""
_LONGEST, _MOST = 100, 1000
"""Letters of a word, and known words, beyond which similar words are not searched."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Where something stands, counted from 1; both are its own."""

    first: int
    last: int


class DockerfileError(WherryError):
    """A Dockerfile can't be understood, or asks for what can't be."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, problem: str, lines: Lines | None = None, *, hint: str = "") -> None:
        super().__init__(problem, hint=hint or "fix the Dockerfile; see Docker's Dockerfile reference")
        self.problem = problem
        self.lines = lines

    def placed(self, lines: Lines) -> "DockerfileError":
        """Say where it is, if that is not known yet."""
        return self if self.lines else DockerfileError(self.problem, lines, hint=self.hint)

    def shown(self, name: str, text: str) -> "DockerfileError":
        """Show it with the file's name, the line, and the lines around.

        Args:
            name: of the file, as the user knows it.
            text: the file.
        """
        if self.lines is None:
            return DockerfileError(f"{name}: {self.problem}", hint=self.hint)
        excerpt = "\n".join(_excerpt(text.removesuffix("\n").split("\n"), self.lines))
        shown = DockerfileError(f"{name}:{self.lines.first}: {self.problem}\n{excerpt}", hint=self.hint)
        shown.lines = self.lines
        shown.places = (SourceLine(name, self.lines.first, message=self.problem),)
        return shown


def _excerpt(lines: list[str], where: Lines) -> Iterable[str]:
    first, last = max(where.first - _AROUND, 1), min(where.last + _AROUND, len(lines))
    wide = len(str(last))
    for number in range(first, last + 1):
        line = lines[number - 1].rstrip("\r")
        line = f"{line[:_WIDTH]}…" if len(line) > _WIDTH else line
        inside = where.first <= number <= where.last
        if inside and number > where.first + 2 * _AROUND and number < where.last:
            continue
        yield f"  {number:>{wide}} | {'>>> ' if inside else '    '}{line}".rstrip()
        if number == where.first:
            indent = len(line) - len(line.lstrip())
            yield f"  {' ' * wide} |     {' ' * indent}{'^' * max(len(line.strip()), 1)}"


def near(word: str, known: Iterable[str]) -> str:
    """Give the known name that was meant: of those with the fewest letters to change, at most two, the first.

    Nothing where there is none, where the word is known as it stands, and for a word that is no typing error.
    """
    if len(word) > _LONGEST:
        return ""
    best, least = "", _FAR
    for name in islice(known, _MOST):
        if name == word:
            return ""
        if abs(len(name) - len(word)) < least and (distance := _distance(word, name)) < least:
            best, least = name, distance
    return best


def _distance(one: str, other: str) -> int:
    """Count the letters to change, add or take away (Levenshtein's distance)."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, opposite in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != opposite))
    return row[-1]


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word was meant, as the end of a sentence; nothing where none is near.

    Case does not count, but for a word that is known in another.
    """
    names = {name.lower(): name for name in known if name}
    found = names.get(word.lower(), names.get(near(word.lower(), names), ""))
    return f" (did you mean {found}?)" if found and found != word else ""
