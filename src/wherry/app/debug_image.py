"""A debug shell in an image that does not run: its root in the sandbox, with a toolbox; what it writes is discarded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import HostUnable

if TYPE_CHECKING:
    from wherry.app.debug_options import DebugOptions
    from wherry.app.session import Session
    from wherry.runtime.debug.access import AccessCheck
    from wherry.runtime.debug.shell import DebugTools
    from wherry.sandbox.spec import Container
    from wherry.store.find import Located


def debug_image(
    session: "Session",
    located: "Located",
    tools: "DebugTools",
    options: "DebugOptions",
    notice: Callable[[str], None],
    *,
    out: Callable[[bytes], None] | None = None,
) -> int:
    """Run a shell or a command of a toolbox in an image's root, as the image's user; give its exit code.

    Args:
        session: where.
        located: the image.
        tools: the toolbox.
        options: how.
        notice: called with each limit of this machine that counts here.
        out: takes what the command prints; None: our standard output.

    Raises:
        HostUnable: this machine can't run it.
        NotVerified: wherry.toml requires a signature that it has not.
    """
    from wherry.app.containers import prepared
    from wherry.app.required import require_signed
    from wherry.runtime.debug.shell import tools_path
    from wherry.runtime.run import RunOptions, document
    from wherry.runtime.security import Security
    from wherry.sandbox.attach import run_container
    from wherry.sandbox.piped import run_piped

    require_signed(session, located)
    argv = tools.argv(options.command)
    wanted = RunOptions(
        entrypoint=argv[0],
        arguments=tuple(argv[1:]),
        environment={**options.environment, "PATH": tools_path(tools)},
        user="0:0" if options.root else None,
        stdin=True,
        terminal=options.terminal,
        security=Security(network="none"),
    )
    with prepared(session, located, wanted, notice=notice) as made:
        if made.place.emulator is not None:
            raise HostUnable(
                f"{located.name}: built for {made.image.platform}, and the toolbox is this machine's",
                hint=f"debug it on a {made.image.platform} machine",
            )
        job = document(made.spec, made.place)
        _lend(job, tools)
        if out is not None:
            return run_piped(job, out, why=made.why)
        return run_container(job, stdin=True, notice=notice, why=made.why)


def image_checks(session: "Session", located: "Located") -> "Iterator[AccessCheck]":
    """Say whether an image's root can be entered on this machine, and as whom."""
    from wherry.app.sandboxes import mapping_of
    from wherry.host.kernel import Kernel
    from wherry.runtime.debug.access import AccessCheck, AccessState
    from wherry.store.images import images_of

    kernel = Kernel.of_host()
    mapping = mapping_of(session)
    for answer in (kernel.sandbox(), kernel.user_namespaces(root=mapping.kind == "all")):
        if not answer.works:
            yield AccessCheck("shell", AccessState.NO, answer.reason, answer.remedy)
            return
    here = kernel.platform
    images = images_of(located.source, located.root)
    own = [one for one in images if one.platform.architecture == here.architecture]
    if not own:
        there = ", ".join(str(one.platform) for one in images)
        yield AccessCheck(
            "shell", AccessState.NO, f"built for {there}, and the toolbox is {here}", f"debug it on a {there} machine"
        )
        return
    user = own[0].config.runtime.user or "0"
    ids = "no subordinate IDs: all files are that user's" if mapping.kind == "one" else "with the owners of its files"
    yield AccessCheck("shell", AccessState.YES, f"as user {user}, in the sandbox of `wherry run` ({ids})")
    yield AccessCheck("--root", AccessState.YES, "user 0 of the sandbox")
    yield AccessCheck("files", AccessState.YES, "what is written is discarded")


def _lend(job: "Container", tools: "DebugTools") -> None:
    """Show the toolbox in the container."""
    from wherry.runtime.debug.shell import PLACE
    from wherry.sandbox.spec import HostMount, Mount

    if tools.program is not None:
        name = f"{PLACE}/{'busybox' if tools.names else tools.program.name}"
        job["argv"][0] = name
        program = HostMount(source=str(tools.program), destination=name, read_only=True, provided=False)
        job["volumes"] = [*job["volumes"], program]
        return
    stack = Mount(
        kind="stack", destination=PLACE, read_only=True, content=b"", source="", layers=_paths(tools.folders), inner="",
        mode=0, uid=0, gid=0, size=0, provided=False,
    )  # fmt: skip
    job["mounts"] = [*job["mounts"], stack]


def _paths(folders: tuple[Path, ...]) -> list[str]:
    return [str(folder) for folder in folders]
