"""`wherry trace pod/…`: a pod's process traced on its node, or from an ephemeral container with wherry in it."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from wherry.errors import HostUnable, InvalidUsage

if TYPE_CHECKING:
    from wherry.app.debug_options import DebugOptions
    from wherry.app.pod_run import PodAddress
    from wherry.app.session import Session
    from wherry.cluster.pod_debug import PodTarget
    from wherry.runtime.debug.access import AccessCheck
    from wherry.sandbox.spec import TraceEvent


def trace_pod(
    session: "Session",
    address: "PodAddress",
    options: "DebugOptions",
    hear: "Callable[[TraceEvent], None]",
    *,
    notice: Callable[[str], None],
    seconds: float = 0.0,
) -> int:
    """Trace what runs in a container of a pod; it goes on afterwards.

    On the pod's node it is traced there, by its number. Elsewhere an ephemeral container does it, with the
    image that `options.toolbox` names, which has wherry; it prints the same lines to our standard output.

    Args:
        session: where.
        address: the pod.
        options: the image; with `root`, as user 0 with SYS_PTRACE.
        hear: called with each event where it is traced on this machine.
        notice: called with what is worth knowing.
        seconds: how long; 0: until it ends, or a KeyboardInterrupt.

    Raises:
        HostUnable: it runs on another machine and no image was named, or it does not run.
        KubeRefused: the API server does not allow it, in its own words.
        SandboxRefused: it can't be traced; the hint says why.
    """
    from wherry.cluster.pod_debug import pod_target
    from wherry.runtime.debug.cgroups import container_process

    target = pod_target(address.document(), address.pod, address.container)
    process = None if options.toolbox else container_process(target.container_id)
    if process is not None:
        from wherry.runtime.trace.attached import trace_process

        notice(f"pod/{target.pod}: container {target.container} is process {process} of this machine")
        trace_process(process, hear, seconds=seconds)
        return 0
    if not target.running:
        raise HostUnable(f"pod/{target.pod}: container {target.container} does not run", hint="kubectl get pods")
    if not options.toolbox:
        raise HostUnable(
            f"pod/{target.pod}: it runs on node {target.node}, not on this machine",
            hint="run this on the node, as root; or name an image with wherry: --toolbox REGISTRY/NAME:TAG",
        )
    if target.shares_processes:
        raise InvalidUsage(
            f"pod/{target.pod}: it shares one pid namespace, in which its containers have no fixed number",
            hint=f"wherry debug --toolbox {options.toolbox} pod/{target.pod}, then trace its PID",
        )
    from wherry.app.pod_run import PodRun, run_beside

    limit = ["--for", f"{seconds:g}s"] if seconds else []
    run = PodRun(options.toolbox, ["wherry", "trace", "--attached", *limit, "1"], options, notice, waits=True)
    try:
        return run_beside(session, address, target, run)
    except KeyboardInterrupt:
        return 0  # the tracer there ends with the connection, and the target goes on


def trace_checks(target: "PodTarget") -> "Iterator[AccessCheck]":
    """Say whether a pod's process can be traced: on this machine, if it runs here, or from within the pod."""
    from wherry.runtime.debug.access import AccessCheck, AccessState, TargetAccess
    from wherry.runtime.debug.cgroups import container_process
    from wherry.runtime.debug.process import read_process

    process = container_process(target.container_id)
    if process is not None:
        yield next(iter(TargetAccess.of(read_process(process)).trace()))
        return
    where = f"it runs on node {target.node}" if target.node else "it runs on no node yet"
    yield AccessCheck(
        "trace", AccessState.LIMITED, f"{where}, not on this machine",
        "on the node, as root; or from within: wherry trace --toolbox IMAGE-WITH-WHERRY pod/NAME (with Yama: --root)",
    )  # fmt: skip
