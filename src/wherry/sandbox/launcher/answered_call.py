"""A system call of a program that waits for our answer: its arguments, and the memory they point to.

The working directory is the container's /proc: what a process has is found below its number there.

Source: seccomp_unotify(2), proc_pid_mem(5).
"""

import ctypes
import os
import struct

HERE = -100  # AT_FDCWD
LEAVE = 0xFFFFFFFF
"""An id of -1."""
_PAGE = 4096


class AsItIs(Exception):
    """The kernel does it right."""


class AnsweredCall:
    """A call that waits for its answer."""

    def __init__(self, process: int, words: "tuple[int, ...]") -> None:
        self.process = process
        self.words = words

    def number(self, place: int) -> int:
        """Give an argument that is an int."""
        return ctypes.c_int(self.words[place] & LEAVE).value

    def id(self, place: int) -> int:
        """Give an argument that is an id; `LEAVE` stands for -1."""
        return self.words[place] & LEAVE

    def text(self, place: int) -> bytes:
        """Read the text that an argument points to.

        Raises:
            AsItIs: it can't be read: the process is ours still, and has executed nothing.
        """
        address = self.words[place]
        found = b""
        try:
            with _Memory(self.process, os.O_RDONLY) as memory:
                while b"\0" not in found:
                    chunk = os.pread(memory, _PAGE - address % _PAGE, address)
                    if not chunk or len(found) > _PAGE:
                        raise AsItIs
                    found += chunk
                    address += len(chunk)
        except OSError as error:
            raise AsItIs from error
        return found.partition(b"\0")[0]

    def ints(self, place: int, count: int) -> "tuple[int, ...]":
        """Read ids that an argument points to."""
        with _Memory(self.process, os.O_RDONLY) as memory:
            found = os.pread(memory, 4 * count, self.words[place])
        return struct.unpack(f"={count}I", found)

    def write(self, place: int, content: bytes) -> None:
        """Write where an argument points to."""
        with _Memory(self.process, os.O_WRONLY) as memory:
            os.pwrite(memory, content, self.words[place])


class _Memory:
    """Another process's memory."""

    def __init__(self, process: int, flags: int) -> None:
        self._process = process
        self._flags = flags

    def __enter__(self) -> int:
        self._opened = os.open(f"{self._process}/mem", self._flags | os.O_CLOEXEC)
        return self._opened

    def __exit__(self, *_: object) -> None:
        os.close(self._opened)
