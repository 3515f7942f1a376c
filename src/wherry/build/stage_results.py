"""What the steps of a Dockerfile give, and the history that its image tells of them."""

from collections.abc import Sequence

import msgspec

from wherry.oci.config import History, Layer
from wherry.oci.document import decode
from wherry.plan.ops import StageImageOp

COMMENT = "buildkit.dockerfile.v0"
"""What BuildKit writes next to a history entry, and tools know an image of a Dockerfile by."""


class ChangedFiles(msgspec.Struct, frozen=True):
    """What came of a step that changes files."""

    tree: str
    """Of what it changed; empty, or gone, where only the layer is known."""
    created: float
    """Seconds since the epoch."""
    layer: Layer | None = None
    """The same as a layer, where it came with a cache from elsewhere."""


class PackedLayer(msgspec.Struct, frozen=True):
    """A layer, and when what is in it was made."""

    layer: Layer
    created: float


class StepInputs(msgspec.Struct, frozen=True):
    """What a step read: each thing's hash by name."""

    fields: dict[str, str]
    files: dict[str, str] = {}
    texts: dict[str, bytes] = {}


def changed_of(result: bytes) -> ChangedFiles:
    """Read the result of a step that changes files."""
    return decode(result, ChangedFiles, "a remembered step")


def packed_of(result: bytes) -> PackedLayer:
    """Read the result of a step that packs a layer."""
    return decode(result, PackedLayer, "a remembered layer")


def history_of(
    before: Sequence[History], action: StageImageOp, created: Sequence[float]
) -> tuple[tuple[History, ...], str | None]:
    """Write history with times: of a layer its own, of what made none that of the layer before."""
    times = iter(created)
    lines = list(before)
    for entry in action.history:
        when = action.created or (_rfc3339(next(times)) if entry.layer else None)
        lines.append(
            History(created=when, created_by=_as_json(entry.words), comment=COMMENT, empty_layer=not entry.layer)
        )
    last: str | None = None
    missing = False
    for line in lines:
        if line.created is not None:
            last = line.created
            if missing:
                break
        else:
            missing = True
    missing = False
    for number, line in enumerate(lines):
        if line.created is not None:
            last = line.created if missing else last
        else:
            missing = True
            lines[number] = msgspec.structs.replace(line, created=last)
    return tuple(lines), lines[-1].created if lines else None


def _rfc3339(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _as_json(words: str) -> str:
    """Write bytes that are no UTF-8 as BuildKit does, since Go's encoding/json does: as U+FFFD."""
    return words.encode(errors="surrogateescape").decode(errors="replace")
