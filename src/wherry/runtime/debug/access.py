"""What may be done to a process, worked out before anything is tried: each answer with its reason and its remedy.

Sources: setns(2); user_namespaces(7), "Capabilities"; ptrace(2), "Ptrace access mode checking" and
"/proc/sys/kernel/yama/ptrace_scope"; Linux 6.18, kernel/nsproxy.c and kernel/ptrace.c.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Self

from wherry.runtime.debug.process import TargetProcess, own_capabilities, own_filter

_SYS_ADMIN, _SYS_PTRACE, _SYS_CHROOT = 1 << 21, 1 << 19, 1 << 18
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


class AccessState(StrEnum):
    """How an answer is to be taken."""

    YES = "yes"
    LIMITED = "limited"
    NO = "no"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class AccessCheck:
    """One answer."""

    name: str
    state: AccessState
    found: str
    remedy: str = ""
    """One line that changes it; empty: nothing to change, or nothing does."""


@dataclass(frozen=True, slots=True)
class CallerRights:
    """Who we are."""

    uid: int
    capabilities: int
    filtered: bool = False
    """Whether a seccomp filter is on us: in a container of Docker, for instance."""

    @classmethod
    def of_process(cls) -> Self:
        """Read those of this process."""
        return cls(os.geteuid(), own_capabilities(), own_filter())


@dataclass(frozen=True)
class TargetAccess:
    """What one caller may do to one process."""

    process: TargetProcess
    caller: CallerRights
    yama: int = -1
    """ptrace_scope; -1: this kernel has no Yama."""

    @classmethod
    def of(cls, process: TargetProcess) -> Self:
        """Take this process as the caller."""
        try:
            yama = int(Path(_YAMA).read_text())
        except (OSError, ValueError):
            yama = -1
        return cls(process, CallerRights.of_process(), yama)

    @property
    def rules(self) -> bool:
        """Whether we have all rights in the user namespace that is the target's, and that is not ours."""
        levels = self.process.levels
        return len(levels) > 1 and (self._has(_SYS_ADMIN) or levels[1].maker == self.caller.uid)

    @property
    def mounts(self) -> bool:
        """Whether we may make and join mount namespaces, and change the root."""
        return self.rules or self._has(_SYS_ADMIN | _SYS_CHROOT)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Kinds of namespaces that a shell would have to be in and we may not join."""
        process = self.process
        found = set(process.beyond)
        for number, level in enumerate(process.levels):
            may = self._has(_SYS_ADMIN) if number == 0 else self.rules
            found |= set() if may else set(level.kinds)
        if len(process.levels) > 1 and not self.rules:
            found.add("user")
        return tuple(kind for kind in process.differing if kind in found and kind != "cgroup")

    @property
    def shell(self) -> AccessCheck:
        """Whether a shell can be opened, as the target's user."""
        process = self.process
        if process.refused:
            return AccessCheck("shell", AccessState.NO, self._refusal(), self._way_in())
        if self.missing:
            kinds = ", ".join(self.missing)
            return AccessCheck(
                "shell",
                AccessState.NO,
                f"its namespaces ({kinds}) belong to the machine's root: joining them takes CAP_SYS_ADMIN",
                self._no_shell(),
            )
        if not process.root_shared and not self.mounts:
            return AccessCheck(
                "shell",
                AccessState.NO,
                "its root is another than ours, and changing the root takes CAP_SYS_CHROOT",
                self._no_shell(),
            )
        if process.inner_uid < 0 or process.inner_gid < 0:
            return AccessCheck("shell", AccessState.NO, "its user is not in its own user namespace", "use --root")
        user = f"user {process.inner_uid}"
        joined = ", ".join(process.differing) or "none: it shares ours"
        return AccessCheck("shell", AccessState.YES, f"as {user} (namespaces: {joined})")

    @property
    def files(self) -> AccessCheck:
        """Whether its files can be read without a shell."""
        if self.process.refused:
            return AccessCheck("files", AccessState.NO, self._refusal(), self._way_in())
        return AccessCheck("files", AccessState.YES, f"/proc/{self.process.pid}/root")

    @property
    def root(self) -> AccessCheck:
        """Whether `--root` can be had."""
        if self.shell.state is AccessState.NO:
            return AccessCheck("--root", AccessState.NO, "no shell at all")
        if not self.process.maps_root:
            return AccessCheck("--root", AccessState.NO, "its user namespace has no user 0")
        if self.rules:
            return AccessCheck("--root", AccessState.YES, "user 0 and all capabilities of its user namespace")
        if self.caller.uid == 0:
            return AccessCheck("--root", AccessState.LIMITED, "user 0 of this machine, with the target's capabilities")
        return AccessCheck(
            "--root", AccessState.NO, "it shares our user namespace, and we are not root", "run wherry as root"
        )

    def trace(self) -> Iterator[AccessCheck]:
        """Say whether it can be traced, from outside and from inside the shell."""
        process = self.process
        if process.tracer:
            yield AccessCheck(
                "trace",
                AccessState.NO,
                f"process {process.tracer} traces it already",
                f"end that one first: kill {process.tracer}",
            )
            return
        if process.refused:
            yield AccessCheck("trace", AccessState.NO, self._refusal(), self._way_in())
            return
        yield self._trace_outside()
        if self.shell.state is AccessState.YES:
            yield self._trace_inside()

    def _trace_outside(self) -> AccessCheck:
        able = self.rules or self._has(_SYS_PTRACE)
        if not self.process.dumpable and not able:
            return self._undumpable("trace")
        if (blocked := self._yama(able=able)) is not None:
            return blocked
        return AccessCheck("trace", AccessState.YES, f"from outside: `wherry trace {self.process.pid}`")

    def _trace_inside(self) -> AccessCheck:
        name = "trace inside"
        if not self.process.dumpable:
            return AccessCheck(
                name,
                AccessState.LIMITED,
                "it is not dumpable: its own user may not read its memory, files or links in /proc",
                "use --root",
            )
        if (blocked := self._yama(able=False)) is not None:
            remedy = "use --root, which has CAP_SYS_PTRACE there" if self.yama == 1 and self.rules else blocked.remedy
            return AccessCheck(name, AccessState.LIMITED, blocked.found, remedy)
        if self.process.capabilities.permitted and self.process.inner_uid != 0:
            return AccessCheck(name, AccessState.LIMITED, "it has capabilities that the shell has not", "use --root")
        return AccessCheck(name, AccessState.YES, f"the shell sees it as process {self.process.inner_pid}")

    def _yama(self, *, able: bool) -> AccessCheck | None:
        allow = "as root: sysctl kernel.yama.ptrace_scope=0"
        match self.yama:
            case 1 if not able:
                return AccessCheck("trace", AccessState.NO, f"{_YAMA} is 1: only children may be traced", allow)
            case 2 if not self._has(_SYS_PTRACE):
                return AccessCheck("trace", AccessState.NO, f"{_YAMA} is 2: it takes CAP_SYS_PTRACE", allow)
            case 3:
                return AccessCheck(
                    "trace", AccessState.NO, f"{_YAMA} is 3: nothing may be traced until the machine starts again"
                )
        return None

    def context(self) -> Iterator[AccessCheck]:
        """Say what differs between the target and a shell next to it."""
        process = self.process
        if process.refused:
            return
        shared = "pid" not in process.differing
        yield AccessCheck(
            "processes",
            AccessState.INFO,
            "it shares our pid namespace: the shell sees all processes of this machine"
            if shared
            else f"its own pid namespace, in which it is process {process.inner_pid}",
        )
        if process.has_proc is not None:
            made = (
                "mounted in a mount namespace of the shell's own" if self.mounts else "not there for the shell either"
            )
            yield AccessCheck("/proc", AccessState.INFO, "the target has one" if process.has_proc else f"none: {made}")
        limits = [
            *(["a seccomp filter"] if process.filtered else []),
            *(["no_new_privs"] if process.no_new_privileges else []),
            *([f"the label {process.label}"] if process.label and process.label != "unconfined" else []),
        ]
        if self.caller.filtered and process.differing:
            yield AccessCheck(
                "wherry itself",
                AccessState.INFO,
                "it runs under a seccomp filter, which may refuse to join namespaces and to mount",
                "in a container: --security-opt seccomp=unconfined, or run wherry on the machine itself",
            )
        if limits:
            kept = "; the shell has no_new_privs too, and not the rest" if process.no_new_privileges else ""
            yield AccessCheck("confinement", AccessState.INFO, f"the target has {', '.join(limits)}{kept}")

    def _refusal(self) -> str:
        process = self.process
        if process.uid != self.caller.uid and process.dumpable:
            return f"it belongs to user {process.uid}, and we are user {self.caller.uid}"
        if not process.dumpable:
            return "it is not dumpable (its program may not be read, is set-user-ID, or asked for it by prctl)"
        return "the kernel does not let us look at it: it has capabilities that we have not, or is set-user-ID"

    def _way_in(self) -> str:
        process = self.process
        if self.caller.uid == 0:
            return "run wherry where root has all capabilities: outside of this container"
        if process.uid != self.caller.uid and process.dumpable:
            return f"run wherry as user {process.uid}, as who started it, or as root"
        return "run wherry as root, or let its user read the program: chmod +r"

    def _no_shell(self) -> str:
        pid = self.process.pid
        last = "as root" if self.caller.uid else "where root has all capabilities"
        return f"use --copy-out PATH for its files and `wherry trace {pid}` for what it does, or run wherry {last}"

    def _undumpable(self, name: str) -> AccessCheck:
        return AccessCheck(name, AccessState.NO, self._refusal(), self._way_in())

    def _has(self, wanted: int) -> bool:
        return self.caller.capabilities & wanted == wanted
