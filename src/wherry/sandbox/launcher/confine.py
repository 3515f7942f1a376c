"""What confines a container next to its files: network, number of processes, capabilities, system calls.

Sources: capabilities(7), seccomp(2), landlock(7), cgroups(7).
"""

import errno
import os

from wherry.sandbox.channel import tell
from wherry.sandbox.launcher import groups, netns, seccomp, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import Container

_NET_ADMIN, _NET_RAW = 12, 13


class NotLimited(OSError):
    """A limit that was asked for can't be set."""


class Confinement:
    """What the launcher makes for a container and takes away after it."""

    def __init__(self, job: "Container") -> None:
        """Connect its network and make its control group.

        Raises:
            OSError: what was asked for is not available.
        """
        self._job = job
        self._network: netns.NetworkNamespace | None = None
        self._groups: list[groups.ControlGroup] = []
        if job["network"] == "own":
            self._connect()
        try:
            self._limit()
        except BaseException:
            self.close()
            raise

    def enter(self) -> None:
        """Move this process, a container's first, into them."""
        for group in self._groups:
            group.join()
        if self._network is not None:
            syscalls.enter_namespace(self._network.namespace, syscalls.CLONE_NEWNET)
        elif self._job["network"] == "none":
            syscalls.unshare(syscalls.CLONE_NEWNET)
            syscalls.raise_loopback()

    def close(self) -> None:
        """Take them away, once the container ended."""
        if self._network is not None:
            self._network.close()
        if killed := sum(group.killed() for group in self._groups):
            tell({"killed": killed})
        for group in self._groups:
            group.close()

    def _connect(self) -> None:
        job, uplink = self._job, self._job["uplink"]
        if uplink is None:
            raise ValueError("a network of its own without a program that connects it")
        try:
            self._network = netns.NetworkNamespace(uplink, job["stage"])
        except OSError as error:
            if uplink["required"]:
                raise
            job["network"], job["shared"] = "shared", error.strerror or str(error)
            return
        if uplink["resolv_conf"]:
            netns.resolve_inside(job, uplink["resolv_conf"])

    def _limit(self) -> None:
        for group in self._job["control"]:
            try:
                self._groups.append(groups.make(group))
            except groups.NoGroup as error:
                if group["required"]:
                    raise NotLimited(error.errno, f"cannot limit {group['what']}: {error.strerror}") from error
                tell({"notice": f"{group['what']} is not limited: {error.strerror}"})
        if self._groups and self._job.get("handles"):
            tell({"groups": [group.folder for group in self._groups]})


def bound(job: "Container", traced: bytes = b"") -> None:
    """Take away what no program of a container may do: done as root, and before its user is changed.

    Args:
        job: the container.
        traced: a filter that stops it for a tracer.

    Raises:
        OSError: the kernel takes no filter.
    """
    syscalls.bound_capabilities(_most(job))
    filters = []
    if job["network"] == "shared":
        _share_network(job["shared"])
        filters.append(seccomp.closed_network())
    if job["privileges"] != "all":
        filters.append(_filter(job))
    filters.append(traced)
    for code in filters:
        if code:
            _load(code)


def hold(job: "Container") -> None:
    """Hold what this process, which is the container's user by now, may have."""
    syscalls.keep_capabilities(_most(job) if job["uid"] == 0 else ())
    if job["no_new_privileges"]:
        syscalls.forbid_new_privileges()


def without_namespaces(job: "Container") -> None:
    """Change a job to what works without namespaces: the host's network, with raw sockets blocked."""
    if job["network"] == "own":
        job["network"], job["shared"] = "shared", "no namespaces available"


def _share_network(reason: str) -> None:
    parted = syscalls.part_sockets()
    abstract = (
        "raw, packet and abstract sockets blocked" if parted else "raw and packet sockets blocked, abstract sockets not"
    )
    tell({"notice": f"network: host, {abstract} ({reason})"})


def _load(code: bytes) -> None:
    try:
        seccomp.load(code)
    except OSError as error:
        if error.errno != errno.EACCES:
            raise
        # Only without namespaces, in a pod that leaves us no right to it.
        tell({"notice": "no seccomp filter: it needs CAP_SYS_ADMIN or no_new_privs"})


def _most(job: "Container") -> "tuple[int, ...]":
    most = range(64) if job["privileges"] == "all" else job["capabilities"]
    # In a user namespace they mean nothing for the host's network, and a program that has them by its file starts.
    closed = (_NET_ADMIN, _NET_RAW) if job["network"] == "shared" and job["ids"] is None else ()
    return tuple(number for number in most if number not in closed)


def _filter(job: "Container") -> bytes:
    asked = job["seccomp"]
    if isinstance(asked, bytes):
        return asked
    if asked == "unconfined":
        return b""
    code = seccomp.usual(job["capabilities"], socketcall=job["socketcall"])
    if not code:
        tell({"notice": f"no seccomp filter: not supported on {os.uname().machine}"})
    return code
