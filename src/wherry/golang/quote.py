"""Go's quoted strings, as go.mod and build info use them.

Source: Go language specification (go1.26), "String literals".
"""

import re

_LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|[abfnrtv\\\"]|)")
_PLAIN = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_LAST_RUNE = 0x10FFFF


def literal(text: str) -> str:
    """Give the quoted string that a text starts with, quotes and all; empty where it starts with none."""
    found = _LITERAL.match(text)
    return found.group() if found else ""


def unquote(text: str) -> str:
    r"""Read a whole quoted string; bytes of `\x` escapes that are no UTF-8 come as surrogates.

    Raises:
        ValueError: it is invalid, or has an escape that Go does not know.
    """
    if literal(text) != text or not text:
        raise ValueError(f"{text[:100]} is not a quoted string")
    if text[0] == "`":
        return text[1:-1].replace("\r", "")
    written = bytearray()
    place = 1
    for escape in _ESCAPE.finditer(text, 1, len(text) - 1):
        written += text[place : escape.start()].encode(errors="surrogateescape") + _escaped(escape.group(1))
        place = escape.end()
    written += text[place:-1].encode(errors="surrogateescape")
    return written.decode(errors="surrogateescape")


def _escaped(word: str) -> bytes:
    """Give the bytes that the text after a backslash stands for."""
    if word in _PLAIN:
        return bytes([_PLAIN[word]])
    kind, digits = word[:1], word[1:]
    if kind == "x":
        return bytes([int(digits, 16)])
    if kind in {"u", "U"}:
        rune = int(digits, 16)
        if rune > _LAST_RUNE or 0xD800 <= rune <= 0xDFFF:  # noqa: PLR2004 - the surrogates
            raise ValueError(f"\\{word} is not a valid character")
        return chr(rune).encode()
    if word and int(word, 8) <= 0xFF:  # noqa: PLR2004 - a byte
        return bytes([int(word, 8)])
    raise ValueError("unknown escape after a backslash")
