"""What a tracer asks the kernel."""

import os
import subprocess
import sys
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


def test_reads_where_the_call_is_refused():
    """Below a filter that refuses process_vm_readv, as containerd's does, memory is read by /proc."""
    code = """
import ctypes, errno, os, platform
from wherry.sandbox.launcher import ptrace, seccomp, syscalls
number = {"x86_64": 310, "aarch64": 270}[platform.machine()]
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
seccomp.load(seccomp.caught([number], 0x00050000 | errno.EPERM))
text = ctypes.create_string_buffer(b"/etc/hostname")
print(ptrace.read_text(os.getpid(), ctypes.addressof(text)).decode())
for address in (8, (1 << 64) - 4096):
    try:
        ptrace.read(os.getpid(), address, 8)
    except OSError as error:
        print(error.errno in (errno.EFAULT, errno.EIO))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["/etc/hostname", "True", "True"], done.stderr
