"""What ends below the first process of a sandbox, or of a shell next to one: heard of, reaped, and the payload's code.

Sources: waitpid(2), signal(7); shells give 128 and the signal's number for a program that one killed.
"""

import os
import signal

_BY_SIGNAL = 128


def hear_children() -> int:
    """Give a descriptor that is readable when a child has ended; undo it in a child by `signal.set_wakeup_fd(-1)`."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    return woken


def reap(child: int, woken: int) -> "int | None":
    """Reap every process that ended; give the exit code once a child is among them."""
    try:
        os.read(woken, 4096)
    except BlockingIOError:
        return None
    while True:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == child:
            return exit_code(status)
        if process == 0:
            return None


def exit_code(status: int) -> int:
    """Read what waitpid(2) gives."""
    code = os.waitstatus_to_exitcode(status)
    return _BY_SIGNAL - code if code < 0 else code


def default_signals() -> None:
    """Ignore and hold back no signal; nohup and shells ignore some for us."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
