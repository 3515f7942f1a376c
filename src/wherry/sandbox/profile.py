"""A seccomp profile as Docker has it, made into a filter by libseccomp.

Sources: moby v28, profiles/seccomp/seccomp.go (the document, what includes and excludes mean) and runc v1.3,
libcontainer/seccomp (several conditions of one argument are alternatives; unknown calls are passed over);
libseccomp 2.5, include/seccomp.h.
"""

import ctypes
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from wherry.errors import HostUnable, InvalidDocument, NotFound
from wherry.typed import from_json

_LARGEST = 4 << 20
_ACTIONS = {
    "SCMP_ACT_KILL": 0, "SCMP_ACT_KILL_THREAD": 0, "SCMP_ACT_KILL_PROCESS": 0x80000000, "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_TRACE": 0x7FF00000, "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}  # fmt: skip
_WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_COMPARISONS = {
    "SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}  # fmt: skip
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "x86"}
_EXISTS = 17
_UNKNOWN = -1


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What one argument of a call has to be."""

    index: Annotated[int, msgspec.Meta(ge=0, le=5)]
    value: Annotated[int, msgspec.Meta(ge=0)] = 0
    value_two: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(default=0, name="valueTwo")
    op: str


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """When a rule counts, or doesn't."""

    caps: tuple[str, ...] = ()
    arches: tuple[str, ...] = ()
    min_kernel: str = msgspec.field(default="", name="minKernel")


class SyscallRule(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to some calls."""

    names: tuple[str, ...] | None = None
    name: str = ""
    action: str
    errno: int | None = msgspec.field(default=None, name="errnoRet")
    args: tuple[Condition, ...] | None = None
    includes: Filter | None = None
    excludes: Filter | None = None


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """An architecture, and those whose calls it also takes."""

    architecture: str
    subs: tuple[str, ...] | None = msgspec.field(default=None, name="subArchitectures")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile; unknown keys are passed over, as by Docker."""

    default: str = msgspec.field(name="defaultAction")
    errno: int | None = msgspec.field(default=None, name="defaultErrnoRet")
    architectures: tuple[str, ...] | None = None
    map: tuple[Architecture, ...] | None = msgspec.field(default=None, name="archMap")
    syscalls: tuple[SyscallRule, ...] | None = None


class _Compare(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def read_profile(path: Path, capabilities: Sequence[str]) -> bytes:
    """Read a profile and give its filter, as `struct sock_filter`s.

    Args:
        path: of the JSON.
        capabilities: names of those that the container has, without `CAP_`; rules may hang on them.

    Raises:
        NotFound: it can't be read.
        InvalidDocument: it is not a profile.
        HostUnable: this machine has no libseccomp.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST)
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}", hint="give a profile with --security-opt seccomp=FILE") from error
    try:
        profile = from_json(text, Profile)
    except msgspec.DecodeError as error:
        raise InvalidDocument(str(path), str(error)) from error
    return _Compiler(str(path)).compile(profile, frozenset(capabilities))


class _Compiler:
    def __init__(self, name: str) -> None:
        self._name = name
        try:
            self._library: Any = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        except OSError as error:
            raise HostUnable(
                f"{name}: reading a seccomp profile needs libseccomp.so.2, which is not installed",
                hint="install libseccomp (libseccomp2 on Debian and Ubuntu), or remove --security-opt seccomp=",
            ) from error
        self._library.seccomp_init.restype = ctypes.c_void_p

    def compile(self, profile: Profile, capabilities: frozenset[str]) -> bytes:
        """Give the filter."""
        default = self._action(profile.default, profile.errno)
        context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))
        try:
            for architecture in _architectures(profile):
                self._add_architecture(context, architecture)
            for rule in profile.syscalls or ():
                action = self._action(rule.action, rule.errno)
                if action != default and _counts(rule, capabilities):
                    for name in (*(rule.names or ()), *((rule.name,) if rule.name else ())):
                        self._add(context, action, name, rule.args or ())
            return self._exported(context)
        finally:
            self._library.seccomp_release(context)

    def _action(self, name: str, number: int | None) -> int:
        if name not in _ACTIONS:
            raise InvalidDocument(self._name, f"{name}: unsupported action; use one of {', '.join(_ACTIONS)}")
        return _ACTIONS[name] | ((1 if number is None else number & 0xFFFF) if name in _WITH_NUMBER else 0)

    def _add_architecture(self, context: ctypes.c_void_p, name: str) -> None:
        bare = name.removeprefix("SCMP_ARCH_").lower()
        token = self._library.seccomp_arch_resolve_name(bare.encode())
        if not token:
            raise InvalidDocument(self._name, f"{name}: unknown architecture")
        self._check(self._library.seccomp_arch_add(context, ctypes.c_uint32(token & 0xFFFFFFFF)), name)

    def _add(self, context: ctypes.c_void_p, action: int, name: str, conditions: Sequence[Condition]) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number == _UNKNOWN:
            return
        for group in _alternatives(conditions):
            unknown = next((one.op for one in group if one.op not in _COMPARISONS), None)
            if unknown is not None:
                raise InvalidDocument(self._name, f"{name}: {unknown}: unknown comparison")
            array = (_Compare * max(len(group), 1))(
                *(_Compare(one.index, _COMPARISONS[one.op], one.value, one.value_two) for one in group)
            )
            done = self._library.seccomp_rule_add_array(
                context, ctypes.c_uint32(action), ctypes.c_int(number), ctypes.c_uint(len(group)), array
            )
            self._check(done, name)

    def _check(self, done: int, name: str) -> None:
        if done not in (0, -_EXISTS):
            raise InvalidDocument(self._name, f"{name}: {os.strerror(-done)}")

    def _exported(self, context: ctypes.c_void_p) -> bytes:
        file = os.memfd_create("filter", os.MFD_CLOEXEC)
        try:
            self._check(self._library.seccomp_export_bpf(context, ctypes.c_int(file)), "the filter")
            return os.pread(file, _LARGEST, 0)
        finally:
            os.close(file)


def _architectures(profile: Profile) -> Iterator[str]:
    """Give the architectures that a profile names, besides our own."""
    yield from profile.architectures or ()
    own = {"x86_64": "X86_64", "aarch64": "AARCH64", "armv7l": "ARM"}.get(os.uname().machine, "")
    for entry in profile.map or ():
        if entry.architecture == f"SCMP_ARCH_{own}":
            yield from entry.subs or ()


def _alternatives(conditions: Sequence[Condition]) -> list[list[Condition]]:
    indices = [condition.index for condition in conditions]
    if len(set(indices)) < len(indices):
        return [[condition] for condition in conditions]
    return [list(conditions)]


def _counts(rule: SyscallRule, capabilities: frozenset[str]) -> bool:
    """Report whether a rule counts: all that it includes holds, and nothing that it excludes."""
    if (wanted := rule.includes) is not None:
        if wanted.arches and not _is_ours(wanted.arches):
            return False
        if any(name.removeprefix("CAP_") not in capabilities for name in wanted.caps):
            return False
        if wanted.min_kernel and not _is_since(wanted.min_kernel):
            return False
    if (unwanted := rule.excludes) is not None:
        return not (
            (unwanted.arches and _is_ours(unwanted.arches))
            or any(name.removeprefix("CAP_") in capabilities for name in unwanted.caps)
            or (unwanted.min_kernel and _is_since(unwanted.min_kernel))
        )
    return True


def _is_ours(names: Sequence[str]) -> bool:
    return _ARCHITECTURES.get(os.uname().machine, os.uname().machine) in names


def _is_since(version: str) -> bool:
    """Report whether the kernel is this version, such as 4.8, or a newer one."""
    there, wanted = (tuple(map(int, re.findall(r"\d+", text)[:2])) for text in (os.uname().release, version))
    return there >= wanted
