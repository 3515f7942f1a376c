"""A container, or a program in one that runs, with what it prints taken by the caller."""

import os
from collections.abc import Callable

from wherry.sandbox.debug_spec import DebugEntry
from wherry.sandbox.spec import Container, LauncherEvent
from wherry.sandbox.start import Launcher, raised

_CHUNK = 1 << 18


def run_piped(job: Container | DebugEntry, out: Callable[[bytes], None], *, why: Callable[[], str]) -> int:
    """Run it to its end; its standard error is ours, and it reads nothing. Give its exit code.

    Args:
        job: what to run.
        out: called with pieces of its standard output; what it raises ends the program.
        why: asked why this machine may refuse it.

    Raises:
        SandboxRefused: this machine refuses what it needs.
    """
    read, write = os.pipe()
    try:
        launcher = Launcher(job, streams={1: write})
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    failure: LauncherEvent | None = None
    try:
        while chunk := os.read(read, _CHUNK):
            out(chunk)
        while heard := launcher.hear():
            if "error" in heard[0]:
                failure = heard[0]
    except BaseException:
        launcher.kill()
        raise
    finally:
        os.close(read)
        code = launcher.end()
    if failure is not None:
        raise raised(failure, why)
    return code
