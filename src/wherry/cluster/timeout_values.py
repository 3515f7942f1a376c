"""A file that states timeouts by their names: YAML or JSON, each a duration or seconds."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from wherry.analysis.timeouts.figures import TIMEOUT_NAMES, Timeout
from wherry.analysis.timeouts.service import go_seconds
from wherry.cluster.placed_yaml import PlacedNode
from wherry.errors import InvalidDocument


def stated_timeouts(documents: Iterable[PlacedNode]) -> tuple[Timeout, ...]:
    """Read `server.idle: 90s`, or the same nested: `server: {idle: 90s}`.

    Raises:
        InvalidDocument: a name is unknown or a value is no duration; the line is named.
    """
    return tuple(one for root in documents for one in _read(root, ()))


def _read(node: PlacedNode, path: tuple[str, ...]) -> Iterator[Timeout]:
    if not node.is_mapping:
        raise InvalidDocument(node.file, f"line {node.line}: expected names of timeouts", hint="write server.idle: 90s")
    for key, value in node.pairs():
        name = ".".join((*path, key))
        if value.is_mapping and not path:
            yield from _read(value, (key,))
            continue
        if name not in TIMEOUT_NAMES:
            near = get_close_matches(name, TIMEOUT_NAMES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"names: {', '.join(TIMEOUT_NAMES)}"
            raise InvalidDocument(value.file, f"line {value.line}: unknown timeout {name}", hint=hint)
        seconds = go_seconds(value.text or "")
        if seconds is None:
            raise InvalidDocument(
                value.file, f"line {value.line}: {name}: not a duration", hint="write it as 90s, 1m30s or 500ms"
            )
        yield Timeout(name, seconds, value.place)
