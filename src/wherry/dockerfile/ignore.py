"""Ignore patterns: which paths of a context are left out.

A pattern that fits a folder fits all that is in it; the last one that fits decides, and `!` brings back.

Source: Dockerfile reference, ".dockerignore file"; moby's patternmatcher for what it leaves open. Imports nothing slow,
since the sandbox's launcher uses it too.
"""

import posixpath
import re

from wherry.errors import WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class BadPattern(WherryError):
    """A pattern is none."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, pattern: str) -> None:
        super().__init__(
            f"{pattern}: it is no pattern: a [ or a \\ in it does not end",
            hint="write \\[ where the letter itself is meant",
        )


class Patterns:
    """A list of patterns."""

    def __init__(self, patterns: "Iterable[str]") -> None:
        r"""Read them: `*`, `?`, `[a-z]`, `\\x`, `**`, and `!` before one that brings back.

        Raises:
            BadPattern: one is none.
        """
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        for text in patterns:
            pattern = text.strip()
            if not pattern:
                continue
            pattern = posixpath.normpath(pattern)
            back = pattern.startswith("!")
            if back:
                if len(pattern) == 1:
                    raise BadPattern(text)
                pattern = pattern[1:]
            self._rules.append((_compiled(pattern), back))
        self.has_exceptions = any(back for _, back in self._rules)

    def judge(self, path: str, above: "list[bool]") -> "tuple[bool, list[bool]]":
        """Tell whether a path is meant.

        Args:
            path: relative, no `..`.
            above: what was given for the folder it is in; empty for the topmost.

        Returns:
            Whether it is, and which patterns fit, for those in it.
        """
        meant = False
        fitting = []
        for number, (rule, back) in enumerate(self._rules):
            fits = bool(above and above[number]) or rule.match(path) is not None
            fitting.append(fits)
            if fits:
                meant = not back
        return meant, fitting

    def fit(self, path: str) -> bool:
        """Tell whether a path is meant, by itself or by a folder above it."""
        above: list[bool] = []
        meant = False
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            meant, above = self.judge("/".join(parts[:end]), above)
        return meant


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
            line = posixpath.normpath(line)
            line = line[1:] if len(line) > 1 and line.startswith("/") else line
            line = line.lstrip("/") if line.startswith("//") else line
        patterns.append(f"!{line}" if back else line)
    return patterns


def _compiled(pattern: str) -> "re.Pattern[str]":
    try:
        return re.compile(_translated(pattern) + r"\Z", re.DOTALL)
    except (re.error, IndexError):
        raise BadPattern(pattern) from None


def fits(pattern: str, name: str) -> bool:
    r"""Match a name as Go's path/filepath does: `*`, `?`, `[a-z]`, `[^a-z]`, `\\x`; none of them a slash.

    Raises:
        BadPattern: it is none.
    """
    try:
        return re.fullmatch(_translated(pattern, deep=False), name, re.DOTALL) is not None
    except (re.error, IndexError):
        raise BadPattern(pattern) from None


def _translated(pattern: str, *, deep: bool = True) -> str:
    out = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        match letter:
            case "*" if deep and pattern.startswith("*", at):
                at += 1
                at += pattern.startswith("/", at)
                out.append(".*" if at == len(pattern) else "(.*/)?")
            case "*":
                out.append("[^/]*")
            case "?":
                out.append("[^/]")
            case "\\":
                out.append(re.escape(pattern[at]))
                at += 1
            case "[":
                chosen, at = _class(pattern, at)
                out.append(chosen)
            case _:
                out.append(re.escape(letter))
    return "".join(out)


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
