"""A whole run of a worker: its task is done, or its result says who is at fault."""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.cluster.build_documents import SOURCE_AT_FAULT, VERSION, TaskResult
from wherry.errors import Cancelled, CannotWrite, WherryError

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.app.worker_faults import Surroundings

_CODE_OF_A_BUG = 70
"""EX_SOFTWARE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCall:
    """What a worker is asked for."""

    artifact: str
    """`REPOSITORY@sha256:…`."""
    number: int
    """The completion index."""
    folder: Path
    """Where sources are unpacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRun:
    """What became of it."""

    result: TaskResult
    exit_code: int


def run_task(session: "Session", call: WorkerCall) -> WorkerRun:
    """Do a task; whatever happens, there is a result.

    Args:
        session: where to keep blobs and caches, and who the pod is in registries.
        call: which task.
    """
    from wherry.app.worker import do_task, open_task

    platform = ""
    try:
        pod = open_task(session, call.artifact, call.number)
        platform = pod.task.platform
        if pod.build.kind == "dockerfile":
            from wherry.app.pod_security import check_namespaces

            check_namespaces(session)
        return WorkerRun(result=do_task(session, pod, call.folder), exit_code=0)
    except WherryError as error:
        return _failed(session, call, platform, error)
    except (OSError, MemoryError) as error:
        number = getattr(error, "errno", None)
        words = "the memory is used up" if isinstance(error, MemoryError) else str(error)
        more = "give the pod's emptyDir a larger sizeLimit" if number == errno.ENOSPC else "look at the pod's log"
        return _failed(session, call, platform, CannotWrite(words, hint=more))
    except Exception as error:  # a pod that ends without a result says nothing at all
        if session.environment.get("WHERRY_DEBUG"):
            raise
        found = WherryError(f"internal error: {type(error).__name__}: {error}", hint="this is a bug; please report it")
        found.exit_code = _CODE_OF_A_BUG
        return _failed(session, call, platform, found)


def ended(call: WorkerCall) -> TaskResult:
    """Give the result of a worker that was told to end."""
    from wherry.app.worker_faults import Surroundings

    return _result(call, "", Cancelled(), Surroundings())[0]


def _failed(session: "Session", call: WorkerCall, platform: str, error: WherryError) -> WorkerRun:
    result, code = _result(call, platform, error, _surroundings(session))
    return WorkerRun(result=result, exit_code=code)


def _result(call: WorkerCall, platform: str, error: WherryError, around: "Surroundings") -> tuple[TaskResult, int]:
    from wherry.app.worker_faults import fault_of

    fault = fault_of(error, around)
    result = TaskResult(
        version=VERSION,
        ok=False,
        task=max(call.number, 0),
        platform=platform,
        fault=fault.fault,
        message=fault.message,
        hint=fault.hint,
    )
    code = error.exit_code if error.exit_code not in {0, SOURCE_AT_FAULT} else 1
    return result, SOURCE_AT_FAULT if fault.fault == "source" else code


def _surroundings(session: "Session") -> "Surroundings":
    from wherry.app.worker_faults import Surroundings
    from wherry.host.cgroups import memory_kills, own_cgroup

    own = own_cgroup()
    return Surroundings(memory=own.memory, killed=memory_kills() > 0, environment=session.environment)
