"""ptrace(2), as far as a tracer needs it, and what it reads of a stopped process.

Sources: ptrace(2), process_vm_readv(2), Linux 6.18, include/uapi/linux/ptrace.h.
"""

import ctypes
import errno
import os
import struct

SEIZE, INTERRUPT, LISTEN, CONTINUE, TO_SYSCALL, DETACH = 0x4206, 0x4207, 0x4208, 7, 24, 17
_EVENT_MESSAGE, _SIGNAL_INFO, _SYSCALL_INFO = 0x4201, 0x4202, 0x420E

FOLLOW = 0x1 | 0x2 | 0x4 | 0x8 | 0x10
"""PTRACE_O_TRACESYSGOOD, …FORK, …VFORK, …CLONE, …EXEC."""
CAUGHT, KILL_ON_EXIT = 0x80, 0x100000
"""PTRACE_O_TRACESECCOMP, PTRACE_O_EXITKILL."""

FORKED, EXECUTED, FILTERED, STOPPED = (1, 2, 3), 4, 7, 128
"""PTRACE_EVENT_…: FORK, VFORK and CLONE; EXEC; SECCOMP; STOP."""
ENTRY, EXIT, AT_FILTER = 1, 2, 3
"""PTRACE_SYSCALL_INFO_…"""

_PAGE = 4096
_LONGEST = 4096
_INFO = struct.Struct("=BxxxIQQ7Q")
_EXITED = struct.Struct("=BxxxIQQq")
_INFO_SIZE = 96
_REFUSED_CALL = (errno.EPERM, errno.ENOSYS)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.process_vm_readv.restype = ctypes.c_ssize_t


class _Piece(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_buffer = ctypes.create_string_buffer(_PAGE)
_info = ctypes.create_string_buffer(_INFO_SIZE)
_word = ctypes.c_ulong(0)
_near = _Piece(ctypes.addressof(_buffer), _PAGE)


def request(what: int, task: int, word: int = 0) -> None:
    """Make a request that answers nothing.

    Raises:
        OSError: ESRCH where the task is gone or runs, EPERM where it may not be traced.
    """
    if _libc.ptrace(what, task, None, word) < 0:
        _fail(task)


def syscall_info(task: int) -> "tuple[int, int, int, tuple[int, ...]]":
    """Give where a stopped task is (`ENTRY`, `EXIT`, `AT_FILTER`), its architecture, the call's number, its arguments.

    At `EXIT` the number is the result: below 0 the negative error number.
    """
    if _libc.ptrace(_SYSCALL_INFO, task, _INFO_SIZE, ctypes.addressof(_info)) < 0:
        _fail(task)
    if _info[0][0] == EXIT:
        place, architecture, _, _, result = _EXITED.unpack_from(_info)
        return place, architecture, result, ()
    place, architecture, _, _, number, *words = _INFO.unpack_from(_info)
    return place, architecture, number, tuple(words)


def event_message(task: int) -> int:
    """Give what goes with a stop at an event: the new task, or the number that a thread had before an exec."""
    if _libc.ptrace(_EVENT_MESSAGE, task, None, ctypes.addressof(_word)) < 0:
        _fail(task)
    return _word.value


def is_thread(task: int, process: int) -> bool:
    """Report whether a task is a thread of a process; a thirtieth of the time that its file in /proc takes.

    Source: tgkill(2): ESRCH says that there is no such thread in it, EPERM that there is one of another user.
    """
    return _libc.tgkill(process, task, 0) == 0 or ctypes.get_errno() == errno.EPERM


def sender(task: int) -> int:
    """Give the process that sent the signal at which a task is stopped; 0: the kernel."""
    if _libc.ptrace(_SIGNAL_INFO, task, None, ctypes.addressof(_buffer)) < 0:
        return 0
    _, _, code, _, process = struct.unpack_from("=iiiii", _buffer.raw)
    return process if code <= 0 else 0


def read(task: int, address: int, size: int) -> bytes:
    """Read some memory of a task, up to a page.

    Raises:
        OSError: it may not be read, or nothing is there.
    """
    far = _Piece(address, min(size, _PAGE))
    count = _libc.process_vm_readv(
        ctypes.c_int(task),
        ctypes.byref(_near),
        ctypes.c_ulong(1),
        ctypes.byref(far),
        ctypes.c_ulong(1),
        ctypes.c_ulong(0),
    )
    if count < 0:
        if ctypes.get_errno() in _REFUSED_CALL:
            return read_file(task, address, size)
        _fail(task)
    return _buffer.raw[:count]


def read_file(task: int, address: int, size: int) -> bytes:
    """Read some memory as `read` does, by /proc: where a seccomp filter refuses the call to a container.

    Source: containerd 1.6, contrib/seccomp/seccomp_default.go: process_vm_readv asks for CAP_SYS_PTRACE.
    """
    memory = os.open(f"/proc/{task}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, min(size, _PAGE), address)
    except OverflowError as error:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT)) from error
    finally:
        os.close(memory)


def read_text(task: int, address: int) -> bytes:
    """Read a string that ends with a NUL; at most as long as a path may be.

    Raises:
        OSError: as `read`.
    """
    found = b""
    while len(found) < _LONGEST:
        chunk = read(task, address, _PAGE - address % _PAGE)
        text, end, _ = chunk.partition(b"\0")
        found += text
        if end or not chunk:
            break
        address += len(chunk)
    return found[:_LONGEST]


def _fail(task: int) -> None:
    number = ctypes.get_errno() or errno.EIO
    raise OSError(number, os.strerror(number), str(task))
