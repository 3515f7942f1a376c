"""The words of a shell text as they are written, with their places: for edits that leave the rest unchanged."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_WORD = re.compile(
    r"""(?:[^\s\\'"`$;|&()<>#]|(?<!^)(?<![\s;|&()])\#|\\.|'[^']*'|"(?:[^"\\]|\\.)*"|\$\([^()'"]*\)|\$|`[^`]*`)+""",
    re.DOTALL,
)
_COMMENT = re.compile(r"(?:^|(?<=[\s;|&()]))#[^\n]*")


@dataclass(frozen=True, slots=True)
class RawWord:
    """A word with its quotes."""

    text: str
    start: int
    end: int


def raw_commands(text: str) -> Iterator[list[RawWord]]:
    """Cut a shell text into simple commands of raw words; a redirection ends a command too."""
    words: list[RawWord] = []
    at = 0
    while at < len(text):
        if skipped := _COMMENT.match(text, at):
            at = skipped.end()
            continue
        if text[at] in " \t\r":
            at += 1
            continue
        if text[at] == "\\" and re.match(r"\\\r?\n", text[at:]):
            at = text.index("\n", at) + 1
            continue
        found = _WORD.match(text, at)
        if found is not None and found.end() > at:
            words.append(RawWord(found[0], at, found.end()))
            at = found.end()
            continue
        if words:
            yield words
            words = []
        at += 1
    if words:
        yield words
