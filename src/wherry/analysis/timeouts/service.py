"""Timeouts as a service prints them when it starts, and durations as Go writes them.

Sources: Go 1.26, time.ParseDuration; log/slog's JSONHandler, which writes a time.Duration in nanoseconds.
"""

import json
import re
from collections.abc import Iterable, Mapping

from wherry.analysis.timeouts.figures import Timeout
from wherry.errors import InvalidUsage

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ns|us|µs|ms|s|m|h)")
_TABLES = ("limits", "timeouts")
_FIELDS = {
    "readheader": "server.read_header",
    "read": "server.read",
    "write": "server.write",
    "idle": "server.idle",
    "request": "request.slowest",
    "peeridle": "client.idle",
    "clientidle": "client.idle",
    "idleconn": "client.idle",
    "notice": "drain.notice",
    "finish": "drain.finish",
    "shutdown": "drain.finish",
    "deregister": "drain.deregister",
    "flush": "drain.flush",
    "grace": "drain.grace",
    "keepalive": "keepalive.idle",
}
_LONGEST_LINE = 1 << 20


def go_seconds(text: str) -> float | None:
    """Read a duration such as `1m30s`, `500ms` or `90` (seconds); None where it is none."""
    if re.fullmatch(r"\d{1,12}(?:\.\d{1,12})?", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def printed_timeouts(lines: Iterable[str], name: str) -> tuple[Timeout, ...]:
    """Read the first line of a service's JSON log that has a table named `limits` or `timeouts`.

    Keys are read as Go programs name them: `ReadHeaderTimeout`, `read-header`, `IdleConnTimeout`, `grace`. Values are
    durations, or nanoseconds.

    Args:
        lines: the log.
        name: what the reader knows it by.

    Raises:
        InvalidUsage: no line has such a table, or none of its keys is known.
    """
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("{") or len(line) > _LONGEST_LINE:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        table = next((record[key] for key in _TABLES if isinstance(record.get(key), dict)), None)
        if table is not None and (found := _known(table, f"{name}:{number}")):
            return found
    raise InvalidUsage(
        f"{name}: no line of JSON has a table `limits` or `timeouts` with names such as read-header or idle",
        hint="give the service's first log lines, or state its timeouts in a file: --values FILE",
    )


def _known(table: Mapping[str, object], place: str) -> tuple[Timeout, ...]:
    found = []
    for key, value in table.items():
        name = _FIELDS.get(re.sub(r"[^a-z]", "", key.lower()).removesuffix("timeout"))
        seconds = _seconds(value)
        if name and seconds is not None:
            found.append(Timeout(name, seconds, place))
    return tuple(found)


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        return go_seconds(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1e9
    return None
