"""On which line of a TOML document each key and list entry stands; `tomllib` tells values only.

`lines_of` reads text that `tomllib` has found to be valid, so it checks nothing; a test compares the keys of
both for any document.

Source: TOML v1.0.0.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Keys and list places from the top, such as `("services", "api", "expose", 1)`."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"(?!")|""(?!"))?|\'\'\'.*?\'\'\'(?:\'(?!\')|\'\'(?!\'))?|' + _QUOTED.pattern, re.DOTALL
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def lines_of(text: str) -> Mapping[Path, int]:
    """Give the line, from 1 on, of every key and list entry of a valid document."""
    return _Scanner(text).document()


def line_at(lines: Mapping[Path, int], path: Path) -> int:
    """Give the line of a path, or of the nearest one above it that is known."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._lists: dict[Path, int] = {}
        """The last place in each list that `[[…]]` headers make."""

    def document(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip(_BLANK):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Go on behind what matches; report whether text is left."""
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at < len(self._text)

    def _header(self) -> Path:
        entry = self._text.startswith("[[", self._at)
        line = self._line()
        self._at += 2 if entry else 1
        keys = self._keys()
        self._at += 2 if entry else 1
        path: Path = ()
        for place, key in enumerate(keys, start=1):
            path = (*path, key)
            self._lines.setdefault(path, line)
            if entry and place == len(keys):
                self._lists[path] = self._lists.get(path, -1) + 1
            if path in self._lists:
                path = (*path, self._lists[path])
                self._lines.setdefault(path, line)
        return path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while self._skip(_SPACE):
            quoted = _QUOTED.match(self._text, self._at)
            word = quoted or _BARE.match(self._text, self._at)
            if word is None:
                break
            keys.append(tomllib.loads(f"key={word[0]}")["key"] if quoted else word[0])
            self._at = word.end()
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return keys

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        match self._text[self._at : self._at + 1]:
            case "[":
                self._list(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _list(self, path: Path) -> None:
        self._at += 1
        place, before = 0, -1
        while self._skip(_BLANK) and self._text[self._at] != "]" and self._at > before:
            before = self._at  # so that text which is not TOML after all ends this too
            self._lines[*path, place] = self._line()
            self._value((*path, place))
            place += 1
            self._comma()
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip(_BLANK) and self._text[self._at] != "}":
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self._text.startswith(",", self._at):
            self._at += 1

    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1
