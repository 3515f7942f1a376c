"""Ignore patterns: which paths of a context are left out.

A pattern that fits a folder fits all that is in it; the last one that fits decides, and `!` brings back.

Source: Dockerfile reference, ".dockerignore file"; moby's patternmatcher for what it leaves open. Imports nothing slow,
since the sandbox's launcher uses it too.
"""

import posixpath
import re
import warnings
from functools import lru_cache

from wherry.errors import WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_STARS = re.compile(r"\*\*?")
_FEW = 3
"""Wildcards with which an expression is never slow; of `**` fewer."""


class BadPattern(WherryError):
    """A pattern is invalid."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, pattern: str) -> None:
        super().__init__(
            f"{pattern}: invalid pattern: unclosed [ or trailing \\",
            hint="write \\[ for the character itself",
        )


class Patterns:
    """A list of patterns."""

    def __init__(self, patterns: "Iterable[str]") -> None:
        r"""Read them: `*`, `?`, `[a-z]`, `\\x`, `**`, and `!` before one that brings back.

        Raises:
            BadPattern: one is invalid.
        """
        self._rules: list[tuple[_Pattern, bool]] = []
        for text in patterns:
            pattern = text.strip()
            if not pattern:
                continue
            pattern = clean(pattern)
            back = pattern.startswith("!")
            if back:
                if len(pattern) == 1:
                    raise BadPattern(text)
                pattern = pattern[1:]
            self._rules.append((_Pattern(pattern), back))
        self.has_exceptions = any(back for _, back in self._rules)

    def judge(self, path: str, above: "list[bool]") -> "tuple[bool, list[bool]]":
        """Report whether a path is meant, on a walk from the top down.

        A pattern that could change nothing is not tried, so it doesn't count for what is below either.

        Args:
            path: relative, no `..`.
            above: what was given for the folder it is in; empty for the topmost.

        Returns:
            Whether it is, and which patterns fit, for those in it.
        """
        meant = False
        fitting = []
        for number, (pattern, back) in enumerate(self._rules):
            fits = bool(above and above[number]) or (back is meant and pattern.match(path))
            fitting.append(fits)
            if fits:
                meant = not back
        return meant, fitting

    def fit(self, path: str) -> bool:
        """Report whether a path is meant, by itself or by a folder above it."""
        ends = [end for end, letter in enumerate(path) if letter == "/"]
        above = [] if posixpath.dirname(path) == "" else [path[:end] for end in ends]
        meant = False
        for pattern, back in self._rules:
            if back is meant and (pattern.match(path) or any(map(pattern.match, above))):
                meant = not back
        return meant


class _Pattern:
    """One pattern, without its `!`."""

    def __init__(self, text: str) -> None:
        self.match: Callable[[str], bool] = _matcher(text)


def read_ignore_file(text: str) -> "list[str]":
    """Read an ignore file's patterns: comments and blank lines left out, paths made relative and clean."""
    patterns = []
    for number, raw in enumerate(text.split("\n")):
        line = (raw.removeprefix("\ufeff") if not number else raw).rstrip("\r")
        if line.startswith("#"):
            continue
        line = line.strip()
        if not line:
            continue
        back = line.startswith("!")
        if back:
            line = line[1:].strip()
        if line:
            line = clean(line)
            line = line[1:] if len(line) > 1 and line.startswith("/") else line
        patterns.append(f"!{line}" if back else line)
    return patterns


def clean(path: str) -> str:
    """Make a path as short as it can be without looking; two slashes at its beginning are one."""
    short = posixpath.normpath(path)
    return short[1:] if short.startswith("//") else short


def _matcher(pattern: str) -> "Callable[[str], bool]":
    """Choose how a pattern is matched: by its letters where it can be, as moby does.

    So `**` at the beginning means any beginning, whether or not a slash comes next: `**a` fits `ba`.
    """
    _check(pattern)
    if not any(letter in pattern for letter in "*?[]\\"):
        return pattern.__eq__
    beginning, deep, end = pattern.partition("**")
    plain = deep and not any(letter in beginning + end.removeprefix("/") for letter in "*?[]\\")
    if plain and not beginning and end not in ("", "/"):
        return lambda path: path.endswith(end) or (end[0] == "/" and path == end[1:])
    if plain and not beginning:
        return lambda _path: True
    if plain and end in ("", "/"):
        return lambda path: path.startswith(beginning)
    return _compiled(pattern)


def _check(pattern: str) -> None:
    """Refuse what Go's filepath.Match finds to be no pattern while it looks whether `.` is meant.

    It gives up at the first part between two `*` that does not fit, and what is wrong behind that is not seen.
    """
    name: str | None = "."
    rest = pattern
    while rest and name is not None:
        star = rest.startswith("*")
        rest = rest.lstrip("*")
        end = _end_of_part(rest)
        part, rest = rest[:end], rest[end:]
        try:
            found = re.compile(_translated(part), re.DOTALL)
        except (re.error, IndexError):
            raise BadPattern(pattern) from None
        name = None if star and not part else _remaining(found, name, star=star, last=not rest)


def _end_of_part(pattern: str) -> int:
    at, inside = 0, False
    while at < len(pattern) and (inside or pattern[at] != "*"):
        at += pattern[at] == "\\" and at + 1 < len(pattern)
        inside = (inside or pattern[at] == "[") and pattern[at] != "]"
        at += 1
    return at


def _remaining(part: "re.Pattern[str]", name: str, *, star: bool, last: bool) -> "str | None":
    """Give what is left of a name behind a part; None where it does not fit."""
    for begin in range(len(name) + 1 if star else 1):
        found = part.match(name, begin)
        if found is not None and (found.end() == len(name) or not last):
            return name[found.end() :]
    return None


def _compiled(pattern: str) -> "Callable[[str], bool]":
    stars = _STARS.findall(pattern)
    try:
        if len(stars) > _FEW or stars.count("**") == _FEW:
            tokens = _valid(_tokens(pattern, deep=True))
            return lambda path: _holds(tokens, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of sets that mean something else in other languages
            expression = re.compile(_as_moby(pattern), re.ASCII)
        return lambda path: expression.search(path) is not None
    except (re.error, IndexError):
        raise BadPattern(pattern) from None


def fits(pattern: str, name: str) -> bool:
    r"""Match a name as Go's path/filepath does: `*`, `?`, `[a-z]`, `[^a-z]`, `\\x`; none of them a slash.

    Raises:
        BadPattern: it is invalid.
    """
    return _named(pattern)(name)


@lru_cache(maxsize=64)
def _named(pattern: str) -> "Callable[[str], bool]":
    try:
        if pattern.count("*") > _FEW:
            tokens = _valid(_tokens(pattern, deep=False))
            return lambda name: _holds(tokens, name)
        expression = re.compile(_translated(pattern), re.DOTALL)
        return lambda name: expression.fullmatch(name) is not None
    except (re.error, IndexError):
        raise BadPattern(pattern) from None


def _as_moby(pattern: str) -> str:
    """Write a pattern as the expression that moby makes of it, in which `|`, `^` and `{2}` mean something."""
    out = ["^"]
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*" and pattern.startswith("*", at):
            at += 1
            at += pattern.startswith("/", at)
            out.append(".*" if at == len(pattern) else "(.*/)?")
        elif letter == "*":
            out.append("[^/]*")
        elif letter == "?":
            out.append("[^/]")
        elif letter in ".+()$":
            out.append(f"\\{letter}")
        elif letter == "\\":
            out.append(letter + pattern[at : at + 1])
            at += 1
        else:
            out.append(letter)
    return "".join(out) + ("$" if out[-1] == "\\" else r"\Z")


def _translated(pattern: str) -> str:
    r"""Write a pattern without `**` as an expression; IndexError where a `[` or a `\\` does not end."""
    return "".join(f"[^/]{token}" if token == "*" else token for token in _tokens(pattern, deep=False))  # noqa: S105 - a wildcard


def _tokens(pattern: str, *, deep: bool) -> "list[str]":
    """Cut a pattern into `*`, `**`, `/`, and expressions for the rest, which never look like those."""
    tokens: list[str] = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*" and deep and pattern.startswith("*", at):
            at += 1
            at += pattern.startswith("/", at)
            if tokens[-1:] != ["**"]:
                tokens.append("**")
        elif letter in "*/":
            tokens.append(letter)
        elif letter == "?":
            tokens.append("[^/]")
        elif letter == "\\":
            tokens.append(_quoted(pattern[at]))
            at += 1
        elif letter == "[":
            chosen, at = _class(pattern, at)
            tokens.append(chosen)
        else:
            tokens.append(_quoted(letter))
    return tokens


def _valid(tokens: "list[str]") -> "list[str]":
    """Compile what is matched later, so that a range without letters (`[z-a]`) is refused before; raises re.error."""
    for token in tokens:
        if token not in ("*", "**"):
            re.compile(token, re.DOTALL)
    return tokens


def _quoted(letter: str) -> str:
    return f"[{letter}]" if letter == "/" else re.escape(letter)


def _holds(tokens: "list[str]", path: str) -> bool:
    """Match a path in time that grows with the pattern times the path, however many wildcards there are.

    Bit n of a number stands for the place before letter n: first of where letters are, then of where a match may be.
    """
    letters: dict[str, int] = {}
    for place, letter in enumerate(path):
        letters[letter] = letters.get(letter, 0) | 1 << place
    slashes = letters.get("/", 0)
    inside = ~slashes & ((1 << len(path)) - 1)
    state = 1
    for number, token in enumerate(tokens):
        first = state & -state
        if token == "*":  # noqa: S105 - a wildcard
            state |= ((state & inside) + inside) ^ inside  # the sum carries each bit to the end of its run
        elif token == "**" and number == len(tokens) - 1:  # noqa: S105 - a wildcard
            return state != 0
        elif token == "**":  # noqa: S105 - a wildcard
            state |= (slashes << 1) & -(first << 1)
        else:
            state = (state & _where(token, letters)) << 1
    return bool(state >> len(path) & 1)


def _where(token: str, letters: "dict[str, int]") -> int:
    """Give the places of the letters that an expression of one letter means."""
    places = 0
    for letter, found in letters.items():
        if re.fullmatch(token, letter, re.DOTALL):
            places |= found
    return places


def _class(pattern: str, at: int) -> "tuple[str, int]":
    """Read `a-z]`; IndexError where it does not end, or a range has no beginning or end (Go's filepath.Match)."""
    negated = pattern[at] == "^"
    at += negated
    out: list[str] = []
    while pattern[at] != "]" or not out:
        first, at = _letter(pattern, at)
        if pattern[at] == "-":
            last, at = _letter(pattern, at + 1)
            out.append(f"{re.escape(first)}-{re.escape(last)}")
        else:
            out.append(re.escape(first))
    return f"[{'^' if negated else ''}{''.join(out)}]", at + 1


def _letter(pattern: str, at: int) -> "tuple[str, int]":
    if pattern[at] in "-]":
        raise IndexError(at)
    if pattern[at] == "\\":
        at += 1
    return pattern[at], at + 1
