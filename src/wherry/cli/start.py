"""The `wherry` program: help and replayed calls print at once, all else loads the commands."""

import gc
import os
import sys

from wherry.cli import ahead, ready, replay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the `wherry` program."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:  # closed: the next file that is opened would get its number
            os.open(os.devnull, os.O_RDWR)
    if sys.argv[1:2] == ["worker"]:  # as process 1 of a pod it would hear no SIGTERM until it says what to do
        import signal

        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    text = ready.help_for(sys.argv[1:])
    code = replay.main() if text is None else replay.put(text)
    if code is not None:
        os._exit(code)  # no open file needs closing
    compiler = ahead.start()
    gc.disable()  # loading makes nothing that could be collected
    try:
        from wherry.cli.main import main as loaded

        gc.enable()
        loaded(compiler)
    except SystemExit as leaving:
        if not isinstance(leaving.code, int):
            raise
        code = leaving.code
    finally:
        if compiler is not None:
            compiler.stop()
    _leave(code)


def _leave(code: int) -> "NoReturn":
    """End as the interpreter does, but for taking all that is loaded apart, which lasts as long as many a command."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - waits for threads, as the interpreter does
    atexit._run_exitfuncs()  # noqa: SLF001 - as above
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # `World.close` has said so
            continue
    os._exit(code)
