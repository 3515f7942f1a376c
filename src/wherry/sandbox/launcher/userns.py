"""The sandbox's users: a user namespace and its maps.

Sources: user_namespaces(7), newuidmap(1).
"""

import os

from wherry.sandbox.launcher import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.sandbox.spec import Ids


class NoNamespace(OSError):
    """This user can't have the namespaces that a sandbox needs."""


def enter(ids: "Ids | None", meanwhile: "Callable[[], object] | None" = None) -> bool:
    """Move into a user namespace with these ids; report whether we are in one.

    The maps are written by a child that stays outside, since only there the right to map other ids holds.

    Args:
        ids: which; None: no namespace.
        meanwhile: done while the child writes, once we are inside.

    Raises:
        NoNamespace: the kernel or newuidmap refuses.
    """
    if ids is None:
        return False
    syscalls.allow_inspection()  # else /proc/self is root's, and so are the maps in it
    try:
        return _enter(ids, meanwhile)
    finally:
        syscalls.forbid_inspection()


def _enter(ids: "Ids", meanwhile: "Callable[[], object] | None") -> bool:
    writer = _Writer(ids)
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError as error:
        writer.forget()
        if ids["optional"]:
            return False
        raise NoNamespace(error.errno, f"cannot create a user namespace: {error.strerror}") from error
    problem = _write_own(ids) if ids["single"] else writer.write(meanwhile)
    if problem:
        raise NoNamespace(0, f"cannot map IDs: {problem}")
    if not ids["single"]:
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    return True


def rename(uid: int, gid: int, proc: int) -> None:
    """Move into a namespace in which our only id, root's, has other numbers.

    Args:
        uid: the user's.
        gid: the group's.
        proc: the host's /proc, open: what is at that path in a container may be a trap (CVE-2019-16884, 2025-52881).

    Raises:
        NoNamespace: the kernel refuses.
    """
    single: Ids = {"uids": [(uid, 0, 1)], "gids": [(gid, 0, 1)], "mappers": [], "single": True, "optional": False}
    syscalls.allow_inspection()
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError as error:
        raise NoNamespace(error.errno, f"cannot create a user namespace: {error.strerror}") from error
    problem = _write_own(single, proc)
    syscalls.forbid_inspection()
    if problem:
        raise NoNamespace(0, f"cannot map IDs: {problem}")


class _Writer:
    """A child outside the namespace that maps our ids once we are in it."""

    def __init__(self, ids: "Ids") -> None:
        self._single = ids["single"]
        if self._single:
            return
        answer, said = os.pipe()
        wait, go = os.pipe()
        parent = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            syscalls.die_with_parent()
            os.close(go)
            if os.read(wait, 1):
                os.write(said, _map(parent, ids).encode(errors="replace"))
            os._exit(0)
        os.close(said)
        os.close(wait)
        self._answer, self._go = answer, go

    def write(self, meanwhile: "Callable[[], object] | None") -> str:
        """Let it write; give what went wrong, or nothing."""
        os.write(self._go, b"x")
        if meanwhile is not None:
            meanwhile()
        problem = b""
        while chunk := os.read(self._answer, 4096):
            problem += chunk
        self.forget()
        return problem.decode(errors="replace")

    def forget(self) -> None:
        """Let it end."""
        if not self._single:
            os.close(self._go)
            os.close(self._answer)
            os.waitpid(self._child, 0)


def _write_own(ids: "Ids", proc: "int | None" = None) -> str:
    process = "/proc/self" if proc is None else "self"
    try:
        _put(f"{process}/setgroups", "deny", proc)  # needed to map groups without privilege, and inherited
        _put(f"{process}/uid_map", _lines(ids["uids"]), proc)
        _put(f"{process}/gid_map", _lines(ids["gids"]), proc)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


def _map(process: int, ids: "Ids") -> str:
    try:
        if not ids["mappers"]:
            _put(f"/proc/{process}/uid_map", _lines(ids["uids"]))
            _put(f"/proc/{process}/gid_map", _lines(ids["gids"]))
            return ""
        users, groups = ids["mappers"]
        return _call_mapper(users, process, ids["uids"]) or _call_mapper(groups, process, ids["gids"])
    except OSError as error:
        return f"{error.filename}: {error.strerror}"


def _call_mapper(program: str, process: int, runs: "list[tuple[int, int, int]]") -> str:
    answer, said = os.pipe()
    argv = [program, str(process), *(str(number) for run in runs for number in run)]
    child = os.posix_spawn(program, argv, {}, file_actions=[(os.POSIX_SPAWN_DUP2, said, 2)])
    os.close(said)
    words = b""
    while chunk := os.read(answer, 4096):
        words += chunk
    os.close(answer)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "" if status == 0 else words.decode(errors="replace").strip() or f"{program} exits with {status}"


def _lines(runs: "list[tuple[int, int, int]]") -> str:
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in runs)


def _put(path: str, text: str, folder: "int | None" = None) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(file, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(file)
