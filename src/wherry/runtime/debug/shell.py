"""A shell in a process's namespaces: the request to the launcher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wherry.errors import HostUnable
from wherry.runtime.debug.access import AccessState, TargetAccess
from wherry.sandbox.debug_spec import DebugEntry

PLACE = "/.wherry"
"""Where a toolbox folder is shown."""
_SUB = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
_USUAL = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOST_CAPABILITIES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugTools:
    """A toolbox: a static program that is many, one that is itself, or a folder."""

    words: str
    """For people: what it is and where it comes from."""
    program: Path | None = None
    """On this machine."""
    names: tuple[str, ...] = ()
    """What the program can be called as, if it is many (busybox)."""
    folders: tuple[Path, ...] = ()
    """A tree of layers, base first."""

    def argv(self, command: Sequence[str]) -> list[str]:
        """Give the words that run a command, or a shell."""
        if self.folders:
            return list(command) or ["sh"]
        if not self.names:
            return [self.program.name if self.program else "", *command]
        # The shell prefers its own programs, then looks at PATH: so a command may be the target's too.
        return ["busybox", "sh", *(["-c", 'exec "$@"', "sh", *command] if command else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellOptions:
    """What a shell is to be."""

    command: tuple[str, ...] = ()
    """Empty: an interactive shell."""
    root: bool = False
    terminal: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def tools_path(tools: DebugTools) -> str:
    """Give the PATH of a shell: a toolbox folder comes first."""
    folders = [PLACE, *(f"{PLACE}/{folder}" for folder in _SUB)] if tools.folders else []
    return ":".join([*folders, _USUAL, f"{PLACE}/bin"])


def enter_job(access: TargetAccess, tools: DebugTools, options: ShellOptions) -> DebugEntry:
    """Write down what the launcher is asked.

    Raises:
        HostUnable: it would be refused; the message says why.
    """
    process = access.process
    asked = (access.shell, *((access.root,) if options.root else ()))
    for answer in asked:
        if answer.state is AccessState.NO:
            what = "no shell as root" if answer.name == "--root" else "no shell"
            raise HostUnable(f"{process.name} ({process.pid}): {what}: {answer.found}", hint=answer.remedy)
    if tools.folders and not access.mounts:
        raise HostUnable(
            f"{process.name} ({process.pid}): a toolbox folder is mounted, which takes CAP_SYS_ADMIN",
            hint="use a static program as --toolbox",
        )
    root = options.root
    permitted = process.capabilities.permitted if process.inner_uid == 0 else 0
    wanted = ((1 << _MOST_CAPABILITIES) - 1 if access.rules else process.capabilities.bounding) if root else permitted
    return DebugEntry(
        task="debug",
        process=process.pid,
        started=process.started,
        program=str(tools.program or ""),
        names=list(tools.names),
        tools=list(map(str, tools.folders)),
        argv=tools.argv(options.command),
        environment={"PATH": tools_path(tools), "HOME": "/", **options.environment},
        uid=0 if root else process.inner_uid,
        gid=0 if root else process.inner_gid,
        groups=[] if root else list(process.inner_groups),
        own_ids=access.mounts,
        mounts=access.mounts,
        capabilities=[number for number in range(_MOST_CAPABILITIES) if wanted >> number & 1],
        bounded=access.mounts,
        filtered=access.mounts and not access.rules,
        no_new_privileges=process.no_new_privileges and not root,
        terminal=options.terminal,
    )
