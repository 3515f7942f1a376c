"""wherry.toml, changed by position: one key is set, and every other byte stays as it was, comments too.

Source: TOML v1.0.0.
"""

import re
import tomllib
from collections.abc import Sequence

from wherry.errors import InvalidSettings

_HEADER = re.compile(r"^[ \t]*\[(?P<name>[^\[\]\n]+)\][ \t]*(?:#[^\n]*)?$", re.MULTILINE)
_ANY_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def with_list(text: str, table: str, key: str, words: Sequence[str]) -> str:
    """Set a key to a list of texts.

    Args:
        text: the file; it may be empty.
        table: the table, such as `build` or `services.api`; it is put at the end where it is not there.
        key: the key.
        words: the list.

    Raises:
        InvalidSettings: the file writes it in a way that can't be changed safely; it is as it was.
    """
    line = f"{key} = [{', '.join(_quoted(word) for word in words)}]"
    changed = _put(text, table, key, line)
    before, after = tomllib.loads(text), tomllib.loads(changed)
    place = after
    for name in table.split("."):
        place = place.get(name, {})
    expected = _merged(before, table.split("."), key, list(words))
    if place.get(key) != list(words) or after != expected:
        raise InvalidSettings(
            f"wherry.toml: [{table}] is written in a way that is not changed here", hint=f"add: {line}"
        )
    return changed


def _put(text: str, table: str, key: str, line: str) -> str:
    header = next((one for one in _HEADER.finditer(text) if one["name"].replace(" ", "") == table), None)
    if header is None:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}[{table}]\n{line}\n"
    following = _ANY_HEADER.search(text, header.end())
    end = following.start() if following else len(text)
    there = re.search(rf"^[ \t]*{re.escape(key)}[ \t]*=[ \t]*\[", text[header.end() : end], re.MULTILINE)
    if there is None:
        return f"{text[: header.end()]}\n{line}{text[header.end() :]}"
    start = header.end() + there.start()
    return text[:start] + line + text[_list_end(text, header.end() + there.end()) :]


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
