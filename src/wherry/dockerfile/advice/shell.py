"""The simple commands of a RUN step, as far as advice needs them: words without quotes, redirections left out.

Source: POSIX.1-2017, shell command language, 2.2 "Quoting", 2.3 "Token Recognition", 2.9 "Shell Commands".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from wherry.dockerfile.instructions import CommandLine

_PLAIN = re.compile(r"[^\s\\'\"`$;|&()<>#]+|#")
_REDIRECT = re.compile(r"\d*(?:&>>?|[<>]&[\d-]?|<<<|<<-?|>>|>\||[<>])[ \t]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_KEYWORDS = frozenset({"!", "{", "}", "do", "elif", "else", "if", "then", "time", "until", "while"})
_PREFIXES = frozenset({"command", "env", "exec", "nice", "nohup", "sudo"})
_SHELLS = frozenset({"ash", "bash", "dash", "sh", "zsh"})
_DEEPEST = 3
"""Shells within one another that are read."""


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """One simple command."""

    words: tuple[str, ...]
    """The program first; variables as written."""
    environment: dict[str, str] = field(default_factory=dict)
    """Assignments in front of it."""

    @property
    def program(self) -> str:
        """Its name without folders; empty where only variables are set."""
        return self.words[0].rpartition("/")[2] if self.words else ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words after the program."""
        return self.words[1:]

    def plain(self) -> tuple[str, ...]:
        """Give the arguments that are no options."""
        return tuple(word for word in self.words[1:] if not word.startswith("-"))

    def does(self, program: str, *verbs: str) -> bool:
        """Report whether it is a program with one of some first arguments, such as `apt-get install`."""
        return self.program == program and any(word in verbs for word in self.plain()[:1])


def commands_of(line: CommandLine) -> tuple[ShellCommand, ...]:
    """Read what a RUN starts: shell form, heredoc, or a JSON array, with scripts given to `sh -c`."""
    if not line.shell:
        return tuple(_inside(ShellCommand(line.words), 0))
    texts = [*line.words, *(heredoc.text for heredoc in line.heredocs)]
    return tuple(command for text in texts for command in _commands(text, 0))


def _commands(text: str, depth: int) -> Iterator[ShellCommand]:
    for words in _Reader(text).lines():
        yield from _inside(_simple(words), depth)


def _inside(command: ShellCommand, depth: int) -> Iterator[ShellCommand]:
    """Give a command, or the commands of the script that a shell is given as an argument."""
    if command.program in _SHELLS and depth < _DEEPEST:
        for number, word in enumerate(command.arguments[:-1]):
            if re.fullmatch(r"-[a-z]*c", word):
                yield from _commands(command.arguments[number + 1], depth + 1)
                return
    if command.words or command.environment:
        yield command


def _simple(words: list[str]) -> ShellCommand:
    environment = {}
    while words:
        if words[0] in _KEYWORDS:
            words = words[1:]
        elif words[0] in _PREFIXES:
            words = words[1:]
            while words and words[0].startswith("-"):
                words = words[1:]
        elif found := _ASSIGNMENT.fullmatch(words[0]):
            environment[found[1]] = found[2]
            words = words[1:]
        else:
            break
    return ShellCommand(tuple(words), environment)


class _Reader:
    """Cuts a script into words; each separator ends a command."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._word: list[str] = []
        self._begun = False
        self._words: list[str] = []

    def lines(self) -> Iterator[list[str]]:
        text = self._text
        while self._at < len(text):
            letter = text[self._at]
            if letter in "\n;|&()" and not _REDIRECT.match(text, self._at):
                self._at += 1
                self._end_word()
                if self._words:
                    yield self._words
                    self._words = []
            elif letter.isspace():
                self._at += 1
                self._end_word()
            elif letter == "#" and not self._begun:
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            elif letter in "<>&" or (letter.isdigit() and not self._begun and _redirects(text, self._at)):
                self._redirect()
            else:
                self._piece(letter)
        self._end_word()
        if self._words:
            yield self._words

    def _end_word(self) -> None:
        if self._begun:
            self._words.append("".join(self._word))
        self._word, self._begun = [], False

    def _redirect(self) -> None:
        self._end_word()
        found = _REDIRECT.match(self._text, self._at)
        if found is None:
            self._at += 1
            return
        self._at = found.end()
        if found[0][-1] in "0123456789-" and "&" in found[0]:
            return
        while self._at < len(self._text) and self._text[self._at] not in " \t\n;|&()<>":
            self._piece(self._text[self._at])
        self._word, self._begun = [], False

    def _piece(self, letter: str) -> None:
        text, self._begun = self._text, True
        match letter:
            case "'":
                end = text.find("'", self._at + 1)
                end = len(text) if end < 0 else end
                self._take(text[self._at + 1 : end], end + 1)
            case '"':
                self._double()
            case "\\":
                after = text[self._at + 1 : self._at + 2]
                self._take("" if after == "\n" else after, self._at + 2)
            case "$" if text.startswith("$(", self._at):
                end = _closing(text, self._at + 1)
                self._take(text[self._at : end], end)
            case "`":
                end = text.find("`", self._at + 1)
                end = len(text) if end < 0 else end + 1
                self._take(text[self._at : end], end)
            case _:
                found = _PLAIN.match(text, self._at)
                end = found.end() if found else self._at + 1
                self._take(text[self._at : end], end)

    def _take(self, piece: str, end: int) -> None:
        self._word.append(piece)
        self._at = end

    def _double(self) -> None:
        text, self._at = self._text, self._at + 1
        while self._at < len(text):
            letter = text[self._at]
            if letter == '"':
                self._at += 1
                return
            if letter == "\\" and text[self._at + 1 : self._at + 2] in ('"', "\\", "$", "`", "\n"):
                after = text[self._at + 1]
                self._take("" if after == "\n" else after, self._at + 2)
            elif text.startswith("$(", self._at):
                end = _closing(text, self._at + 1)
                self._take(text[self._at : end], end)
            else:
                self._take(letter, self._at + 1)


def _redirects(text: str, at: int) -> bool:
    found = _REDIRECT.match(text, at)
    return found is not None and not found[0].startswith("&")


def _closing(text: str, at: int) -> int:
    """Find the end behind the parenthesis that closes the one at a place; quotes hide parentheses."""
    depth, quote = 0, ""
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == "\\" and quote != "'":
            at += 1
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            if not depth:
                return at
    return len(text)
