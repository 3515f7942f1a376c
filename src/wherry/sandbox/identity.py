"""The sandbox's users: a user namespace and its maps.

Sources: user_namespaces(7), newuidmap(1).
"""

import os

from wherry.sandbox import calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.sandbox.spec import Ids


class NoNamespace(OSError):
    """This user can't have the namespaces that a sandbox needs."""


def enter(ids: "Ids | None", meanwhile: "Callable[[], object] | None" = None) -> bool:
    """Move into a user namespace with these ids; tell whether we are in one.

    The maps are written by a child that stays outside, since only there the right to map other ids holds.

    Args:
        ids: which; None: no namespace.
        meanwhile: done while the child writes, once we are inside.

    Raises:
        NoNamespace: the kernel or newuidmap refuses.
    """
    if ids is None:
        return False
    writer = _Writer(ids)
    try:
        calls.unshare(calls.CLONE_NEWUSER)
    except OSError as error:
        writer.forget()
        if ids["optional"]:
            return False
        raise NoNamespace(error.errno, f"a user namespace is refused: {error.strerror}") from error
    problem = _write_own(ids) if ids["single"] else writer.write(meanwhile)
    if problem:
        raise NoNamespace(0, f"the ids can't be mapped: {problem}")
    if not ids["single"]:
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    return True


def rename(uid: int, gid: int) -> None:
    """Move into a namespace in which our only id, root's, has other numbers.

    Raises:
        NoNamespace: the kernel refuses.
    """
    single: Ids = {"uids": [(uid, 0, 1)], "gids": [(gid, 0, 1)], "mappers": [], "single": True, "optional": False}
    enter(single)


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
            calls.die_with_parent()
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


def _write_own(ids: "Ids") -> str:
    try:
        _put("/proc/self/setgroups", "deny")  # needed to map groups without privilege, and inherited
        _put("/proc/self/uid_map", _lines(ids["uids"]))
        _put("/proc/self/gid_map", _lines(ids["gids"]))
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


def _put(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(file)
