"""The text of `-ldflags`, split and joined as the go command does, and the variables that `-X` sets in it.

Sources: Go 1.26, cmd/internal/quoted (`Split`, `Join`), cmd/go/internal/load/flag.go (`PerPackageFlag.set`: a pattern
may stand before the flags), cmd/link -X.
"""

import re
from collections.abc import Collection, Sequence

_SET = frozenset(("-X", "--X"))
_JOINED = ("-X=", "--X=")
_PATTERN = re.compile(r"[^-\s'\"=][^\s'\"=]*=")
_SPACE = " \t\r\n"


def split(text: str) -> list[str]:
    """Split a text into words: a quote counts at the beginning of a word only, and nothing is escaped.

    Raises:
        ValueError: a quote is not closed.
    """
    words = []
    at = 0
    while at < len(text):
        if text[at] in _SPACE:
            at += 1
        elif text[at] in "'\"":
            end = text.find(text[at], at + 1)
            if end < 0:
                raise ValueError(f"unclosed {text[at]}")
            words.append(text[at + 1 : end])
            at = end + 1
        else:
            end = next((place for place in range(at, len(text)) if text[place] in _SPACE), len(text))
            words.append(text[at:end])
            at = end
    return words


def join(words: Sequence[str]) -> str:
    """Join words to a text that splits into them.

    Raises:
        ValueError: a word contains both kinds of quotes, so nothing would.
    """
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word and not any(letter in word for letter in (*_SPACE, "'", '"')):
        return word
    for quote in "'\"":
        if quote not in word:
            return f"{quote}{word}{quote}"
    raise ValueError("a word contains both kinds of quotes")


def x_values(text: str) -> list[tuple[str, str]]:
    """Read the variables that -X sets, each with its value, in their order; nothing where quotes don't close."""
    try:
        words = split(text[len(_pattern(text)) :])
    except ValueError:
        return []
    return [_pair(words, place) for place in _places(words) if "=" in _definition(words, place)]


def without_values(text: str, kept: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Take the variables that -X sets out of a text, values and all.

    Args:
        text: of -ldflags.
        kept: names of variables that stay.

    Returns:
        The text, and the names of the variables that were taken out. Where its quotes don't close, no text is left.
    """
    pattern = _pattern(text)
    try:
        words = split(text[len(pattern) :])
        places = [place for place in _places(words) if _pair(words, place)[0] not in kept]
        gone = {
            one for place in places for one in ((place,) if words[place].startswith(_JOINED) else (place, place + 1))
        }
        left = join([word for place, word in enumerate(words) if place not in gone])
    except ValueError:
        return "", ()
    return f"{pattern}{left}" if left else "", tuple(dict.fromkeys(_pair(words, place)[0] for place in places))


def with_values_hidden(text: str) -> str:
    """Write a text with `…` in place of each value that -X sets; empty where quotes don't close."""
    pattern = _pattern(text)
    try:
        words = split(text[len(pattern) :])
    except ValueError:
        return ""
    for place in _places(words):
        name, _ = _pair(words, place)
        joined = words[place].startswith(_JOINED)
        words[place if joined else place + 1] = f"{'-X=' if joined else ''}{name}=…"
    return f"{pattern}{' '.join(words)}"


def _pattern(text: str) -> str:
    """Give the pattern of packages that a text starts with, `=` and all."""
    found = _PATTERN.match(text)
    return found[0] if found else ""


def _places(words: Sequence[str]) -> list[int]:
    """Name the words that set a variable."""
    places = []
    at = 0
    while at < len(words):
        if words[at].startswith(_JOINED):
            places.append(at)
        elif words[at] in _SET and at + 1 < len(words):
            places.append(at)
            at += 1
        at += 1
    return places


def _definition(words: Sequence[str], place: int) -> str:
    word = words[place]
    return word.partition("=")[2] if word.startswith(_JOINED) else words[place + 1]


def _pair(words: Sequence[str], place: int) -> tuple[str, str]:
    name, _, value = _definition(words, place).partition("=")
    return name, value
