"""The network namespace of a container, connected to the outside by a program in user mode: pasta or slirp4netns.

Four processes: a *holder* makes the namespace in a user namespace of its own, so that no one needs rights over the
host's network; a *guard* is the first process of a pid namespace that has the program in it; a *waiter* reaps the
guard. All end when the launcher does, however that is, since a pipe that only the launcher and the container hold
open then ends.

Sources: network_namespaces(7), pid_namespaces(7), pasta(1), slirp4netns(1). Linux 6.18,
Documentation/networking/ip-sysctl.rst; moby v28 sets the same two of them.
"""

import os
import select
import signal

from wherry.sandbox.channel import LINE
from wherry.sandbox.launcher import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import Container, Mount, Uplink

_PATIENCE = 20_000
"""Milliseconds that a program has to connect a namespace; they take 30."""
_RESOLV = "/etc/resolv.conf"
_SYSCTLS = (("ip_unprivileged_port_start", b"0"), ("ping_group_range", b"0 2147483647"))
"""As in Docker's containers: any user may listen below 1024, and send pings."""

_USUAL = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores them; pasta of 2023 ends where another has ignored the first."""


class NotConnected(OSError):
    """There is no network namespace, or the program did not connect it."""


class NetworkNamespace:
    """A connected namespace; it lasts until `close` or the end of this process."""

    def __init__(self, uplink: "Uplink", stage: str) -> None:
        """Make it and wait until it is connected.

        Args:
            uplink: by which program.
            stage: an empty folder.

        Raises:
            NotConnected: it can't be.
        """
        self._children: list[int] = []
        ended, self._alive = os.pipe()
        try:
            holder = self._hold(ended)
            self.namespace = os.open(f"/proc/{holder}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self._connect(uplink, holder, ended, f"{stage}/connected")
        except BaseException:
            self.close()
            raise
        finally:
            os.close(ended)

    def close(self) -> None:
        """End the program and let go of the namespace."""
        os.close(self._alive)
        for child in self._children:
            os.waitpid(child, 0)

    def _hold(self, ended: int) -> int:
        """Start the holder; give its process id once the namespace is there."""
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _be_holder(*_keep_only(ended, said))
            finally:
                os._exit(code)
        os.close(said)
        self._children.append(child)
        answer = os.read(heard, 1)
        os.close(heard)
        if not answer:
            raise NotConnected(0, "the kernel does not support network namespaces")
        return child

    def _connect(self, uplink: "Uplink", holder: int, ended: int, fifo: str) -> None:
        os.mkfifo(fifo, 0o600)
        try:
            ready = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            words = os.memfd_create("words", os.MFD_CLOEXEC)
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = _be_waiter(_argv(uplink, holder, fifo), fifo, *_keep_only(ended, words))
                finally:
                    os._exit(code)
            self._children.append(child)
            try:
                self._wait(child, ready, uplink["program"], words)
            finally:
                os.close(ready)
                os.close(words)
        finally:
            os.unlink(fifo)

    def _wait(self, child: int, ready: int, program: str, words: int) -> None:
        poll = select.poll()
        watched = os.pidfd_open(child)
        for descriptor, event in ((ready, select.POLLIN), (watched, select.POLLIN), (LINE, select.POLLRDHUP)):
            poll.register(descriptor, event)
        found = dict(poll.poll(_PATIENCE))
        os.close(watched)
        if found.get(ready, 0) & select.POLLIN:
            return
        name = os.path.basename(program)
        if watched not in found:
            raise NotConnected(0, f"{name} did not connect in {_PATIENCE // 1000} seconds")
        said = os.pread(words, 4096, 0).decode(errors="replace").strip().splitlines()
        told = [line for line in said if "syslog" not in line]
        raise NotConnected(0, f"{name}: {told[-1] if told else 'exited without a message'}")


def resolve_inside(job: "Container", content: bytes) -> None:
    """Let a container in a namespace of its own read this as its resolv.conf, if one was provided at all."""
    volumes = [volume for volume in job["volumes"] if not (volume["provided"] and volume["destination"] == _RESOLV)]
    mounts = [mount for mount in job["mounts"] if not (mount["provided"] and mount["destination"] == _RESOLV)]
    if len(volumes) == len(job["volumes"]) and len(mounts) == len(job["mounts"]):
        return
    asked = any(volume["destination"] == _RESOLV for volume in volumes)
    own: Mount = {
        "kind": "content", "destination": _RESOLV, "read_only": False, "content": content, "source": "",
        "layers": [], "inner": "", "mode": 0o644, "uid": 0, "gid": 0, "size": 0, "provided": True,
    }  # fmt: skip
    job["volumes"] = volumes
    job["mounts"] = mounts if asked else [own, *mounts]


def _argv(uplink: "Uplink", holder: int, fifo: str) -> "list[str]":
    """Write the command line: nothing of the host's loopback is mapped into the namespace, nor the other way."""
    program = uplink["program"]
    if uplink["kind"] == "slirp4netns":
        words = [program, "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox"]
        words += ["--enable-seccomp", "--ready-fd=3", f"--userns-path=/proc/{holder}/ns/user"]
        return [*words, *([] if uplink["forward"] else ["--disable-dns"]), str(holder), "tap0"]
    words = [program, "--foreground", "--quiet", "--config-net", "--no-map-gw", "--runas", "0", "--pid", fifo]
    for option in ("-u", "-T", "-U"):
        words += [option, "none"]
    for port in uplink["ports"] or ["none"]:
        words += ["-t", port]
    return [*words, *(["--dns-forward", uplink["forward"]] if uplink["forward"] else []), str(holder)]


def _be_holder(ended: int, said: int) -> int:
    """Hold a network namespace until the launcher ends."""
    uid, gid = os.geteuid(), os.getegid()
    syscalls.allow_inspection()  # else no one but root may open its namespaces
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        _write(f"/proc/self/{name}", text.encode())
    for name, value in _SYSCTLS:
        try:
            _write(f"/proc/sys/net/ipv4/{name}", value)
        except OSError:
            continue  # read-only in some outer container: ports below 1024 are then root's
    syscalls.allow_inspection()
    os.write(said, b"x")
    os.close(said)
    os.read(ended, 1)
    return 0


def _be_waiter(argv: "list[str]", fifo: str, ended: int, words: int) -> int:
    """Start the guard in a pid namespace, and wait for its end."""
    syscalls.unshare(syscalls.CLONE_NEWPID)
    guard = os.fork()
    if guard == 0:
        code = 1
        try:
            code = _be_guard(argv, fifo, ended, words)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(guard, 0)[1])


def _be_guard(argv: "list[str]", fifo: str, ended: int, words: int) -> int:
    """Start the program and end with it, or with the launcher: the kernel then kills all of this pid namespace."""
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [(os.POSIX_SPAWN_DUP2, words, 2)]
    if "--ready-fd=3" in argv:
        actions.append((os.POSIX_SPAWN_OPEN, 3, fifo, os.O_WRONLY, 0))
    try:
        child = os.posix_spawn(argv[0], argv, {"PATH": "/usr/bin:/bin"}, file_actions=actions, setsigdef=_USUAL)
    except OSError as error:
        os.write(words, (error.strerror or "").encode())
        return 1
    watched = os.pidfd_open(child)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(ended, 0)
    poll.poll()
    return 1


def _keep_only(*kept: int) -> "list[int]":
    """Close all descriptors but some, which get the lowest numbers in their order, and the three streams, of no one."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in range(3):
        os.dup2(null, stream)
    order = sorted(kept)
    places = {opened: place for place, opened in enumerate(order, 3)}
    for opened, place in places.items():
        if opened != place:
            os.dup2(opened, place, inheritable=False)
    syscalls.close_from(3 + len(order))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return [places[opened] for opened in kept]


def _write(path: str, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, content)
    finally:
        os.close(file)
