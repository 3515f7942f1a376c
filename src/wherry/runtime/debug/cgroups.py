"""The processes of a container, found by its id in their control groups: no runtime's folder is read.

Every runtime of Kubernetes names a container's control group after its id (`…/ID`, `cri-containerd-ID.scope`,
`crio-ID.scope`), and /proc shows it for the processes of all users, those of nested machines (kind, a node in
namespaces of its own) included.

Sources: cgroups(7), "/proc/[pid]/cgroup"; containerd 1.7, pkg/cri/server/helpers_linux.go; CRI-O 1.30, cgmgr.
"""

import re
from pathlib import Path

_ID = re.compile(r"[0-9a-f]{32,64}")


def container_process(container: str, proc: Path = Path("/proc")) -> int | None:
    """Find a container's first process.

    Args:
        container: its id.
        proc: where processes are listed.

    Returns:
        Its number on this machine; None: it has none on this machine.
    """
    if not _ID.fullmatch(container):
        return None
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                if container in folder.joinpath("cgroup").read_text(errors="replace"):
                    found[int(folder.name)] = _parent(folder)
            except OSError:
                continue  # it ended meanwhile
    return min((process for process, parent in found.items() if parent not in found), default=None)


def _parent(folder: Path) -> int:
    """Read who started a process: the second field after its name, which may have any character."""
    fields = folder.joinpath("stat").read_text(errors="replace").rpartition(")")[2].split()
    return int(fields[1])
