"""The launcher: a program that puts a sandbox together and lives as long as it.

Started as `python -I -S launcher/main.py` with the descriptors of `line.py` and an empty environment. One
thread, nothing imported that starts slowly; it never outlives its caller.
"""

import errno
import marshal
import os
import sys

sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)))

from wherry.sandbox import private
from wherry.sandbox.channel import FAILED, FRAMES, JOB, LINE, describe, tell
from wherry.sandbox.launcher import syscalls, userns

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from wherry.sandbox.debug_spec import DebugEntry
    from wherry.sandbox.enter_spec import Enter
    from wherry.sandbox.spec import Attach, ChangeFiles, Container, Delete, DiffTar, Measure, Serve, Unpack, Weigh

    Job = Container | Attach | Enter | DebugEntry | Serve | ChangeFiles | Measure | DiffTar | Delete | Unpack | Weigh


def main() -> int:
    """Do one job; give the exit code."""
    syscalls.close_from(FRAMES + 1)
    os.umask(0o022)  # no mode in a rootfs depends on the caller's
    for descriptor in (JOB, LINE, FRAMES):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keyword
    if not private.is_private():
        raise RuntimeError("the launcher has to be executed from a copy of its interpreter")
    job = _job()
    syscalls.forbid_inspection()
    if job["task"] == "serve":
        return _guarded(lambda: _serve(job), "namespace")
    if job["task"] == "run":
        return _guarded(lambda: _run(job), "namespace")
    if job["task"] == "attach":
        return _guarded(lambda: _attach(job), "attach")
    if job["task"] == "enter":
        return _guarded(lambda: _join(job), "enter")
    if job["task"] == "debug":
        return _guarded(lambda: _debug(job), "attach")
    if job["task"] in ("unpack", "delete", "weigh"):
        return _guarded(lambda: _enter(job) or _trees(job), "layer")
    raise ValueError(job["task"])


def _job() -> "Job":
    with os.fdopen(JOB, "rb") as stream:
        job: Job = marshal.load(stream)  # noqa: S302 - the caller is our own process
    return job


def _guarded(work: "Callable[[], int]", stage: str) -> int:
    try:
        return work()
    except userns.NoNamespace as error:
        tell({"error": str(error.strerror), "stage": "namespace"})
    except OSError as error:
        if type(error).__name__ == "NotLimited":  # of `confine`, which not every job loads
            stage = "limit"
        elif stage != "namespace" and error.errno in _FULL:
            stage = "disk"
        elif stage != "namespace" and error.errno == errno.ENOTSUP:
            stage = "cache"
        tell({"error": describe(error), "stage": stage})
    return FAILED


def _enter(job: "Delete | Unpack | Weigh") -> int:
    userns.enter(job["ids"])
    return 0


def _run(job: "Container") -> int:
    from wherry.sandbox.launcher import binfmt, devices

    binfmt.look()
    nodes = devices.own_nodes()
    userns.enter(job["ids"], _container)
    os.close(FRAMES)
    code: int = _container().run(job, nodes)
    return code


def _attach(job: "Attach") -> int:
    from wherry.sandbox.launcher import attached

    os.close(FRAMES)
    code: int = attached.run(job)
    return code


def _join(job: "Enter") -> int:
    from wherry.sandbox.launcher import entered

    os.close(FRAMES)
    code: int = entered.run(job)
    return code


def _debug(job: "DebugEntry") -> int:
    from wherry.sandbox.launcher import debug_shell

    os.close(FRAMES)
    code: int = debug_shell.run(job)
    return code


def _serve(job: "Serve") -> int:
    from wherry.sandbox.launcher import forkserver

    userns.enter(job["ids"], _container)
    return forkserver.serve(_perform, job["isolation"])


def _perform() -> int:
    """Do a job in the namespace that we are in already."""
    job = _job()
    match job["task"]:
        case "run":
            return _guarded(lambda: _step(job), "namespace")
        case "change" | "measure":
            return _guarded(lambda: _change(job), "files")
        case "tar":
            return _guarded(lambda: _tar(job), "layer")
        case "unpack" | "delete" | "weigh":
            return _guarded(lambda: _trees(job), "layer")
        case _:
            raise ValueError(job["task"])


def _step(job: "Container") -> int:
    from wherry.sandbox.launcher import binfmt, devices, forkserver

    if forkserver.plain:
        from wherry.sandbox.launcher import chroot

        return chroot.run(job)
    nodes = devices.own_nodes()
    ids = job["ids"] or (binfmt.own_namespace() if job["privileges"] != "all" else None)
    if ids and ids["optional"]:
        userns.enter(ids)  # root's, who has none so far: for emulators that only this step has
    code: int = _container().run(job, nodes)
    return code


def _change(job: "ChangeFiles | Measure") -> int:
    from wherry.sandbox.launcher import copy_files

    if job["task"] == "measure":
        tell({"hash": copy_files.measure(job)})
        return 0
    with os.fdopen(FRAMES, "rb") as frames:
        copy_files.change(job, frames)
    return 0


def _tar(job: "DiffTar") -> int:
    from wherry.sandbox.launcher import diff_tar

    diff_tar.write(job)
    return 0


def _container() -> "ModuleType":
    from wherry.sandbox.launcher import container

    return container


def _trees(job: "Unpack | Delete | Weigh") -> int:
    from wherry.sandbox.launcher import snapshot_tasks

    if job["task"] == "delete":
        snapshot_tasks.delete(job)
        return 0
    if job["task"] == "weigh":
        tell({"weights": snapshot_tasks.weigh(job)})
        return 0
    with os.fdopen(FRAMES, "rb") as frames:
        depends, size = snapshot_tasks.unpack(job, frames)
    tell({"depends": depends, "bytes": size})
    return 0


if __name__ == "__main__":
    os._exit(main())
