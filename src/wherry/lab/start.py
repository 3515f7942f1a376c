"""A program started, until it listens or ends: how long that takes, what it costs, and what memory it has then.

Sources: proc(5), `smaps`, `smaps_rollup`; wait4(2).
"""

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import WherryError
from wherry.lab.listening import listens

_MAPPING = re.compile(r"^(?=[0-9a-f]+-[0-9a-f]+ )", re.MULTILINE)
_PAUSE = 0.0003
"""Seconds between two looks."""
_SETTLE = 0.05
"""Seconds after which memory is read: by then what is set up at the start is there."""


class DidNotStart(WherryError):
    """A program neither listened nor ended in time, or ended with an error."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True)
class Start:
    """One start."""

    seconds: float
    """From exec to the first socket that listens, or to the end."""
    cpu: float
    """Seconds of processor that it used until it was ended."""
    pss: int
    """Bytes of memory, those shared with others in proportion; 0 for a program that ended by itself."""
    private: int
    """Bytes that are its own and were written to."""
    listened: bool


def start(
    argv: Sequence[str], environment: Mapping[str, str], folder: Path, *, ready: str = "", patience: float = 20.0
) -> Start:
    """Start a program, look when it is ready, and end it.

    Args:
        argv: the program and its arguments.
        environment: all of its environment.
        folder: where it is started, and what it says is written.
        ready: an address that answers with a status below 400 when it is ready; empty: a socket that listens is enough.
        patience: seconds to wait.

    Raises:
        DidNotStart: it ended with an error, or did neither in time; the message has its last words. Or something
            else answers at the address already.
    """
    if ready and answers(ready):
        raise DidNotStart(
            f"{ready}: already answers before the program is started", hint="stop the server that answers there"
        )
    began = time.perf_counter()
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(  # noqa: S603 - the user's own program, which they asked us to run
            argv,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    taken, pss, private, listened = 0.0, 0, 0, False
    try:
        while time.perf_counter() - began < patience:
            if answers(ready) if ready else listens(process.pid):
                taken, listened = time.perf_counter() - began, True
                time.sleep(_SETTLE)
                pss, private = memory(process.pid)
                break
            if _ended(process.pid):
                taken = time.perf_counter() - began
                break
            time.sleep(_PAUSE)
    finally:
        with suppress(PermissionError):  # macOS, of a group that has ended
            os.killpg(process.pid, signal.SIGKILL)  # what it started too; the group is there until it is waited for
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if not taken or (not listened and process.returncode):
        words = (folder / "said").read_text(errors="replace").strip()[-300:]
        what = (
            f"exited with code {process.returncode}"
            if taken
            else f"neither listened nor exited within {patience:.0f} s"
        )
        raise DidNotStart(f"{Path(argv[0]).name}: {what}: {words}", hint="pass its arguments after --")
    return Start(taken, usage.ru_utime + usage.ru_stime, pss, private, listened)


def answers(address: str) -> bool:
    """Report whether an address answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=1):
            return True
    except (OSError, ValueError):
        return False


def _ended(pid: int) -> bool:
    """Report whether a child has ended, and leave it to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def memory(pid: int) -> tuple[int, int]:
    """Read a process's proportional share and its private dirty memory, in bytes.

    Pages of its executable that wait to be written to a disk, as all of a file in memory do, count as private and dirty
    too. They are none that it wrote: a small program just linked had 6.1 MB so, and 1.1 MB of its own.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        waiting = _waiting(Path(f"/proc/{pid}/smaps").read_text(), str(Path(f"/proc/{pid}/exe").readlink()))
    except OSError:
        return 0, 0
    sizes = _sizes(lines)
    return sizes.get("Pss", 0), max(sizes.get("Private_Dirty", 0) - waiting, 0)


def _waiting(mappings: str, executable: str) -> int:
    """Sum up what counts as dirty of an executable, and was not copied to be written to."""
    found = 0
    for mapping in _MAPPING.split(mappings):
        first, *lines = mapping.splitlines() or [""]
        if first.endswith(f" {executable}"):
            sizes = _sizes(lines)
            found += max(sizes.get("Private_Dirty", 0) - sizes.get("Anonymous", 0), 0)
    return found


def _sizes(lines: Sequence[str]) -> dict[str, int]:
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
