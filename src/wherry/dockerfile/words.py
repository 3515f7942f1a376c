"""Words: quotes, escapes, and variables put in.

The rules are those of a shell, as far as a Dockerfile has them: `$x`, `${x}`, `${x:-y}` and similar, `${x#y}`,
`${x%y}`, `${x/y/z}`. Where BuildKit's expansion differs from a shell's, it is BuildKit's that counts.

Source: Dockerfile reference, "Environment replacement"; POSIX.1-2017, shell command language, 2.6.2; BuildKit 0.34's
behaviour for what they leave open.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.globs import BadGlob, Glob

_SPECIAL = "@*#?-$!0"
_BLANK = "\t\r "
_MODIFIERS = "+-?#%"
_DEEPEST = 60
"""Expansions within one another: more than anybody writes, and few enough for Python's stack."""
_LARGEST = 1 << 24
"""Letters that may be put into one word, so that variables which double one another end."""
_TOO_LARGE = f"more than {_LARGEST >> 20} MB of variables"
_SHOWN = 200
"""Letters of a word that a message has."""
_GROUP = re.compile(r"\$(\$|\{\w+\}|\w+)")


@dataclass(frozen=True, slots=True)
class Style:
    """How words are read."""

    escape: str = "\\"
    raw_quotes: bool = False
    """Quotes stay in the result."""
    raw_escapes: bool = False
    """Escapes stay in the result."""
    skip_quotes: bool = False
    """Quotes mean nothing."""
    skip_unset: bool = False
    """A variable that is not set stays unchanged."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What came of a word."""

    text: str
    words: tuple[str, ...]
    """The same, cut where blanks stood outside of quotes."""
    matched: frozenset[str]
    """Variables that were set."""
    unmatched: frozenset[str]
    """Variables that were not."""


PLAIN = Style()


def expand(word: str, variables: Mapping[str, str], style: Style = PLAIN) -> Expansion:
    """Put variables into a word, and take quotes and escapes away.

    Raises:
        DockerfileError: a quote or brace is not closed, or a variable that has to be set is not.
    """
    if not any(letter in word for letter in ("$", "'", '"', style.escape, "<", " ", "\t", "\n")):
        return Expansion(word, (word,) if word else (), frozenset(), frozenset())
    reader = _Reader(word, variables, style)
    try:
        text, words = reader.until("", raw=style.raw_escapes)
    except _Unreadable as error:
        raise DockerfileError(f"failed to process {_quoted(word)}: {error}") from None
    return Expansion(text, tuple(words), frozenset(reader.matched), frozenset(reader.unmatched))


def _quoted(word: str) -> str:
    word = f"{word[:_SHOWN]}…" if len(word) > _SHOWN else word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class _Unreadable(Exception):
    pass


@dataclass
class _Words:
    """Words being cut."""

    done: list[str] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    inside: bool = False

    def letter(self, letter: str) -> None:
        if not letter.isspace():
            self.raw(letter)
        elif self.inside and self.letters:
            self.done.append("".join(self.letters))
            self.letters = []
            self.inside = False

    def raw(self, text: str) -> None:
        if text:
            self.letters.append(text)
        self.inside = True

    def end(self) -> list[str]:
        if whole := "".join(self.letters):
            self.done.append(whole)
        return self.done


class _Reader:
    """A word being read."""

    def __init__(self, text: str, variables: Mapping[str, str], style: Style) -> None:
        self._text = text
        self._at = 0
        self._variables = variables
        self._style = style
        self._raw = style.raw_escapes
        self._depth = 0
        self._put_in = 0
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def until(self, stop: str, *, raw: bool, pattern: bool = False) -> tuple[str, list[str]]:
        """Read up to a letter outside of quotes, or to the end.

        Args:
            stop: the letter; empty: the end.
            raw: whether escapes stay.
            pattern: whether what is read is a pattern, in which an escape in quotes is a letter.
        """
        before, self._raw = self._raw, raw
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Unreadable("expansions nested too deeply")
        try:
            return self._until(stop, pattern=pattern)
        finally:
            self._raw = before
            self._depth -= 1

    def _until(self, stop: str, *, pattern: bool) -> tuple[str, list[str]]:
        out: list[str] = []
        words = _Words()
        while letter := self._peek():
            if letter == stop:
                self._at += 1
                return "".join(out), words.end()
            if letter == "$":
                value = self._dollar()
                out.append(value)
                for one in value:
                    words.letter(one)
            elif letter in "'\"" and not self._style.skip_quotes:
                text = self._single(pattern=pattern) if letter == "'" else self._double(pattern=pattern)
                out.append(text)
                words.raw(text)
            elif letter == "<":
                text = self._heredoc()
                out.append(text)
                words.raw(text)
            elif not self._letter(out, words):
                break
        if stop:
            raise _Unreadable(f"unexpected end of statement while looking for matching {stop}")
        return "".join(out), words.end()

    def _letter(self, out: list[str], words: _Words) -> bool:
        letter = self._next()
        if letter != self._style.escape:
            words.letter(letter)
            out.append(letter)
            return True
        if self._raw:
            words.raw(letter)
            out.append(letter)
        letter = self._next()
        if letter:
            words.raw(letter)
            out.append(letter)
        return bool(letter)

    def _single(self, *, pattern: bool) -> str:
        begin = self._at + 1
        end = self._text.find("'", begin)
        if end < 0:
            raise _Unreadable("unexpected end of statement while looking for matching single-quote")
        self._at = end + 1
        inner = self._text[begin:end]
        if pattern:
            inner = inner.replace(self._style.escape, self._style.escape * 2)
        return f"'{inner}'" if self._style.raw_quotes else inner

    def _double(self, *, pattern: bool) -> str:
        quote = self._next() if self._style.raw_quotes else self._next()[:0]
        out = [quote]
        while letter := self._peek():
            if letter == '"':
                self._at += 1
                out.append(quote)
                return "".join(out)
            if letter == "$":
                out.append(self._dollar())
                continue
            self._at += 1
            if letter == self._style.escape:
                following = self._peek()
                if not following:
                    continue
                if following in ('"', "$", self._style.escape):
                    if self._raw:
                        out.append(letter)
                    letter = self._next()
                elif self._raw and (not self._style.raw_quotes or pattern):
                    out.append(letter)
            out.append(letter)
        raise _Unreadable("unexpected end of statement while looking for matching double-quote")

    def _heredoc(self) -> str:
        self._at += 1
        if self._peek() != "<":
            return "<"
        self._at += 1
        blank = []
        while self._peek() and self._peek() in _BLANK:
            blank.append(self._next())
        return f"<<{''.join(blank)}"

    def _dollar(self) -> str:
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return f"${name}" if value is None and self._style.skip_unset else value or ""
        self._at += 1
        if not self._peek():
            raise _Unreadable("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise _Unreadable("syntax error: bad substitution")
        return self._braced(self._name())

    def _braced(self, name: str) -> str:
        letter = self._next()
        if letter == "}":
            value = self._value(name)
            return f"${{{name}}}" if value is None and self._style.skip_unset else value or ""
        colon = letter == ":"
        shown = letter
        if colon:
            letter = self._next()
            shown += letter
        if letter == "/" and not colon:
            return self._replaced(name)
        if not letter or letter not in _MODIFIERS or (colon and letter in "#%"):
            raise _Unreadable(f"unsupported modifier ({shown}) in substitution")
        trims = letter in "#%"
        word = self._inner("}", "syntax error: missing '}'", raw=trims, pattern=trims)
        value = self._value(name)
        if value is None and self._style.skip_unset:
            return f"${{{name}{shown}{word}}}"
        if trims:
            return _trimmed(letter, word, value or "")
        return _chosen(name, letter, word, value, colon=colon)

    def _replaced(self, name: str) -> str:
        every = self._peek() == "/"
        self._at += every
        pattern = self._inner("/", "syntax error: missing '/' in ${}", raw=True, pattern=True)
        replacement = self._inner("}", "syntax error: missing '}'", raw=True, pattern=False)
        value = self._value(name)
        if value is None and self._style.skip_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        return _substituted(_glob(pattern), replacement, value or "", every=every)

    def _inner(self, stop: str, missing: str, *, raw: bool, pattern: bool) -> str:
        try:
            return self.until(stop, raw=raw, pattern=pattern)[0]
        except _Unreadable as error:
            if not self._peek():
                raise _Unreadable(missing) from error
            raise

    def _name(self) -> str:
        begin = self._at
        first = self._peek()
        if first.isdigit():
            while self._peek().isdigit():
                self._at += 1
        elif first and first in _SPECIAL:
            self._at += 1
        else:
            while (letter := self._peek()) and (letter.isalpha() or letter.isdigit() or letter == "_"):
                self._at += 1
        return self._text[begin : self._at]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        self._put_in += len(value or "")
        if self._put_in > _LARGEST:
            raise _Unreadable(_TOO_LARGE)
        return value

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        letter = self._text[self._at : self._at + 1]
        self._at += 1
        return letter


def _chosen(name: str, letter: str, word: str, value: str | None, *, colon: bool) -> str:
    missing = value is None or (colon and not value)
    match letter:
        case "-":
            return word if missing else value or ""
        case "+":
            return "" if missing else word
        case _:
            if missing:
                state = "unset" if value is None else "empty"
                raise _Unreadable(f"{name}: {word or f'is not allowed to be {state}'}")
            return value or ""


def _trimmed(letter: str, word: str, value: str) -> str:
    longest = word.startswith(letter)
    glob = _glob(word[1:] if longest else word)
    if letter == "#":
        end = glob.end(value, 0, longest=longest)
        return value[end:] if end > 0 else value
    # The shortest end that fits is the shortest beginning of the value read backwards.
    length = glob.backwards().end(value[::-1], 0, longest=longest)
    return value[: len(value) - length] if length > 0 else value


@lru_cache(maxsize=64)
def _glob(pattern: str) -> Glob:
    try:
        return Glob.parse(pattern)
    except BadGlob as error:
        raise _Unreadable(f"invalid pattern ({pattern}) in substitution: {error}") from None


def _substituted(glob: Glob, replacement: str, value: str, *, every: bool) -> str:
    out: list[str] = []
    after = size = 0
    for begin, end in glob.matches(value):
        put = _go_template(replacement, value[begin:end]) if every else replacement
        size += len(put)
        if size > _LARGEST:
            raise _Unreadable(_TOO_LARGE)
        out += (value[after:begin], put)
        after = end
        if not every:
            break
    return "".join(out) + value[after:]


def _go_template(text: str, found: str) -> str:
    """Put in what was found for `$0`, and nothing for other groups, as Go's regexp does for `//`."""
    return _GROUP.sub(lambda group: {"$": "$", "0": found, "{0}": found}.get(group[1], ""), text)
