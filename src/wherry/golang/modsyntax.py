"""The common syntax of go.mod and go.work: lines of words, single or in blocks.

Source: Go modules reference (go1.26), "Lexical elements" and "Grammar"; golang.org/x/mod v0.30, modfile/read.go.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wherry.errors import InvalidDocument
from wherry.golang.quote import unquote

LARGEST = 16 << 20
"""Characters of a file we read; Go itself reads no larger go.mod from a module zip."""

_ARROW = "=>"
_PAIR = 2
"""Words on a side of the arrow: a path, and perhaps a version."""
_TOKEN = re.compile(
    r"""\s+ | //(?P<comment>.*)
    | (?P<quoted> "(?:[^"\\]|\\.)*" | `[^`]*` )
    | (?P<word> => | [()\[\]{},] | (?!["`]) (?:(?!//|/\*)[^\s()\[\]{},])+ )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One statement, whether it stood alone or in a block."""

    verb: str
    words: tuple[str, ...]
    """What follows the verb; quotes are taken off."""
    number: int
    """Its line in the file, from 1."""
    before: tuple[str, ...]
    """The comment lines right above it, or above its block."""
    suffix: str
    """The comment after it, without its slashes."""

    @property
    def comment(self) -> str:
        """All that is said of it."""
        return "\n".join((*self.before, self.suffix)).strip()


def read_lines(text: str, name: str) -> tuple[Line, ...]:
    """Split a file into its statements.

    Args:
        text: the whole file.
        name: what the reader knows it by; it starts the message.

    Raises:
        InvalidDocument: a quote or a block does not close, or a line is not a statement; the line is named.
    """
    if len(text) > LARGEST:
        raise InvalidDocument(name, f"{len(text)} characters; the limit is {LARGEST}")
    return tuple(_statements(text, name))


def sides(words: Sequence[str]) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Read `path [version] [=> path [version]]`: path and version of each side, empty where there is none.

    None says that it is something else.
    """
    place = words.index(_ARROW) if _ARROW in words else len(words)
    old, new = words[:place], words[place + 1 :]
    if not 1 <= len(old) <= _PAIR or len(new) > _PAIR or (place < len(words) and not new):
        return None
    return _pair(old), _pair(new)


def _pair(words: Sequence[str]) -> tuple[str, str]:
    path, version, *_ = (*words, "", "")
    return path, version


def _statements(text: str, name: str) -> Iterator[Line]:
    before: list[str] = []
    block: tuple[str, int, tuple[str, ...]] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        words, suffix = _words(line, f"{name}:{number}")
        match words:
            case [] if suffix is not None:
                before.append(suffix)
                continue
            case []:
                pass
            case [")"] if block:
                block = None
            case [verb, "("] if not block:
                block = (verb, number, tuple(before))
            case [verb, "(", ")"] if not block:
                pass
            case _ if block:
                yield Line(block[0], tuple(words), number, tuple(before) or block[2], suffix or "")
            case [verb, *rest]:
                yield Line(verb, tuple(rest), number, tuple(before), suffix or "")
        before = []
    if block:
        raise InvalidDocument(f"{name}:{block[1]}", f"unclosed block of {block[0]}", hint="add a line with )")


def _words(line: str, place: str) -> tuple[list[str], str | None]:
    """Split a line into words and its comment; None where it has no comment."""
    words: list[str] = []
    at = 0
    while at < len(line):
        token = _TOKEN.match(line, at)
        if token is None:
            wrong = "/* comments are not allowed" if line.startswith("/*", at) else "unclosed quote"
            raise InvalidDocument(place, wrong, hint="comments start with //, strings end on their line")
        if token["comment"] is not None:
            return words, token["comment"].strip()
        if token["quoted"]:
            words.append(_unquoted(token["quoted"], place))
        elif token["word"]:
            words.append(token["word"])
        at = token.end()
    return words, None


def _unquoted(quoted: str, place: str) -> str:
    try:
        return unquote(quoted)
    except ValueError as error:
        raise InvalidDocument(place, str(error)) from error
