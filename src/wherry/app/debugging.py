"""`wherry debug`: a shell next to a process, a container, an image or a pod; what is possible, asked before."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wherry.app.debug_options import DebugOptions, DebugReport
from wherry.errors import InvalidUsage, NotFound, WherryError

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.runtime.debug.access import AccessCheck, TargetAccess
    from wherry.runtime.debug.shell import DebugTools, ShellOptions
    from wherry.store.find import Located

Notice = Callable[[str], None]
KINDS = ("pid", "image", "pod", "run", "docker", "podman", "containerd", "runc", "crun")
"""What may stand before a slash, to say what a name is."""
POD = "pod/"


def debug(session: "Session", target: str, options: DebugOptions, *, notice: Notice = lambda _: None) -> int:
    """Open a shell next to a target, or run one command there; give its exit code.

    The standard streams are this process's. Nothing is written to the target, and nothing of ours is left there.

    Args:
        session: where images and toolboxes are.
        target: a PID, a container's name or id, an image, or `pod/NAME[/CONTAINER]`; `KIND/NAME` says which it is.
        options: how.
        notice: called with each limit of this machine that counts here.

    Raises:
        NotFound: there is no such target.
        HostUnable: the kernel, or who owns the target, does not allow it; the message says why.
    """
    from wherry.app.toolboxes import toolbox_of

    if target.startswith(POD):
        from wherry.app.debug_pod import debug_pod
        from wherry.app.pod_run import pod_address

        name = target.removeprefix(POD)
        address = pod_address(session, name, namespace=options.namespace, context=options.context)
        return debug_pod(session, address, options, notice)
    found = find_target(session, target)
    with toolbox_of(session, options.toolbox) as tools:
        if isinstance(found, ImageTarget):
            from wherry.app.debug_image import debug_image

            return debug_image(session, found.located, tools, options, notice)
        return _in_process(found.access, tools, options, notice)


@dataclass(frozen=True, slots=True)
class ProcessTarget:
    """A process of this machine."""

    access: "TargetAccess"
    words: str


@dataclass(frozen=True, slots=True)
class ImageTarget:
    """An image, which does not run."""

    located: "Located"


def find_target(session: "Session", text: str) -> ProcessTarget | ImageTarget:
    """Find what a user means by a target.

    Raises:
        NotFound: there is none.
        InvalidUsage: several containers have that name.
    """
    kind, slash, name = text.partition("/")
    if not (slash and kind in KINDS and name):
        kind, name = ("pid", text) if text.isdecimal() else ("", text)
    if kind == "pid":
        if not name.isdecimal():
            raise InvalidUsage(f"{text}: not a process id", hint="give a number, such as pid/4711")
        return _process(int(name), f"process {name}")
    if kind != "image":
        from wherry.app.found_containers import one_container

        found = one_container(session, name, kind)
        if found is not None:
            return _process(found.pid, found.words)
    from wherry.app.places import find

    try:
        return ImageTarget(find(session, name))
    except NotFound as error:
        raise NotFound(
            f"{text}: no such container is running, and no such image is stored",
            hint="give a PID, a container's name or id, pod/NAME, or an image; `wherry images` lists the stored ones",
        ) from error


def check_debug(session: "Session", target: str, options: DebugOptions) -> DebugReport:
    """Say what may be done to a target, and do nothing.

    Args:
        session: where.
        target: as `debug` takes it.
        options: the toolbox; for a pod, its namespace and context.

    Raises:
        NotFound: there is no such target.
    """
    toolbox = options.toolbox
    if target.startswith(POD):
        from wherry.app.debug_pod import check_pod
        from wherry.app.pod_run import pod_address

        name = target.removeprefix(POD)
        address = pod_address(session, name, namespace=options.namespace, context=options.context)
        return check_pod(session, address, shown=target, toolbox=toolbox)
    found = find_target(session, target)
    tools = _toolbox_check(session, toolbox)
    if isinstance(found, ImageTarget):
        from wherry.app.debug_image import image_checks

        checks = (*image_checks(session, found.located), tools)
        return DebugReport(target=target, kind="image", found=f"image {found.located.name}", pid=0, checks=checks)
    access = found.access
    return DebugReport(
        target=target,
        kind="process",
        found=f"{found.words}: {access.process.name}",
        pid=access.process.pid,
        checks=(access.shell, access.root, access.files, *access.trace(), *access.context(), tools),
    )


def _toolbox_check(session: "Session", asked: str) -> "AccessCheck":
    from wherry.app.toolboxes import expected_toolbox
    from wherry.runtime.debug.access import AccessCheck, AccessState

    try:
        return AccessCheck("toolbox", AccessState.YES, expected_toolbox(session, asked))
    except WherryError as error:
        return AccessCheck("toolbox", AccessState.NO, error.message, error.hint)


def _process(pid: int, words: str) -> ProcessTarget:
    from wherry.runtime.debug.access import TargetAccess
    from wherry.runtime.debug.process import read_process

    return ProcessTarget(TargetAccess.of(read_process(pid)), words)


def _in_process(access: "TargetAccess", tools: "DebugTools", options: DebugOptions, notice: Notice) -> int:
    from wherry.runtime.debug.shell import enter_job
    from wherry.sandbox.attach import run_container

    job = enter_job(access, tools, _shell(options))
    return run_container(job, stdin=True, notice=notice, why=lambda: why_refused_to_enter(access))


def why_refused_to_enter(access: "TargetAccess") -> str:
    """Say what may be behind a refusal that was not foreseen."""
    from wherry.runtime.debug.process import read_process

    try:
        read_process(access.process.pid)
    except NotFound:
        return "the target ended meanwhile"
    return f"`wherry debug --check {access.process.pid}` says what is possible"


def _shell(options: DebugOptions) -> "ShellOptions":
    from wherry.runtime.debug.shell import ShellOptions

    return ShellOptions(
        command=options.command, root=options.root, terminal=options.terminal, environment=options.environment
    )
