"""A debug shell in a pod: an ephemeral container that kubectl's configuration lets us add and attach to."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wherry.errors import HostUnable, InvalidDocument, WherryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.app.debug_options import DebugOptions, DebugReport
    from wherry.app.session import Session
    from wherry.cluster.kube_api import KubeServer
    from wherry.cluster.pod_debug import EphemeralState, PodTarget
    from wherry.runtime.debug.access import AccessCheck

Notice = Callable[[str], None]
_PATIENCE = 120.0
"""Seconds for a node to pull the toolbox and start it."""
_PAUSE = 0.25


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


def debug_pod(
    session: "Session",
    address: PodAddress,
    options: "DebugOptions",
    notice: Notice,
    *,
    out: Callable[[bytes], None] | None = None,
) -> int:
    """Add an ephemeral container, attach to it, and give its exit code.

    Args:
        session: where the toolbox and the registry's credentials are.
        address: the pod.
        options: how.
        notice: called with each limit that counts here.
        out: takes what the command prints; None: our standard output.

    Raises:
        KubeRefused: the API server does not allow it, in its own words.
        HostUnable: the container does not start.
    """
    from wherry.cluster.pod_debug import ephemeral_container, pod_target

    target = pod_target(address.document(), address.pod, address.container)
    if target.shares_processes:
        notice("the pod shares one pid namespace: process 1 is the pod's own, and `ps` shows the target's number")
    image = _image(session, target, options, notice)
    user, group = _user(session, target, options)
    argv = list(options.command) or ["sh"]
    container = ephemeral_container(target, image, argv, user=user, group=group, tty=options.terminal)
    address.server.add_ephemeral(address.namespace, address.pod, container)
    name = str(container["name"])
    state = _await(address, name)
    if state.code is None:
        _attend(address, name, options, notice, out)
        state = _await(address, name, end=True)
    return 1 if state.code is None else state.code


def check_pod(session: "Session", address: PodAddress, *, shown: str, toolbox: str = "") -> "DebugReport":
    """Say what may be done to a pod: what the API server answers when it is asked without doing it."""
    from wherry.app.debug_options import DebugOptions, DebugReport
    from wherry.cluster.pod_debug import pod_target

    target = pod_target(address.document(), address.pod, address.container)
    checks = tuple(_checks(session, address, target, DebugOptions(toolbox=toolbox)))
    found = f"pod {address.namespace}/{address.pod}, container {target.container} ({target.image})"
    return DebugReport(target=shown, kind="pod", found=found, pid=0, checks=checks)


def _checks(
    session: "Session", address: PodAddress, target: "PodTarget", options: "DebugOptions"
) -> "Iterator[AccessCheck]":
    from wherry.app.toolbox_image import expected_image
    from wherry.cluster.pod_debug import ephemeral_container
    from wherry.runtime.debug.access import AccessCheck, AccessState

    image = options.toolbox or expected_image(target.image)
    user, group = _user(session, target, options)
    container = ephemeral_container(target, image, ["sh"], user=user, group=group, tty=False)
    whom = "as the image's user" if user is None else f"as user {user}"
    try:
        address.server.add_ephemeral(address.namespace, address.pod, container, dry=True)
        yield AccessCheck("shell", AccessState.YES, f"{whom}, in an ephemeral container: the API server would take it")
    except WherryError as error:
        yield AccessCheck("shell", AccessState.NO, error.message, error.hint)
    yield AccessCheck("--root", AccessState.LIMITED, "user 0 without capabilities, where the namespace's policy allows")
    yield AccessCheck("files", AccessState.YES if not target.shares_processes else AccessState.LIMITED,
                      "/proc/1/root in the shell" if not target.shares_processes
                      else "/proc/PID/root in the shell: the pod shares one pid namespace")  # fmt: skip
    yield AccessCheck("trace", AccessState.NO, "the shell has no CAP_SYS_PTRACE and no tracer",
                      "run `wherry trace` on the node, as root")  # fmt: skip
    yield AccessCheck("left behind", AccessState.INFO, "an ephemeral container stays in the pod's record, ended")
    pushed = "as it is in its registry" if options.toolbox else "pushed next to the pod's image"
    yield AccessCheck("toolbox", AccessState.INFO, f"{image}, {pushed}")


def _image(session: "Session", target: "PodTarget", options: "DebugOptions", notice: Notice) -> str:
    if options.toolbox:
        return options.toolbox
    from wherry.app.toolbox_image import pushed_toolbox
    from wherry.app.toolboxes import usual_toolbox

    try:
        image = pushed_toolbox(session, usual_toolbox(session), target.image)
    except WherryError as error:
        raise HostUnable(
            f"pod/{target.pod}: the toolbox can't be pushed next to its image: {error.message}",
            hint="log in to its registry, or name an image that the cluster can pull: --toolbox REGISTRY/NAME:TAG",
        ) from error
    notice(f"toolbox: {image}")
    return image


def _user(session: "Session", target: "PodTarget", options: "DebugOptions") -> tuple[int | None, int | None]:
    """Say who to be: the target's user, which the pod names or else its image."""
    if options.root:
        return 0, 0
    if target.user is not None:
        return target.user, target.group
    from wherry.app.places import find
    from wherry.host.kernel import Kernel
    from wherry.store.images import image_for

    name = target.image_id.rpartition("://")[2] if "@" in target.image_id else target.image
    try:
        located = find(session, name)
        image = image_for(located.source, located.root, Kernel.of_host().platform, name)
    except (WherryError, InvalidDocument):
        return None, None
    user, _, group = image.config.runtime.user.partition(":")
    return (int(user) if user.isdecimal() else None), (int(group) if group.isdecimal() else None)


def _await(address: PodAddress, name: str, *, end: bool = False) -> "EphemeralState":
    """Wait until the container runs, or has ended."""
    from wherry.cluster.pod_debug import ephemeral_state

    due = time.monotonic() + _PATIENCE
    while True:
        state = ephemeral_state(address.document(), name)
        if state.failed:
            raise HostUnable(
                f"pod/{address.pod}: the ephemeral container does not start: {state.failed}",
                hint="check that the cluster can pull the toolbox, or name another: --toolbox REGISTRY/NAME:TAG",
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


def _attend(
    address: PodAddress, name: str, options: "DebugOptions", notice: Notice, out: Callable[[bytes], None] | None
) -> None:
    from wherry.cluster.attached import AttachedStreams

    socket = address.server.attach(address.namespace, address.pod, name, tty=options.terminal)
    streams = AttachedStreams(
        socket, out=out or (lambda chunk: _write(1, chunk)), errors=lambda chunk: _write(2, chunk)
    )
    if options.terminal:
        from wherry.sandbox.raw_terminal import raw_terminal

        with raw_terminal(streams.resize):
            streams.begin()
            streams.feed(0)
            streams.move()
    else:
        streams.begin()
        streams.end_input() if out is not None else streams.feed(0)
        streams.move()
    if streams.problem:
        notice(streams.problem)


def _write(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
