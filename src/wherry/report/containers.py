"""Containers, for a person at a prompt."""

import shlex
from collections.abc import Iterable, Iterator

from wherry.app.container_listing import ListedContainer
from wherry.report.terminal import printable


def container_rows(found: Iterable[ListedContainer]) -> Iterator[tuple[str, ...]]:
    """Give the table of `wherry ps`."""
    yield ("NAME", "ID", "IMAGE", "STATUS", "PORTS", "COMMAND")
    for one in found:
        ports, command = ", ".join(map(_port, one.ports)), shlex.join(one.command)
        yield (one.name, one.id, *map(printable, (one.image, one.text, ports, command)))


def _port(port: str) -> str:
    """Write ADDRESS/PORT:PORT as docker does: `127.0.0.1:8080->80`."""
    address, _, rest = port.rpartition("/")
    outside, _, inside = rest.partition(":")
    return f"[{address}]:{outside}->{inside}" if ":" in address else f"{address}:{outside}->{inside}"
