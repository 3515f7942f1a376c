"""What an image's last build pulled, so that the end of a build can name the one number that changed."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from wherry.app.build.result import BuildResult
from wherry.app.history import open_history
from wherry.app.session import Session

_PATIENCE = 0.05
"""Seconds that the end of a build waits for another process that writes to the history."""


@dataclass(frozen=True, slots=True)
class PulledBytes:
    """An image of one platform, now and at its last build."""

    name: str
    platform: str
    now: int
    """Bytes that are pulled, as stored."""
    before: int
    at: float
    """When that was, seconds since the epoch."""


def pulled_before(session: Session, result: BuildResult, began: float) -> tuple[PulledBytes, ...]:
    """Compare what was built with the build before; nothing where no history is kept, or it knows none.

    Args:
        session: where.
        result: what was built.
        began: when, seconds since the epoch; only what came before counts.
    """
    with suppress(Exception):  # figures are never worth a failed build
        return tuple(_found(session, result, began))
    return ()


def _found(session: Session, result: BuildResult, began: float) -> Iterator[PulledBytes]:
    with open_history(session, patience=_PATIENCE) as database:
        for image in result.images:
            for built in image.platforms:
                rows = database.ask(
                    "SELECT pulled, images.at FROM images JOIN calls ON calls.id = images.call "
                    "WHERE name = ? AND platform = ? AND pulled IS NOT NULL AND images.at < ? AND command = 'build' "
                    "ORDER BY images.at DESC LIMIT 1",
                    (image.names[0], str(built.platform), began),
                )
                for pulled, at in rows:
                    assert isinstance(pulled, int)  # noqa: S101 - as the schema has it
                    assert isinstance(at, float)  # noqa: S101 - as above
                    yield PulledBytes(image.names[0], str(built.platform), built.pulled, pulled, at)
