"""From a tracer's events to what a run asked for: each path once, each address once.

Sources: man-pages 6.9, ip(7), ipv6(7), unix(7), netlink(7), on `struct sockaddr_…`.
"""

import errno
import ipaddress
import posixpath
import signal
from collections import Counter
from dataclasses import replace

from wherry.analysis.deps.observed import FileOutcome, ObservedFile, ObservedSocket, RunObservation
from wherry.sandbox.spec import TraceEvent

_EMULATOR, _OF_EMULATOR = "/memfd:emulator", "/etc/qemu-binfmt/"
"""The sandbox's copy of qemu-user, and where that looks first for each file of another architecture."""
_INIT = 1
"""The first process of a container, which passes our signals on."""
_MOST = 50_000
"""Paths, and addresses, that are kept: a program may ask for any number."""
_OPENS = frozenset({"open", "openat", "openat2", "creat"})
_STARTS = frozenset({"execve", "execveat"})
_CREATES = 0o100  # O_CREAT
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_NO_ANSWER = frozenset({errno.EINVAL, errno.EINTR, errno.EAGAIN, errno.EINPROGRESS, errno.EEXIST, errno.ELOOP})
"""Errors that say nothing of a file or an address: a readlink of what is no link, a connection that takes time."""
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_PORT, _V4, _V6 = 2, 4, 8


class Observer:
    """Hears events."""

    def __init__(self, emulated: str = "") -> None:
        """Begin with nothing heard.

        Args:
            emulated: the image's program, where an emulator runs it: what the emulator does is this program's, but for
                the files of its own that it looks for.
        """
        self._emulated = emulated
        self._files: dict[tuple[str, FileOutcome], ObservedFile] = {}
        self._sockets: dict[tuple[str, str, str], ObservedSocket] = {}
        self._bound: dict[tuple[int, int], str] = {}
        """Addresses by process and descriptor."""
        self._signals: Counter[str] = Counter()
        self._calls: set[tuple[int, int]] = set()
        self._processes: set[int] = set()
        self._left = 0
        self._dropped = 0
        self._place = 0

    def hear(self, event: TraceEvent) -> None:
        """Take note of an event."""
        if self._emulated and not self._is_programs(event):
            return
        self._place += 1
        self._processes.add(event["process"])
        if "seen" in event:
            self._calls.add(event["seen"])
        elif "signal" in event and event.get("sender") == _INIT:
            return  # ours: what asks the program to end
        elif "signal" in event:
            self._signals[signal_name(event["signal"])] += 1
        elif "exit" in event:
            self._left = max(self._left, event.get("left", 0))
        elif "path" in event:
            self._file(event)
        elif "descriptor" in event:
            self._socket(event)

    def _is_programs(self, event: TraceEvent) -> bool:
        """Report whether an event is the emulated program's, which is then named in it."""
        if event["program"].startswith(_EMULATOR):
            event["program"] = self._emulated
        if event.get("executed", "").startswith(_EMULATOR):
            event["executed"] = event["path"] = self._emulated
        return not event.get("path", "").startswith(_OF_EMULATOR)

    def observation(self) -> RunObservation:
        """Give what was heard."""
        listening = {(one.address, one.program) for one in self._sockets.values() if one.use == "listen"}
        sockets = [
            one for one in self._sockets.values() if one.use != "bind" or (one.address, one.program) not in listening
        ]
        return RunObservation(
            files=tuple(self._files.values()),
            sockets=tuple(sockets),
            signals=dict(self._signals),
            calls=frozenset(self._calls),
            processes=len(self._processes),
            left=self._left,
            dropped=self._dropped,
        )

    def _file(self, event: TraceEvent) -> None:
        result, call = event.get("result", 0), event.get("call", "")
        outcome = _outcome(event, call, result)
        path = tidy(event.get("path") or event.get("executed", ""))
        if outcome is None or not path:
            return
        error = errno.errorcode.get(-result, str(-result)) if result < 0 else ""
        self._keep(ObservedFile(path, outcome, event["program"], call, error))
        executed = tidy(event.get("executed", ""))
        if executed and executed != path and not executed.endswith(" (deleted)"):
            self._keep(ObservedFile(executed, FileOutcome.EXECUTED, event["program"], call))

    def _keep(self, file: ObservedFile) -> None:
        key = (file.path, file.outcome)
        known = self._files.get(key)
        if known is None and len(self._files) >= _MOST:
            self._dropped += 1
            return
        self._files[key] = replace(known or file, count=known.count + 1 if known else 1, last=self._place)

    def _socket(self, event: TraceEvent) -> None:
        place = event["process"], event["descriptor"]
        call, result = event.get("call", ""), event.get("result", 0)
        address = address_of(event.get("address", b""))
        if call == "bind" and result == 0:
            self._bound[place] = address
            if len(self._bound) > _MOST:
                self._bound.clear()
        if call == "listen":
            address = self._bound.get(place, "an address that the kernel chose")
        # Go binds sockets to port 0 to find out what the machine can do, and reads routes through netlink.
        if not address or address == "netlink" or (call == "bind" and address.endswith(":0")):
            return
        error = "" if result >= 0 or -result in _NO_ANSWER else errno.errorcode.get(-result, str(-result))
        key = (call, address, event["program"])
        known = self._sockets.get(key)
        if known is None and len(self._sockets) >= _MOST:
            self._dropped += 1
            return
        fresh = ObservedSocket(call, address, event["program"], error)
        self._sockets[key] = replace(fresh, count=known.count + 1) if known else fresh


def tidy(path: str) -> str:
    """Give a path without doubled slashes and dots; what stands before `..` may be a link, so that stays."""
    if not path.startswith("/"):
        return path
    if ".." in path.split("/"):
        return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    return "/" + posixpath.normpath(path).lstrip("/")


def signal_name(number: int) -> str:
    """Give a signal's name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number >= signal.SIGRTMIN else f"signal {number}"


def address_of(raw: bytes) -> str:
    """Write a socket's address; empty where it is none that is known."""
    family = int.from_bytes(raw[:2], "little")
    port = int.from_bytes(raw[_PORT : _PORT + 2], "big")
    if family == _INET and len(raw) >= _V4 + 4:
        return f"{ipaddress.IPv4Address(raw[_V4 : _V4 + 4])}:{port}"
    if family == _INET6 and len(raw) >= _V6 + 16:
        return f"[{ipaddress.IPv6Address(raw[_V6 : _V6 + 16])}]:{port}"
    if family == _UNIX and len(raw) > _PORT:
        name = raw[_PORT:]
        if name.startswith(b"\0"):
            return "unix:@" + name[1:].decode(errors="replace")
        return "unix:" + name.partition(b"\0")[0].decode(errors="replace")
    return "netlink" if family == _NETLINK else ""


def _outcome(event: TraceEvent, call: str, result: int) -> FileOutcome | None:
    if result < 0:
        if -result in _NO_ANSWER:
            return None
        return FileOutcome.MISSING if -result in _ABSENT else FileOutcome.REFUSED
    if call in _STARTS:
        return FileOutcome.EXECUTED
    if call.startswith("mkdir") or call == "creat":
        return FileOutcome.MADE
    if call in _OPENS:
        return FileOutcome.MADE if event.get("flags", 0) & _CREATES else FileOutcome.OPENED
    return FileOutcome.LOOKED_AT
