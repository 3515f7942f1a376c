"""Lines to nodes: directives, comments, continued lines, heredocs; nothing yet of what an instruction means.

Source: Dockerfile reference, "Format", "Parser directives", "Here-Documents"; BuildKit 0.34's behaviour for what it
leaves open, such as blank lines in a continued one.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from wherry.dockerfile.errors import DockerfileError, Lines
from wherry.dockerfile.words import Style, expand

_NO_TEXT = re.compile("[\udc80-\udcff]+")
"""Bytes that are not UTF-8, as `surrogateescape` keeps them."""
_BLANK = re.compile(r"[\t\v\f\r ]+")
_SPACE = " \t\v\f\r\n"
"""What parts flags."""
_HEREDOC = re.compile(r"(\d*)<<(-?)\s*([^<]*)", re.ASCII)
_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_DIRECTIVES = ("syntax", "escape", "check")
_LONGEST_LINE = 64 * 1024 - 1
"""Bytes of a line of the file, its end among them (Go's bufio.Scanner, by which BuildKit reads)."""
_WITH_HEREDOCS = ("add", "copy", "run")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A text within the file."""

    name: str
    content: str
    expand: bool
    """Whether variables are put into it: no part of its word was quoted."""
    chomp: bool
    """Whether tabs at the beginning of its lines are taken away (`<<-`)."""

    @property
    def text(self) -> str:
        """What it stands for."""
        return re.sub(r"(?m)^\t+", "", self.content) if self.chomp else self.content


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction, by its words."""

    instruction: str
    """As written."""
    text: str
    """The whole line, continued ones joined; heredocs left out."""
    flags: tuple[str, ...]
    arguments: tuple[str, ...]
    lines: Lines
    json: bool = False
    """Whether the arguments were a JSON array."""
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()
    """The comment lines directly above."""
    inner: "Node | None" = None
    """What ONBUILD wraps."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """A file's nodes and directives."""

    nodes: tuple[Node, ...]
    escape: str
    directives: dict[str, tuple[str, int]]
    """Value and line."""
    empty_continuations: tuple[tuple[int, str], ...] = ()
    """Where an empty line stands in a continued one: the line of its end, and the text."""


def read_syntax(text: str) -> Syntax:
    """Cut a file into nodes.

    Raises:
        DockerfileError: with the lines.
    """
    return _File(text).read()


def parse_heredoc(word: str) -> Heredoc | None:
    """Read a heredoc such as `<<EOF`; None if a word is not one.

    Raises:
        DockerfileError: a quote in it is not closed.
    """
    found = _HEREDOC.fullmatch(word)
    if found is None or not found[3]:
        return None
    words = expand(found[3], {}, Style(skip_unset=True)).words
    if len(words) != 1:
        return None
    raw = expand(found[3], {}, Style(skip_unset=True, raw_quotes=True)).words
    quoted = sum(raw[0].count(mark) - words[0].count(mark) for mark in "'\"") if raw else 0
    return Heredoc(name=words[0], content="", expand=not quoted, chomp=found[2] == "-")


def directive_of(key: str, text: str) -> str | None:
    """Find a directive's value, in the comment styles of other files too; for `syntax` that is its first word."""
    text = text.removeprefix("\ufeff")
    if text.startswith("#!"):
        text = text.partition("\n")[2]
    for mark in ("#", "//"):
        for name, value in _directives(text, mark):
            if name == key:
                return value.partition(" ")[0]
        if key != "syntax":
            return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, str) else None


def _directives(text: str, mark: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for line in text.split("\n"):
        if not line.startswith(mark):
            return
        found = _DIRECTIVE.match(line.removeprefix(mark).lstrip())
        if found is None or found[1].lower() not in _DIRECTIVES or found[1].lower() in seen:
            return
        seen.add(found[1].lower())
        yield found[1].lower(), found[2]


@dataclass
class _File:
    text: str
    escape: str = "\\"
    at: int = 0
    directives: dict[str, tuple[str, int]] = field(default_factory=dict)
    looking: bool = True
    """Whether a directive may still come."""
    empty: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines = self.text.removeprefix("\ufeff").split("\n")
        if not self.lines[-1]:
            self.lines.pop()
        self._set_escape("\\")

    def read(self) -> Syntax:
        nodes: list[Node] = []
        comments: list[str] = []
        while self.at < len(self.lines):
            line = self._next().rstrip("\r").lstrip()
            first = self.at
            if line.startswith("#"):
                comment = line[1:].strip()
                if self._directive(line):
                    continue
                if comment:
                    comments.append(comment)
                else:
                    comments = []
                continue
            self.looking = False
            line, goes_on = self._joined(line)
            if not line and not goes_on:
                continue
            line = self._continued(line, goes_on=goes_on)
            try:
                node = self._node(line, Lines(first, self.at), tuple(comments))
                nodes.append(self._with_heredocs(node, line, first))
            except DockerfileError as error:
                raise error.placed(Lines(first, self.at)) from None
            comments = []
        if not nodes:
            raise DockerfileError("file with no instructions", Lines(max(self.at, 1), max(self.at, 1)))
        return Syntax(tuple(nodes), self.escape, self.directives, tuple(self.empty))

    def _next(self) -> str:
        line = self.lines[self.at]
        self.at += 1
        if len(line) * 4 > _LONGEST_LINE and len(line.encode(errors="surrogateescape")) + 1 > _LONGEST_LINE + 1:
            raise DockerfileError(
                f"dockerfile line greater than max allowed size of {_LONGEST_LINE}", Lines(self.at, self.at)
            )
        return line

    def _directive(self, line: str) -> bool:
        if not self.looking:
            return False
        found = _DIRECTIVE.match(line[1:].lstrip())
        key = found[1].lower() if found else ""
        if found is None or key not in _DIRECTIVES:
            self.looking = False
            return False
        if key in self.directives:
            raise DockerfileError(f"only one {key} parser directive can be used", Lines(self.at, self.at))
        self.directives[key] = (found[2], self.at)
        if key == "escape":
            if found[2] not in ("\\", "`"):
                raise DockerfileError(
                    f"invalid escape token {found[2]!r} does not match ` or \\", Lines(self.at, self.at)
                )
            self._set_escape(found[2])
        return True

    def _set_escape(self, token: str) -> None:
        self.escape = token
        quoted = re.escape(token)
        self._going_on = re.compile(rf"(?:(?<=[^{quoted}])|^){quoted}[ \t]*$")

    def _joined(self, line: str) -> tuple[str, bool]:
        found = self._going_on.search(line)
        return (line[: found.start()], True) if found else (line, False)

    def _continued(self, line: str, *, goes_on: bool) -> str:
        parts = [line]
        empty = False
        while goes_on and self.at < len(self.lines):
            more = self._next().rstrip("\r")
            if more.lstrip().startswith("#"):
                continue
            if not more.strip():
                empty = True
                continue
            more, goes_on = self._joined(more)
            parts.append(more)
        whole = "".join(parts)
        if empty:
            self.empty.append((self.at, whole))
        return whole

    def _with_heredocs(self, node: Node, line: str, first: int) -> Node:
        bearer = node.inner if node.instruction.lower() == "onbuild" and node.inner else node
        if "<<" not in line or bearer.json or bearer.instruction.lower() not in _WITH_HEREDOCS:
            return node
        found = [self._heredoc(doc, first) for doc in _heredocs_of(line)]
        return Node(
            node.instruction, node.text, node.flags, node.arguments, Lines(first, self.at), node.json, tuple(found),
            node.comments, node.inner,
        )  # fmt: skip

    def _heredoc(self, doc: Heredoc, first: int) -> Heredoc:
        content: list[str] = []
        while self.at < len(self.lines):
            line = self._next()
            bare = line.rstrip("\r")
            if (bare.lstrip("\t") if doc.chomp else bare) == doc.name:
                return Heredoc(doc.name, "".join(content), doc.expand, doc.chomp)
            content.append(f"{line}\n")
        raise DockerfileError(
            "unterminated heredoc", Lines(first, self.at), hint=f"end it with {doc.name} on a line of its own"
        )

    def _node(self, line: str, lines: Lines, comments: tuple[str, ...], *, deep: bool = False) -> Node:
        word, flags, rest = _split(line, self.escape)
        read = _READERS.get(word.lower())
        if read is None:
            return Node(word, line, flags, (), lines, comments=comments)
        if read == "onbuild":
            # ONBUILD within ONBUILD is refused later, however deep it goes.
            inner = self._node(rest, lines, (), deep=True) if rest and not deep else None
            return Node(word, line, flags, (rest,) if rest else (), lines, comments=comments, inner=inner)
        arguments, is_json = _arguments(read, word, rest, self.escape)
        return Node(word, line, flags, arguments, lines, json=is_json, comments=comments)


def _heredocs_of(line: str) -> Iterator[Heredoc]:
    try:
        words = expand(line, {}, Style(raw_quotes=True, raw_escapes=True, skip_unset=True)).words
    except DockerfileError:
        return
    for word in words:
        if (doc := parse_heredoc(word)) is not None:
            yield doc


_READERS = {
    "add": "list", "arg": "words", "cmd": "json", "copy": "list", "entrypoint": "json", "env": "pairs",
    "expose": "blanks", "from": "blanks", "healthcheck": "health", "label": "pairs", "maintainer": "string",
    "onbuild": "onbuild", "run": "json", "shell": "json", "stopsignal": "string", "user": "string",
    "volume": "list", "workdir": "string",
}  # fmt: skip
INSTRUCTIONS = tuple(name.upper() for name in _READERS)


def _arguments(  # noqa: PLR0911 - one form of words each
    read: str, word: str, rest: str, escape: str
) -> tuple[tuple[str, ...], bool]:
    match read:
        case "json":
            found = _json(rest, word)
            return (found, True) if found is not None else ((rest,) if rest else (), False)
        case "list":
            found = _json(rest, word)
            return (found, True) if found is not None else (_blanks(rest), False)
        case "health":
            kind, _, command = _cut(rest)
            found = _json(command, word)
            if found is not None:
                return (kind, *found), True
            return (kind, *((command,) if command else ())) if kind else (), False
        case "blanks":
            return _blanks(rest), False
        case "words":
            return tuple(words_of(rest, escape)), False
        case "pairs":
            return tuple(_pairs(rest, word.upper(), escape)), False
        case _:
            return ((rest,) if rest else ()), False


def _cut(rest: str) -> tuple[str, str, str]:
    found = re.match(r"(\S*)(\s*)(.*)", rest, re.DOTALL | re.ASCII)
    assert found is not None  # noqa: S101 - it matches everything
    return found[1], found[2], found[3]


def _blanks(rest: str) -> tuple[str, ...]:
    return tuple(_BLANK.split(rest)) if rest else ()


def _json(rest: str, word: str) -> tuple[str, ...] | None:
    if not rest.lstrip().startswith("["):
        return None
    try:
        found = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    if not all(isinstance(word, str) for word in found):
        raise DockerfileError("when using JSON array syntax, arrays must be comprised of strings only")
    if bad := _NO_TEXT.search(rest):
        # Go's reader of JSON would put U+FFFD there, and another program would run than was written.
        raise DockerfileError(
            f"{word.upper()}: its bytes {bad[0].encode(errors='surrogateescape').hex(' ')} are not UTF-8, and a list "
            "in JSON can hold nothing else",
            hint="save the Dockerfile as UTF-8",
        )
    return tuple(word.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in found)


def _pairs(rest: str, key: str, escape: str) -> Iterator[str]:
    words = words_of(rest, escape)
    if not words:
        return
    if "=" not in words[0]:
        parts = _BLANK.split(rest, maxsplit=1)
        if len(parts) < 2:  # noqa: PLR2004 - a name and a value
            raise DockerfileError(f"{key} must have two arguments")
        yield from (parts[0], parts[1], "")
        return
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(f"Syntax error - can't find = in {word!r}. Must be of the form: name=value")
        yield from (name, value, "=")


def words_of(rest: str, escape: str) -> list[str]:
    """Cut at blanks outside of quotes; quotes and escapes stay."""
    words: list[str] = []
    word: list[str] = []
    quote = ""
    blank_counts = False
    at = 0
    while at < len(rest):
        letter = rest[at]
        at += 1
        if not quote and letter.isspace():
            if word or blank_counts:
                words.append("".join(word))
            word, blank_counts = [], False
            continue
        if not quote and letter in "'\"":
            quote, blank_counts = letter, True
        elif letter == quote:
            quote = ""
        if letter == escape and quote != "'":
            if at == len(rest):
                break
            word.append(letter)
            letter = rest[at]
            at += 1
        word.append(letter)
    if word or blank_counts:
        words.append("".join(word))
    return words


def _split(line: str, escape: str) -> tuple[str, tuple[str, ...], str]:
    word, *more = _BLANK.split(line.strip(), maxsplit=1)
    if not more:
        return word, (), ""
    flags, rest = _flags(more[0], escape)
    return word, tuple(flags), rest.strip()


def _flags(line: str, escape: str) -> tuple[list[str], str]:
    """Take the words that begin with `--` from the front of a line; quotes and escapes in them mean something."""
    flags: list[str] = []
    at = 0
    while at < len(line):
        if line[at] in _SPACE:
            at += 1
            continue
        if not line.startswith("--", at):
            return flags, line[at:]
        word, at, counts = _flag(line, at, escape)
        if word == "--":
            return flags, line[at:]
        if word or counts:
            flags.append(word)
    return flags, ""


def _flag(line: str, at: int, escape: str) -> tuple[str, int, bool]:
    word: list[str] = []
    quote = ""
    counts = False
    while at < len(line):
        letter = line[at]
        if not quote and letter in _SPACE:
            break
        at += 1
        if letter == quote:
            quote = ""
        elif not quote and letter in "'\"":
            quote, counts = letter, True
        elif letter == escape:
            if at < len(line):
                word.append(line[at])
                at += 1
            else:
                quote = ""
        else:
            word.append(letter)
    return "".join(word), at, counts
