"""A command in an ephemeral container next to one of a pod: added, attached to, and its exit code."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wherry.app.pod_user import pod_user
from wherry.errors import HostUnable

if TYPE_CHECKING:
    from wherry.app.debug_options import DebugOptions
    from wherry.app.session import Session
    from wherry.cluster.kube_api import KubeServer
    from wherry.cluster.pod_debug import EphemeralState, PodRights, PodTarget

Notice = Callable[[str], None]
_PATIENCE = 120.0
"""Seconds for a node to pull the toolbox and start it."""
_PAUSE = 0.25
_AGAINST_IT = (403, 422)
"""HTTP: admission, or the API server's own rules, are against a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodAddress:
    """Where a pod is."""

    server: "KubeServer"
    namespace: str
    pod: str
    container: str
    """Empty: its first."""

    def document(self) -> dict[str, Any]:
        """Read the pod."""
        return self.server.pod(self.namespace, self.pod)


def pod_address(session: "Session", name: str, *, namespace: str = "", context: str = "") -> PodAddress:
    """Find the API server of a pod.

    Args:
        session: KUBECONFIG, or ~/.kube/config.
        name: `NAME` or `NAME/CONTAINER`.
        namespace: empty: the context's.
        context: empty: the one in use.

    Raises:
        NotFound, InvalidSettings: there is no usable configuration.
    """
    from wherry.app.clusters import cluster

    found = cluster(session, context=context, namespace=namespace)
    pod, _, container = name.partition("/")
    return PodAddress(server=found.server, namespace=found.namespace, pod=pod, container=container)


@dataclass(frozen=True, slots=True)
class PodRun:
    """What runs next to a container of a pod."""

    image: str
    argv: list[str]
    options: "DebugOptions"
    notice: Notice
    out: Callable[[bytes], None] | None = None
    """Takes what it prints; None: our standard output."""
    waits: bool = False
    """Whether the command itself waits for a line before it begins, and ends with its input; it is given no more."""


def run_beside(session: "Session", address: PodAddress, target: "PodTarget", run: PodRun) -> int:
    """Add an ephemeral container that runs a command, attach to it, and give its exit code.

    Raises:
        KubeRefused, HostUnable: as of `debug_pod`.
    """
    container = _container(session, address, target, run)
    address.server.add_ephemeral(address.namespace, address.pod, container)
    name = str(container["name"])
    state = _await(address, name)
    if state.code is None:
        _attend(address, name, run)
        state = _await(address, name, end=True)
    return 1 if state.code is None else state.code


def _container(session: "Session", address: PodAddress, target: "PodTarget", run: PodRun) -> dict[str, Any]:
    """Write the container; of root, with the most that the API server takes."""
    from wherry.cluster.pod_debug import PodRights, ephemeral_container

    terminal = run.options.terminal
    if not run.options.root:
        user, group = pod_user(session, target)
        return ephemeral_container(target, run.image, run.argv, user=user, group=group, tty=terminal, waits=run.waits)
    rights = root_rights(address, target, run.image)
    if rights is PodRights.ROOT:
        run.notice("--root: the namespace takes no SYS_PTRACE: the files and the memory of other users stay closed")
    return ephemeral_container(
        target, run.image, run.argv, user=0, group=0, tty=terminal, rights=rights, waits=run.waits
    )


def root_rights(address: PodAddress, target: "PodTarget", image: str) -> "PodRights":
    """Find out, by dry runs, how much of root the API server takes.

    Raises:
        HostUnable: no user 0 at all; the message says who refuses it.
    """
    from wherry.cluster.kube_errors import KubeRefused
    from wherry.cluster.pod_debug import PodRights, ephemeral_container

    refusals = []
    for rights in (PodRights.TRACER, PodRights.ROOT):
        container = ephemeral_container(target, image, ["sh"], user=0, group=0, tty=False, rights=rights)
        try:
            address.server.add_ephemeral(address.namespace, address.pod, container, dry=True)
        except KubeRefused as error:
            if error.status not in _AGAINST_IT:
                raise
            refusals.append(error)
            continue
        return rights
    raise HostUnable(
        f"--root: {refusals[-1].message}", hint="leave --root out: the shell is then the target's own user"
    ) from refusals[-1]


def _await(address: PodAddress, name: str, *, end: bool = False) -> "EphemeralState":
    """Wait until the container runs, or has ended."""
    from wherry.cluster.pod_debug import ephemeral_state

    due = time.monotonic() + _PATIENCE
    while True:
        state = ephemeral_state(address.document(), name)
        if state.failed:
            raise HostUnable(
                f"pod/{address.pod}: the ephemeral container does not start: {state.failed}",
                hint=_start_hint(state.failed),
            )
        if state.code is not None or (state.running and not end):
            return state
        if time.monotonic() > due:
            if end:
                return state
            word = state.waiting or "no word from the node"
            raise HostUnable(
                f"pod/{address.pod}: the ephemeral container does not start: {word}",
                hint=f"`kubectl describe pod {address.pod}` may say more",
            )
        time.sleep(_PAUSE)


def _start_hint(failed: str) -> str:
    if "non-root" in failed:
        return "the pod asks for a user other than 0, and the toolbox names none: set runAsUser in the pod"
    return "check that the cluster can pull the toolbox, or name another: --toolbox REGISTRY/NAME:TAG"


def _attend(address: PodAddress, name: str, run: PodRun) -> None:
    from wherry.cluster.attached import AttachedStreams

    socket = address.server.attach(address.namespace, address.pod, name, tty=run.options.terminal)
    streams = AttachedStreams(
        socket, out=run.out or (lambda chunk: _write(1, chunk)), errors=lambda chunk: _write(2, chunk)
    )
    if run.options.terminal:
        from wherry.sandbox.raw_terminal import raw_terminal

        with raw_terminal(streams.resize):
            streams.begin()
            streams.feed(0)
            streams.move()
    else:
        streams.begin()
        if not run.waits:
            streams.end_input() if run.out is not None else streams.feed(0)
        streams.move()
    if streams.problem:
        run.notice(streams.problem)


def _write(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
