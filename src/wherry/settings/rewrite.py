"""wherry.toml, changed by position: one key is set, and every other byte stays as it was, comments too.

Source: TOML v1.0.0.
"""

import re
import tomllib
from collections.abc import Sequence

from wherry.errors import InvalidSettings

_HEADER = re.compile(r"^[ \t]*\[(?P<name>[^\[\]\r\n]+)\][ \t]*(?:#[^\r\n]*)?(?=\r?$)", re.MULTILINE)
_ANY_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def with_list(text: str, table: str, key: str, words: Sequence[str]) -> str:
    """Set a key to a list of texts.

    Args:
        text: the file, with its own line ends; it may be empty.
        table: the table as a header has it, such as `build` or `services."api.v2"`; it is put at the end where it is
            not there.
        key: the key.
        words: the list.

    Raises:
        InvalidSettings: the file writes it in a way that can't be changed safely; it is as it was.
    """
    line = f"{key} = [{', '.join(_quoted(word) for word in words)}]"
    changed = _put(text, table, key, line)
    if tomllib.loads(changed) != _merged(tomllib.loads(text), _names(table), key, list(words)):
        raise InvalidSettings(f"wherry.toml: cannot edit [{table}] automatically", hint=f"add: {line}")
    return changed


def _put(text: str, table: str, key: str, line: str) -> str:
    ending = "\r\n" if "\r\n" in text else "\n"
    header = next((one for one in _HEADER.finditer(text) if _names(one["name"]) == _names(table)), None)
    if header is None:
        gap = "" if not text or text.endswith(2 * ending) else ending if text.endswith("\n") else 2 * ending
        return f"{text}{gap}[{table}]{ending}{line}{ending}"
    following = _ANY_HEADER.search(text, header.end())
    end = following.start() if following else len(text)
    there = re.search(rf"^[ \t]*{re.escape(key)}[ \t]*=[ \t]*\[", text[header.end() : end], re.MULTILINE)
    if there is None:
        return f"{text[: header.end()]}{ending}{line}{text[header.end() :]}"
    start = header.end() + there.start()
    return text[:start] + line + text[_list_end(text, header.end() + there.end()) :]


def _names(table: str) -> list[str]:
    """Give the names of a header one by one; of what is not a header, none."""
    try:
        inner = tomllib.loads(f"[{table}]")
    except tomllib.TOMLDecodeError:
        return []
    names = []
    while inner:
        name, inner = next(iter(inner.items()))
        names.append(name)
    return names


def _list_end(text: str, at: int) -> int:
    """Find where a list of texts ends; in it, quotes and comments are stepped over."""
    step = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[^]"\'#]+')
    while at < len(text) and text[at] != "]":
        found = step.match(text, at)
        if found is None:
            break
        at = found.end()
    return min(at + 1, len(text))


def _merged(document: dict[str, object], path: Sequence[str], key: str, value: list[str]) -> dict[str, object]:
    name, *rest = path
    inner = document.get(name, {})
    table = dict(inner) if isinstance(inner, dict) else {}
    below = _merged(table, rest, key, value) if rest else {**table, key: value}
    return {**document, name: below}


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
