"""System calls that Python's `os` lacks, for the launcher.

The numbers of the mount calls are the same on every Linux architecture that wherry runs on (those
added since Linux 5.1 are); what has a number per architecture is called through libc.

Sources: Linux 6.18, include/uapi/linux/{mount,openat2,prctl,capability,keyctl,sched}.h and
scripts/syscall.tbl; man-pages 6.9, sections 2 and 7.
"""

import ctypes
import errno
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

READ_ONLY = 0x1
NO_SET_UID = 0x2
NO_DEVICES = 0x4
NO_EXEC = 0x8
"""MOUNT_ATTR_… of mount_setattr(2)."""

NO_MAGIC_LINKS, NO_LINKS, BENEATH, IN_ROOT = 0x02, 0x04, 0x08, 0x10
"""RESOLVE_… of openat2(2)."""

_MS_REC, _MS_PRIVATE, _MS_SLAVE = 0x4000, 0x40000, 0x80000
_MNT_DETACH = 2
_EMPTY_PATH = 0x1000  # AT_EMPTY_PATH
_RECURSIVE = 0x8000  # AT_RECURSIVE
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6  # FSCONFIG_…
_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_OPEN_TREE_CLONE = 1
_MOVE_EMPTY_PATHS = 0x4 | 0x40  # MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 24, 38, 47
_PR_SET_CHILD_SUBREAPER, _PR_SET_NAME = 36, 15
_ARGUMENTS = 45
"""Where arg_start is among the fields of /proc/PID/stat that come after the program's name."""
_AMBIENT_CLEAR_ALL = 4  # PR_CAP_AMBIENT_CLEAR_ALL
_KEYCTL_JOIN_SESSION = 1
_CLOSE_RANGE, _OPENAT2 = 436, 437
_CLOSE_ON_EXEC = 4  # CLOSE_RANGE_CLOEXEC
_PATIENCE = 128
_PROC_SUPER_MAGIC = 0x9FA0
_LANDLOCK, _LANDLOCK_RESTRICT, _LANDLOCK_SCOPES = 444, 446, 6
"""landlock_create_ruleset, landlock_restrict_self, and the version that has scopes."""
_KEYCTL = {"x86_64": 250, "i686": 288, "armv7l": 311, "ppc64le": 271, "s390x": 280}
_KEYCTL_GENERIC = 219
_MIPS_LIKE = os.uname().machine.startswith(("mips", "ppc", "sparc", "alpha"))
_TIOCSCTTY = 0x5480 if os.uname().machine.startswith("mips") else 0x540E
_TIOCSPTLCK, _TIOCGPTN = (0x80045431, 0x40045430) if _MIPS_LIKE else (0x40045431, 0x80045430)
_AF_INET, _SOCK_DGRAM, _SIOCSIFFLAGS, _IFF_UP = 2, 1 if os.uname().machine.startswith("mips") else 2, 0x8914, 1
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


class _OpenHow(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def enter_namespace(opened: int, kind: int) -> None:
    """Move into the namespace that a descriptor is of; `kind` is its CLONE_NEW… flag."""
    _checked(_libc.setns(ctypes.c_int(opened), ctypes.c_int(kind)), "setns")


def make_private() -> None:
    """Keep what is mounted from now on from every other namespace."""
    _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "/")


def keep_mounts() -> None:
    """Keep what is mounted from now on from every other namespace, and go on to see what those mount."""
    if (
        _libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None) < 0
        and ctypes.get_errno() != errno.EINVAL
    ):
        _checked(-1, "/")


def rename_process(name: str) -> None:
    """Show another name than our command line to those who list processes (proc_pid_cmdline(5), PR_SET_NAME)."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    begin, end = int(fields[_ARGUMENTS]), int(fields[_ARGUMENTS + 1])
    words = name.encode()
    if 0 < begin < end:
        ctypes.memset(begin, 0, end - begin)
        ctypes.memmove(begin, words[: end - begin - 1], min(len(words), end - begin - 1))
    _libc.prctl(ctypes.c_int(_PR_SET_NAME), ctypes.c_char_p(words[:15]), *map(ctypes.c_ulong, (0, 0, 0)))


def new_filesystem(kind: str, options: "list[tuple[str, str | None]]", attributes: int = 0) -> int:
    """Make a filesystem and give it as a mount that is not attached yet.

    Raises:
        OSError: what the kernel answered, with its own words where it left some.
    """
    context = _call(_FSOPEN, kind.encode(), _CLOEXEC, name=kind)
    try:
        for key, value in options:
            _configure(context, _SET_FLAG if value is None else _SET_STRING, key, value)
        _configure(context, _CREATE, None, None)
        return _call(_FSMOUNT, context, _CLOEXEC, attributes, name=kind)
    except OSError as error:
        words = _words(context)
        raise OSError(error.errno, f"{error.strerror}{words}", kind) from error
    finally:
        os.close(context)


def mount_legacy(kind: str, target: bytes, options: str) -> None:
    """Mount as kernels before `fsopen` do: one page of options, paths relative to the working directory."""
    _checked(_libc.mount(kind.encode(), target, kind.encode(), ctypes.c_ulong(0), os.fsencode(options)), kind)


def clone_mount(path: str, *, recursive: bool, folder: int = -100) -> int:
    """Copy what is seen at a path as a mount that is not attached yet."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_RECURSIVE if recursive else 0) | (0 if path else _EMPTY_PATH)
    return _call(_OPEN_TREE, folder, os.fsencode(path), flags, name=path)


def attach(mount: int, place: int) -> None:
    """Attach a mount over the file or folder that is open as `place`; close the mount's descriptor."""
    try:
        _call(_MOVE_MOUNT, mount, b"", place, b"", _MOVE_EMPTY_PATHS, name="move_mount")
    finally:
        os.close(mount)


def restrict(mount: int, attributes: int, *, recursive: bool) -> None:
    """Add attributes to a mount that is open."""
    wanted = _Attributes(set=attributes)
    flags = _EMPTY_PATH | (_RECURSIVE if recursive else 0)
    _call(_MOUNT_SETATTR, mount, b"", flags, ctypes.byref(wanted), ctypes.sizeof(wanted), name="mount_setattr")


def pivot_here() -> None:
    """Make the working directory, which is a mount, the root, and let go of the old one."""
    _checked(_libc.pivot_root(b".", b"."), "pivot_root")
    _checked(_libc.umount2(b".", ctypes.c_int(_MNT_DETACH)), "/")
    os.chdir("/")


def set_hostname(name: str) -> None:
    """Name the machine in this UTS namespace."""
    encoded = name.encode()
    _checked(_libc.sethostname(encoded, ctypes.c_size_t(len(encoded))), "sethostname")


def raise_loopback() -> None:
    """Let a new network namespace reach itself at 127.0.0.1 (netdevice(7), SIOCSIFFLAGS)."""
    asked = ctypes.create_string_buffer(struct.pack("16sh22x", b"lo", _IFF_UP))
    channel = _checked(_libc.socket(_AF_INET, _SOCK_DGRAM, 0), "lo")
    try:
        _checked(_libc.ioctl(ctypes.c_int(channel), ctypes.c_ulong(_SIOCSIFFLAGS), asked), "lo")
    finally:
        os.close(channel)


def unlock_terminal(master: int) -> None:
    """Let the slave of a new terminal be opened."""
    off = ctypes.c_int(0)
    _checked(_libc.ioctl(ctypes.c_int(master), ctypes.c_ulong(_TIOCSPTLCK), ctypes.byref(off)), "ptmx")


def terminal_number(master: int) -> int:
    """Report which slave belongs to a terminal's master."""
    number = ctypes.c_uint(0)
    _checked(_libc.ioctl(ctypes.c_int(master), ctypes.c_ulong(_TIOCGPTN), ctypes.byref(number)), "ptmx")
    return number.value


def control_terminal(slave: int) -> None:
    """Make a terminal the controlling one of this session."""
    _checked(_libc.ioctl(ctypes.c_int(slave), ctypes.c_ulong(_TIOCSCTTY), ctypes.c_ulong(0)), "tty")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone."""
    _prctl(_PR_SET_PDEATHSIG, 9)


def outlive_parent() -> None:
    """Take that back; the caller watches the parent."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def adopt_orphans() -> None:
    """Become the parent of processes below this one whose own parent ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def allow_inspection() -> None:
    """Take that back, for as long as this process needs what it owns in /proc."""
    _prctl(_PR_SET_DUMPABLE, 1)


def forbid_inspection() -> None:
    """Keep others of the same user out of this process's memory and /proc entry."""
    _prctl(_PR_SET_DUMPABLE, 0)


def part_sockets() -> bool:
    """Keep this process, and what it starts, from abstract sockets of others; report whether the kernel can.

    It takes CAP_SYS_ADMIN in our user namespace. Source: landlock(7), LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (Linux 6.12).
    """
    version = _libc.syscall(ctypes.c_long(_LANDLOCK), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < _LANDLOCK_SCOPES:
        return False
    wanted = (ctypes.c_uint64 * 3)(0, 0, 1)  # struct landlock_ruleset_attr: files, ports, scopes
    try:
        ruleset = _call(_LANDLOCK, ctypes.byref(wanted), ctypes.sizeof(wanted), 0, name="landlock")
    except OSError:
        return False
    try:
        _call(_LANDLOCK_RESTRICT, ruleset, 0, name="landlock")
    except OSError:
        return False
    finally:
        os.close(ruleset)
    return True


def forbid_new_privileges() -> None:
    """Let no exec from here on give more than this process has: set-uid bits and file capabilities do nothing."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def new_session_keyring() -> None:
    """Leave the caller's keys behind; where the kernel has no keyrings there is nothing to leave."""
    number = _KEYCTL.get(os.uname().machine, _KEYCTL_GENERIC)
    _libc.syscall(ctypes.c_long(number), ctypes.c_long(_KEYCTL_JOIN_SESSION), None)


def bound_capabilities(kept: "tuple[int, ...]") -> None:
    """Take all other capabilities out of what any exec from here on can give."""
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in kept:
            _libc.prctl(ctypes.c_int(_PR_CAPBSET_DROP), *map(ctypes.c_ulong, (capability, 0, 0, 0)))


def keep_capabilities(kept: "tuple[int, ...]") -> None:
    """Hold at most these capabilities, and hand none on as inheritable or ambient."""
    _libc.prctl(ctypes.c_int(_PR_CAP_AMBIENT), *map(ctypes.c_ulong, (_AMBIENT_CLEAR_ALL, 0, 0, 0)))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _checked(_libc.capget(header, sets), "capget")
    held = sets[1] | sets[4] << 32
    bits = held & sum(1 << capability for capability in kept)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    wanted = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _checked(_libc.capset(header, wanted), "capset")


def close_from(first: int) -> None:
    """Close every descriptor from a number on."""
    _close_range(first, 0)


def close_on_exec_from(first: int) -> None:
    """Have every descriptor from a number on closed by the next exec (Linux 5.11)."""
    _close_range(first, _CLOSE_ON_EXEC)


def open_below(root: int, path: str, flags: int, *, resolve: int) -> int:
    """Open a path by openat2(2), which refuses what `resolve` (RESOLVE_…) says.

    Raises:
        OSError: it is not there, or leads elsewhere (ELOOP, EXDEV); ENOSYS or EPERM where a filter or an old kernel
            does not know the call.
    """
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=0, resolve=resolve)
    for _ in range(_PATIENCE):  # EAGAIN: something was renamed meanwhile
        opened: int = _libc.syscall(
            ctypes.c_long(_OPENAT2), ctypes.c_int(root), os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)
        )
        if opened >= 0 or ctypes.get_errno() != errno.EAGAIN:
            break
    return _checked(opened, path)


def own_place(place: int, uid: int, gid: int) -> None:
    """Change the owner of what is open as a place only (O_PATH)."""
    _checked(_libc.fchownat(place, b"", ctypes.c_uint(uid), ctypes.c_uint(gid), ctypes.c_int(_EMPTY_PATH)), "fchownat")


def describe_place(number: int, place: int, size: int, mask: int) -> bytearray:
    """Give the bytes that the kernel answers for what is open as a place only.

    Args:
        number: of the call: statx's, or newfstatat's.
        place: what is open.
        size: of the answer.
        mask: what is asked for of statx; 0: it is the other call.
    """
    answer = ctypes.create_string_buffer(size)
    words = (ctypes.c_int(_EMPTY_PATH), ctypes.c_uint(mask), answer) if mask else (answer, ctypes.c_int(_EMPTY_PATH))
    _checked(_libc.syscall(ctypes.c_long(number), ctypes.c_int(place), b"", *words), "stat")
    return bytearray(answer.raw)


def is_on_proc(opened: int) -> bool:
    """Report whether what is open belongs to a proc file system."""
    answer = (ctypes.c_long * 32)()  # struct statfs begins with its kind, a long on the processors that wherry runs on
    return _libc.fstatfs(ctypes.c_int(opened), answer) == 0 and answer[0] == _PROC_SUPER_MAGIC


def _close_range(first: int, flags: int) -> None:
    words = (ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(flags))
    if _libc.syscall(ctypes.c_long(_CLOSE_RANGE), *words) == 0:
        return
    for name in os.listdir("/proc/self/fd"):  # an older kernel, or a filter that does not know the call
        if int(name) < first:
            continue
        try:
            os.set_inheritable(int(name), False) if flags else os.close(int(name))  # noqa: FBT003 - it takes no keyword
        except OSError:
            continue  # the listing's own


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, (value, 0, 0, 0))), f"prctl {option}")


def _configure(context: int, command: int, key: "str | None", value: "str | None") -> None:
    encoded = None if key is None else key.encode()
    _call(_FSCONFIG, context, command, encoded, None if value is None else os.fsencode(value), 0, name=key or "mount")


def _words(context: int) -> str:
    """Read what the kernel logged about a mount that failed (`e overlay: …` lines)."""
    try:
        said = os.read(context, 4096).decode(errors="replace")
    except OSError:
        return ""
    return f" ({said[2:].strip()})"


def _call(number: int, *arguments: object, name: str) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words), name)


def _checked(result: int, name: "str | bytes") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result
