"""A debug shell in a pod: an ephemeral container that kubectl's configuration lets us add and attach to."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from wherry.app.pod_run import Notice, PodAddress, PodRun, root_rights, run_beside
from wherry.app.pod_user import pod_user
from wherry.errors import HostUnable, WherryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.app.debug_options import DebugOptions, DebugReport
    from wherry.app.session import Session
    from wherry.cluster.pod_debug import PodTarget
    from wherry.runtime.debug.access import AccessCheck


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
    from wherry.cluster.pod_debug import pod_target

    target = pod_target(address.document(), address.pod, address.container)
    if target.shares_processes:
        notice("the pod shares one pid namespace: process 1 is the pod's own, and `ps` shows the target's number")
    image = _image(session, target, options, notice)
    argv = list(options.command) or ["sh"]
    return run_beside(session, address, target, PodRun(image, argv, options, notice, out))


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
    from wherry.app.pod_trace import trace_checks
    from wherry.app.toolbox_image import expected_image
    from wherry.cluster.pod_debug import PodRights, ephemeral_container
    from wherry.runtime.debug.access import AccessCheck, AccessState

    image = options.toolbox or expected_image(target.image)
    user, group = pod_user(session, target)
    container = ephemeral_container(target, image, ["sh"], user=user, group=group, tty=False)
    whom = "as the image's user" if user is None else f"as user {user}, group {0 if group is None else group}"
    try:
        address.server.add_ephemeral(address.namespace, address.pod, container, dry=True)
        yield AccessCheck("shell", AccessState.YES, f"{whom}, in an ephemeral container: the API server would take it")
    except WherryError as error:
        yield AccessCheck("shell", AccessState.NO, error.message, error.hint)
    try:
        rights = root_rights(address, target, image)
        able = AccessState.YES if rights is PodRights.TRACER else AccessState.LIMITED
        yield AccessCheck("--root", able, f"{rights.value}: the API server would take it")
    except WherryError as error:
        yield AccessCheck("--root", AccessState.NO, error.message.removeprefix("--root: "), error.hint)
    yield _files_check(target, user, group)
    yield from trace_checks(target)
    yield AccessCheck("left behind", AccessState.INFO, "an ephemeral container stays in the pod's record, ended")
    pushed = "as it is in its registry" if options.toolbox else "pushed next to the pod's image"
    yield AccessCheck("toolbox", AccessState.INFO, f"{image}, {pushed}")


def _files_check(target: "PodTarget", user: int | None, group: int | None) -> "AccessCheck":
    from wherry.runtime.debug.access import AccessCheck, AccessState

    if user is None or group is None:
        return AccessCheck(
            "files", AccessState.LIMITED,
            "the target's user or group is not known: the pod does not say it, and its image can't be read",
            "set runAsUser and runAsGroup in the pod, or log in to the image's registry",
        )  # fmt: skip
    if target.shares_processes:
        found = "/proc/PID/root in the shell: the pod shares one pid namespace"
        return AccessCheck("files", AccessState.LIMITED, found)
    return AccessCheck("files", AccessState.YES, "/proc/1/root in the shell")


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
