"""The streams behind `-` on the command line, and the shell of `--debug-shell`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from wherry.app.build.call import Streams
from wherry.cli.world import World

if TYPE_CHECKING:
    from wherry.sandbox.ids import Mapping as Ids
    from wherry.sandbox.spec import Container


def streams_of(world: World) -> Streams:
    """Return the standard streams of the process."""

    def shell(mapping: "Ids") -> "Callable[[Container, int], None]":
        from wherry.cli.debug_shell import DebugShell

        return DebugShell(world, mapping, world.progress.warn).open

    return Streams(stdin=lambda: world.binary_in, stdout=lambda: world.binary_out, shell=shell)
