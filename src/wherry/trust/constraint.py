"""Whether a Go file could be part of any build: what `go mod vendor` leaves out for its build constraint.

Sources: Go 1.26, cmd/go/internal/modcmd/vendor.go (`matchPotentialSourceFile`), cmd/go/internal/imports/build.go
(`ShouldBuild` with AnyTags), go/build/constraint.
"""

import re

_TOKEN = re.compile(r"\s*(&&|\|\||!|\(|\)|[^\s()!&|]+)")
_GO_BUILD = re.compile(r"^//go:build[ \t]+(.*)$", re.MULTILINE)
_PLUS_BUILD = re.compile(r"^//[ \t]*\+build[ \t]+(.*)$", re.MULTILINE)
_HEADER = re.compile(r"\s*(?://[^\n]*\n|/\*.*?\*/|\s+)*", re.DOTALL)
_DEEPEST = 100


def could_build(source: bytes) -> bool:
    """Report whether a file could be built under some tags; `ignore` is the one tag that nobody sets."""
    found = _HEADER.match(source[: 1 << 16].decode(errors="replace"))
    header = found[0] if found else ""
    line = _GO_BUILD.search(header)
    if line:
        return _holds(line[1])
    return all(_old_line(words) for words in _PLUS_BUILD.findall(header))


def _old_line(words: str) -> bool:
    """Evaluate a `+build` line: spaces mean or, commas mean and."""
    return any(
        all(_tag(term.lstrip("!"), prefer=not term.startswith("!")) for term in option.split(","))
        for option in words.split()
    )


def _tag(name: str, *, prefer: bool) -> bool:
    """Say what a tag is worth: what suits, but `ignore` is never set."""
    return prefer if name != "ignore" else False


def _holds(expression: str) -> bool:
    """Evaluate an expression of `//go:build`; one that cannot be parsed counts as holding."""
    tokens = _TOKEN.findall(expression)
    try:
        value, rest = _either(tokens, prefer=True, depth=0)
    except (IndexError, RecursionError):
        return True
    return value or bool(rest)


def _either(tokens: list[str], *, prefer: bool, depth: int) -> tuple[bool, list[str]]:
    value, rest = _both(tokens, prefer=prefer, depth=depth)
    while rest[:1] == ["||"]:
        other, rest = _both(rest[1:], prefer=prefer, depth=depth)
        value = value or other
    return value, rest


def _both(tokens: list[str], *, prefer: bool, depth: int) -> tuple[bool, list[str]]:
    value, rest = _not(tokens, prefer=prefer, depth=depth)
    while rest[:1] == ["&&"]:
        other, rest = _not(rest[1:], prefer=prefer, depth=depth)
        value = value and other
    return value, rest


def _not(tokens: list[str], *, prefer: bool, depth: int) -> tuple[bool, list[str]]:
    if depth > _DEEPEST:
        raise RecursionError
    if tokens[0] == "!":
        value, rest = _not(tokens[1:], prefer=not prefer, depth=depth + 1)
        return not value, rest
    if tokens[0] == "(":
        value, rest = _either(tokens[1:], prefer=prefer, depth=depth + 1)
        return value, rest[1:]
    return _tag(tokens[0], prefer=prefer), tokens[1:]
