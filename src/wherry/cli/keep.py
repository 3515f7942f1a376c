"""What calls of the command line leave in the history: after their work, before their process ends."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wherry.app.history_record import build_entry, cluster_entry, failed_entry, record, record_transfer
from wherry.app.traced import is_traced
from wherry.cli.world import World
from wherry.errors import WherryError

if TYPE_CHECKING:
    from wherry.app.build.build import FinishedBuild
    from wherry.app.build.result import BuildResult
    from wherry.app.transfer import NamedImage


def keep_build(world: World, done: "FinishedBuild", began: float, command: str = "build") -> None:
    """Record a build; spans of it go out where the environment asks for them."""
    _replayed(world, record(world, lambda: build_entry(world, done, command=command, began=began)))
    if is_traced(world.environment):
        from wherry.app.telemetry import send, spans_of

        send(world, spans_of(world, done, command, began))


def keep_cluster_build(world: World, result: "BuildResult", began: float) -> None:
    """Record a build in a cluster."""
    record(world, lambda: cluster_entry(world, result, began=began))


def keep_failure(world: World, error: WherryError, began: float, result: "BuildResult | None" = None) -> None:
    """Record a build that failed."""
    record(world, lambda: failed_entry(world, "build", error, began=began, result=result))
    if is_traced(world.environment):
        from wherry.app.telemetry import BuildSpans, send

        send(world, BuildSpans("build", began, world.clock(), error=f"{type(error).__name__}: {error.message}"))


def keep_transfer(world: World, command: str, moved: "Sequence[NamedImage]", began: float) -> None:
    """Record a push, a pull or a copy."""
    sent = [one.sent for one in moved if one.sent is not None]
    _replayed(world, record_transfer(world, command, moved, began=began, sent=max(sent) if sent else None))


def _replayed(world: World, found: "tuple[str, str] | None") -> None:
    world.replayed = found or ("", "")
