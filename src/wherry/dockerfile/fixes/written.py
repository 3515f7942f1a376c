"""An instruction as it is written: which letter of the file each letter of its joined text is, and edits of them.

Lines are kept with their ends (CRLF too), tabs and comments, so that only what is edited changes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from wherry.dockerfile import instructions as of

_BLANKS = " \t"


@dataclass(frozen=True, slots=True)
class Replaced:
    """Letters of a text that are replaced by others."""

    start: int
    end: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A text that is read as one, and where in the instruction's lines each letter is: line and column."""

    text: str
    places: tuple[tuple[int, int], ...]

    def without(self, start: int, end: int) -> Replaced:
        """Remove a word, and the blanks of its line that part it from the word before it, or else behind it."""
        line = self.places[start][0]
        before = start
        while before and self.text[before - 1] in _BLANKS and self.places[before - 1][0] == line:
            before -= 1
        if before and self.places[before - 1][0] == line and before < start:
            return Replaced(before, end)
        while end < len(self.text) and self.text[end] in _BLANKS and self.places[end][0] == line:
            end += 1
        return Replaced(start, end)


class WrittenInstruction:
    """The lines of an instruction."""

    def __init__(self, lines: Sequence[str], instruction: of.Instruction, escape: str) -> None:
        """Take the lines of the whole file, with their ends."""
        self.instruction = instruction
        self.lines = list(lines[instruction.lines.first - 1 : instruction.lines.last])
        self._goes_on = re.compile(rf"(?:(?<=[^{re.escape(escape)}])|^){re.escape(escape)}[ \t]*$")
        self.escape = escape
        self.end = lines[instruction.lines.first - 1][len(body(lines[instruction.lines.first - 1])) :] or "\n"
        self.head = 0
        """Lines of the instruction itself; heredocs follow."""
        self.blank: list[int] = []
        """Blank lines within them."""

    @cached_property
    def main(self) -> WrittenPart | None:
        """The instruction without its heredocs; None where it is not understood."""
        letters: list[str] = []
        places: list[tuple[int, int]] = []
        goes_on = True
        for number, line in enumerate(self.lines):
            if not goes_on:
                break
            self.head = number + 1
            text = body(line)
            if number and text.lstrip().startswith("#"):
                continue
            if number and not text.strip():
                self.blank.append(number)
                continue
            start = 0 if number else len(text) - len(text.lstrip())
            found = self._goes_on.search(text)
            end = found.start() if found else len(text)
            goes_on = found is not None
            letters += text[start:end]
            places += [(number, column) for column in range(start, end)]
        joined = "".join(letters)
        left = len(joined) - len(joined.lstrip())
        kept = joined.strip()
        if kept != self.instruction.text:
            return None
        return WrittenPart(kept, tuple(places[left : left + len(kept)]))

    @property
    def heredocs(self) -> tuple[WrittenPart, ...]:
        """The texts of its heredocs, one part; none where there are no heredocs."""
        if self.main is None or self.head >= len(self.lines):
            return ()
        found = [
            (letter, (number, column))
            for number in range(self.head, len(self.lines) - 1)
            for column, letter in enumerate(self.lines[number])
        ]
        return (WrittenPart("".join(letter for letter, _ in found), tuple(place for _, place in found)),)

    def edited(self, part: WrittenPart, edits: Iterable[Replaced]) -> list[str]:
        """Give the lines with a part's text edited; a line of which only a continuation is left is removed."""
        lines: list[list[str]] = [list(line) for line in self.lines]
        touched: set[int] = set()
        for edit in edits:
            inserted = edit.text
            if edit.start == edit.end:
                number, column = part.places[edit.start] if edit.start < len(part.places) else part.places[-1]
                if edit.start < len(part.places):
                    lines[number][column] = inserted + lines[number][column]
                else:
                    lines[number][column] += inserted
                continue
            for number, column in part.places[edit.start : edit.end]:
                lines[number][column] = inserted
                inserted = ""
                touched.add(number)
        return self._tidy(["".join(line) for line in lines], touched)

    def _tidy(self, lines: list[str], touched: set[int]) -> list[str]:
        kept: list[str] = []
        for number, line in enumerate(lines):
            if number not in touched:
                kept.append(line)
                continue
            text = body(line)
            found = self._goes_on.search(text)
            rest = text[: found.start()] if found else text
            if rest.strip() or not number:
                same = rest.rstrip(_BLANKS) if found is None else rest
                kept.append(line if found else same + line[len(text) :])
            elif found is None:
                self._end(kept)
        return kept

    def _end(self, kept: list[str]) -> None:
        """End the instruction with the last line that says something: the one behind it is gone."""
        for number in range(len(kept) - 1, -1, -1):
            text = body(kept[number])
            found = self._goes_on.search(text)
            if found and not text.lstrip().startswith("#"):
                kept[number] = text[: found.start()].rstrip(_BLANKS) + kept[number][len(text) :]
                return


def body(line: str) -> str:
    """Give a line without its end."""
    return line.rstrip("\n").rstrip("\r")


def split_lines(text: str) -> list[str]:
    """Cut a file into lines with their ends, as the parser counts them."""
    lines = text.split("\n")
    last = lines.pop()
    return [f"{line}\n" for line in lines] + ([last] if last else [])
