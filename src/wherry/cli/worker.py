"""`wherry worker`: what the pods of `wherry build --on kubernetes` run; not for people, and not listed."""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

_PATIENCE = 0.7
"""Seconds after SIGTERM within which a build has to have let go of everything; then it is ended."""
_TERMINATED = 128 + signal.SIGTERM


@click.command("worker", cls=GroupedCommand, hidden=True)
@click.option("--artifact", required=True, metavar="REPOSITORY@DIGEST", help="What to build, in a registry.")
@click.option(
    "--index", required=True, type=int, envvar="JOB_COMPLETION_INDEX", metavar="N", help="Which task of it to do."
)
@click.option(
    "--result",
    default="/dev/termination-log",
    metavar="FILE",
    help="Write what became of it to FILE, as JSON. [default: /dev/termination-log]",
)
@click.option("--work", metavar="DIR", help="Unpack sources below DIR. [default: build in the home directory]")
@click.option("--insecure", is_flag=True, help="Allow plain HTTP and untrusted certificates for the registry.")
@click.pass_obj
def command(world: World, /, *, artifact: str, index: int, result: str, work: str | None, insecure: bool) -> int:
    """Build one platform of an image from an artifact, and push it.

    Exits with 0, with 42 where the sources are at fault, and with another code where another try may help.
    """
    from wherry.app.worker_run import WorkerCall, run_task

    if insecure:
        from wherry.app.transfer import trust

        trust(world, f"docker://{artifact}")
    folder = Path(work) if work else Path(world.environment.get("HOME") or world.cwd) / "build"
    call = WorkerCall(artifact=artifact, number=index, folder=world.cwd / folder)
    ending = _Ending(world, call, world.cwd / result)
    with world.reporter("plain") as progress:
        session = world.derived(progress=progress, cancelled=ending.asked.is_set)
        done = run_task(session, call)
    ending.write(done.result.encoded())
    if not done.result.ok:
        world.note(f"error: {done.result.message}")
        if done.result.hint:
            world.note(f"hint: {done.result.hint}")
    return _TERMINATED if ending.asked.is_set() else done.exit_code


class _Ending:
    """Hears SIGTERM: everything is let go, and the result says why."""

    def __init__(self, world: World, call: object, file: Path) -> None:
        self.asked = threading.Event()
        self._world, self._call, self._file = world, call, file
        self._turn = threading.Lock()
        self._written = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._hear)

    def write(self, document: bytes) -> None:
        """Write the result, once: into the file that is there, which may be a mount and can't be replaced."""
        with self._turn:
            if self._written:
                return
            self._written = True
            self._file.write_bytes(document)

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        if self.asked.is_set():
            return
        self.asked.set()
        late = threading.Timer(_PATIENCE, self._leave)
        late.daemon = True
        late.start()

    def _leave(self) -> None:
        from wherry.app.worker_run import WorkerCall, ended

        assert isinstance(self._call, WorkerCall)  # noqa: S101 - it has no other
        try:
            self.write(ended(self._call).encoded())
            sys.stderr.flush()
        finally:
            os._exit(_TERMINATED)
