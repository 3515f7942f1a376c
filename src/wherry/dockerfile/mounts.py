"""`RUN --mount`: its comma-separated text to a value.

Source: Dockerfile reference, "RUN --mount"; RFC 4180 for quotes in a field.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from wherry.dockerfile.errors import DockerfileError, nearest

_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_KEYS = (
    "type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid", "src",
    "dst", "destination", "ro", "rw", "readwrite", "env",
)  # fmt: skip
_TEXTS = {
    "from": "from_", "source": "source", "src": "source", "target": "target", "dst": "target", "destination": "target",
    "id": "id", "env": "env",
}  # fmt: skip
"""Keys whose value is kept unchanged, and the field it goes to."""
_NUMBERS = {"mode": 8, "uid": 10, "gid": 10}
"""Keys whose value is a number, and its base."""
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZE = re.compile(r"(\d{1,19}(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE | re.ASCII)
_LARGEST = 1 << 32


@dataclass(frozen=True, slots=True)
class MountText:
    """A mount as written; only `from` is known before variables are."""

    fields: tuple[str, ...]
    from_: str


@dataclass(frozen=True, slots=True)
class RunMount:
    """A mount of a step."""

    type: str = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = True
    size: int = 0
    id: str = ""
    sharing: str = ""
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def read_mount(text: str) -> MountText:
    """Cut a mount's text into fields, and find where it is from.

    Raises:
        DockerfileError: it is not a list of fields, or `from` has a variable.
    """
    fields = tuple(_fields(text))
    from_ = ""
    for field in fields:
        key, equals, value = field.partition("=")
        if equals and key.lower() == "from":
            at = value.find("$")
            if at not in (-1, len(value) - 1):
                raise DockerfileError(f"'{key}' doesn't support variable expansion, define alias stage instead")
            from_ = value
    return MountText(fields, from_)


def evaluate(text: MountText, expand: Callable[[str], str]) -> RunMount:
    """Put variables into a mount's values.

    Raises:
        DockerfileError: a key or value is invalid, or two don't go together.
    """
    mount = RunMount()
    chosen: bool | None = None
    """Whether it may be written to, where that is said."""
    for field in text.fields:
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            mount, chosen = _flag(mount, chosen, key, field)
            continue
        value = expand(value)
        if key in ("readonly", "ro", "readwrite", "rw"):
            chosen = _boolean(key, value) is (key in ("readwrite", "rw"))
        else:
            mount = _valued(mount, key, value, field)
    if chosen is None:
        chosen = mount.type in ("cache", "tmpfs")
    return _checked(replace(mount, read_only=not chosen))


def _flag(mount: RunMount, chosen: bool | None, key: str, field: str) -> tuple[RunMount, bool | None]:  # noqa: FBT001 - a state handed on
    if key in ("readonly", "ro"):
        return mount, False
    if key in ("readwrite", "rw"):
        return mount, True
    if key == "required":
        return _required(mount, value=True), chosen
    raise DockerfileError(f"invalid field '{field}' must be a key=value pair")


def _valued(mount: RunMount, key: str, value: str, field: str) -> RunMount:
    if key in _TEXTS:
        return _with(mount, _TEXTS[key], value)
    if key in _NUMBERS:
        return _with(mount, key, _number(key, value, _NUMBERS[key]))
    match key:
        case "type" | "sharing":
            return _with(mount, key, _chosen(key, value))
        case "required":
            return _required(mount, value=_boolean(key, value))
        case "size" if mount.type == "tmpfs":
            return replace(mount, size=parse_size(value))
        case "size":
            raise DockerfileError(f"unexpected key '{key}' for mount type '{mount.type}'")
        case _:
            raise DockerfileError(f"unexpected key '{key}' in '{field}'{nearest(key, _KEYS)}")


def _with(mount: RunMount, name: str, value: object) -> RunMount:
    changed: dict[str, Any] = {name: value}
    return replace(mount, **changed)


def _chosen(key: str, value: str) -> str:
    known = _TYPES if key == "type" else _SHARING
    if value.lower() not in known:
        what = "mount type" if key == "type" else "sharing value"
        raise DockerfileError(f'unsupported {what} "{value}"{nearest(value, known)}')
    return value.lower()


def _required(mount: RunMount, *, value: bool) -> RunMount:
    if mount.type not in ("secret", "ssh"):
        raise DockerfileError(f"unexpected key 'required' for mount type '{mount.type}'")
    return replace(mount, required=value)


def _checked(mount: RunMount) -> RunMount:
    if mount.type not in ("secret", "ssh", "cache"):
        for key in ("mode", "uid", "gid"):
            if getattr(mount, key) is not None:
                raise DockerfileError(f'{key} not allowed for "{mount.type}" type mounts')
    if mount.type == "secret":
        if mount.from_:
            raise DockerfileError("secret mount should not have a from")
        if mount.sharing:
            raise DockerfileError("secret mount should not define sharing")
        if not (mount.source or mount.target or mount.id):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if mount.source and mount.id:
            raise DockerfileError("both source and id can't be set")
    if mount.sharing and mount.type != "cache":
        raise DockerfileError(f"invalid cache sharing set for {mount.type} mount")
    return mount


def parse_size(text: str) -> int:
    """Read bytes as docker has them: `64m`, `1.5GiB`.

    Raises:
        DockerfileError: it is invalid.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise DockerfileError(
            f"invalid value for size: {text!r} is not a number of bytes", hint="write it as 64m or 1g"
        )
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _boolean(key: str, value: str) -> bool:
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise DockerfileError(f"invalid value for {key}: {value}")


def _number(key: str, value: str, base: int) -> int:
    try:
        number = int(value, base) if value.isalnum() and value.isascii() else -1
    except ValueError:
        number = -1
    if not 0 <= number < _LARGEST:
        raise DockerfileError(f"invalid value {value} for {key}")
    return number


def _fields(text: str) -> list[str]:
    if not text:
        raise DockerfileError("failed to parse csv mounts: empty mount", hint="write --mount=type=…")
    fields: list[str] = []
    at = 0
    while True:
        if text.startswith('"', at):
            end = at + 1
            while True:
                end = text.find('"', end)
                if end < 0:
                    raise DockerfileError("failed to parse csv mounts: unclosed quote")
                if text.startswith('""', end):
                    end += 2
                    continue
                break
            fields.append(text[at + 1 : end].replace('""', '"'))
            at = end + 1
            if at < len(text) and text[at] != ",":
                raise DockerfileError("failed to parse csv mounts: unexpected text after a quote")
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            if '"' in text[at:end]:
                raise DockerfileError("failed to parse csv mounts: unexpected quote in a field")
            fields.append(text[at:end])
            at = end
        if at >= len(text):
            return fields
        at += 1
