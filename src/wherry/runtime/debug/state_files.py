"""Files in which runtimes keep state: read, whatever is in them; what cannot be read is empty."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wherry.sandbox.launcher.namespaces import started

_LARGEST = 16 << 20
"""Bytes of a state file; runc's has a container's whole configuration."""
_MOST = 10_000
"""Containers that are looked at in one place."""


def began(pid: int) -> int:
    """Give when a process was started, in ticks since the machine was; -1: it does not run."""
    try:
        return started(pid)
    except OSError:
        return -1


def folders(root: Path) -> Iterator[Path]:
    """List the folders in a folder, by name."""
    yield from _found(lambda: sorted(path for path in root.iterdir() if path.is_dir()))


def globbed(root: Path, pattern: str) -> Iterator[Path]:
    """List the files that a pattern matches, by name."""
    yield from _found(lambda: sorted(root.glob(pattern)))


def _found(look: Callable[[], list[Path]]) -> list[Path]:
    try:
        return look()[:_MOST]
    except OSError:
        return []


def text_of(path: Path) -> str:
    """Read a file; a pipe in its place is not waited for."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(opened, "rb") as file:  # noqa: PTH123 - a descriptor is no path
            return file.read(_LARGEST).decode(errors="replace")
    except OSError:
        return ""


def table_of(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    document = _parsed(path)
    return document if isinstance(document, dict) else {}


def list_of(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a JSON list."""
    document = _parsed(path)
    return [one for one in document if isinstance(one, dict)] if isinstance(document, list) else []


def _parsed(path: Path) -> object:
    try:
        return json.loads(text_of(path) or "null")
    except (ValueError, RecursionError):
        return None


def number_of(value: object) -> int:
    """Read a process id or a time; 0: it is none."""
    if isinstance(value, str):
        value = int(value) if value.strip().isdecimal() and len(value) < 20 else 0  # noqa: PLR2004 - digits of 64 bits
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63 else 0
