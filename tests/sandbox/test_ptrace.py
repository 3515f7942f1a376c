"""What a tracer asks the kernel."""

import os
import threading

from wherry.sandbox.launcher import ptrace


def test_whose_thread_a_task_is():
    """A process is the first of its threads; another process is none of them."""
    asked, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (asked.set(), done.wait()))
    thread.start()
    asked.wait()

    try:
        assert ptrace.is_thread(thread.native_id, os.getpid())
        assert ptrace.is_thread(os.getpid(), os.getpid())
        assert not ptrace.is_thread(1, os.getpid())
        assert not ptrace.is_thread(os.getpid(), 1)
    finally:
        done.set()
        thread.join()
