"""The launcher: a program that puts a sandbox together and lives as long as it.

Started as `python -I -S launcher.py` with the descriptors of `line.py` and an empty environment. One
thread, nothing imported that starts slowly; it never outlives its caller.
"""

import errno
import marshal
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from wherry.sandbox import calls, identity
from wherry.sandbox.line import FAILED, FRAMES, JOB, LINE, describe, tell

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from wherry.sandbox.spec import Delete, Unpack


def main() -> int:
    """Do one job; give the exit code."""
    calls.close_from(FRAMES + 1)
    for descriptor in (JOB, LINE, FRAMES):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keyword
    with os.fdopen(JOB, "rb") as stream:
        job = marshal.load(stream)  # noqa: S302 - the caller is our own process
    try:
        if job["task"] == "run":
            identity.enter(job["ids"], _container)
            os.close(FRAMES)
            code: int = _container().run(job)
            return code
        identity.enter(job["ids"])
        return _trees(job)
    except identity.NoNamespace as error:
        tell({"error": str(error.strerror), "stage": "namespace"})
    except OSError as error:
        stage = "namespace" if job["task"] == "run" else "disk" if error.errno in _FULL else "layer"
        tell({"error": describe(error), "stage": stage})
    return FAILED


def _container() -> "ModuleType":
    from wherry.sandbox import container

    return container


def _trees(job: "Unpack | Delete") -> int:
    from wherry.sandbox import trees

    if job["task"] == "delete":
        trees.delete(job)
        return 0
    with os.fdopen(FRAMES, "rb") as frames:
        depends, size = trees.unpack(job, frames)
    tell({"depends": depends, "bytes": size})
    return 0


if __name__ == "__main__":
    os._exit(main())
