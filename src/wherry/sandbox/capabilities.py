"""Capabilities by name: the fourteen that Docker leaves to root, and what is added to or taken from them.

Sources: Linux 6.18, include/uapi/linux/capability.h; moby v28, oci/caps/defaults.go and `docker run --cap-add`.
"""

from collections.abc import Iterable

from wherry.errors import InvalidUsage

NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""In the order of their numbers, from 0."""

DOCKERS = tuple(
    NAMES.index(name)
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
        "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
    )
)  # fmt: skip
"""What root of a container may do in it."""

_ALL = -1


def chosen(add: Iterable[str], drop: Iterable[str]) -> tuple[int, ...]:
    """Give the numbers of Docker's default capabilities with some added and some dropped, as Docker joins the two.

    Args:
        add: names, with or without `CAP_`, in any case; `ALL` is every one. They win over `drop`, unless `ALL` is here.
        drop: the same.

    Raises:
        InvalidUsage: a name is not a capability.
    """
    added, dropped = _numbers(add, "--cap-add"), _numbers(drop, "--cap-drop")
    every = set(range(len(NAMES)))
    if _ALL in dropped:
        found = every if _ALL in added else added
    elif _ALL in added:
        found = every - dropped
    else:
        found = set(DOCKERS) - dropped | added
    return tuple(sorted(found))


def _numbers(names: Iterable[str], option: str) -> set[int]:
    found: set[int] = set()
    for name in names:
        bare = name.upper().removeprefix("CAP_")
        if bare != "ALL" and bare not in NAMES:
            raise InvalidUsage(
                f"{option} {name}: unknown capability",
                hint="use a name from capabilities(7), such as NET_ADMIN, or ALL",
            )
        found.add(_ALL if bare == "ALL" else NAMES.index(bare))
    return found
