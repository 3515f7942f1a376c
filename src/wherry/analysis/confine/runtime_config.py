"""What a runtime has to be told, since an image can't say it: a `config.json` of OCI, fields of a Kubernetes pod.

An image has no device nodes, mounts or capabilities: whoever starts it decides them. `--no-dev` gives the container a
/dev with null and zero only. A runtime makes six nodes in /dev whatever the configuration lists, unless /dev is a
bind mount: then it leaves it alone (runc and crun, as tried in tests/peers/test_confine.py).

Sources: OCI runtime-spec v1.2.1, config.md and config-linux.md ("Default Devices"); proc(5), "subset=pid" (Linux 5.8);
Kubernetes v1.34, PodSpec.
"""

import posixpath
from dataclasses import dataclass
from typing import Any

from wherry.errors import InvalidUsage
from wherry.oci.config import RuntimeConfig

_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_NODES = ("null", "zero")
_HIGHEST = 2**32 - 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tightness:
    """How tight a container is."""

    no_dev: bool = False
    """Whether /dev has null and zero, and nothing else."""
    dev: str = "/run/wherry/dev"
    """The directory of the host that is such a /dev: two empty files."""
    only_processes: bool = False
    """Whether /proc has processes and nothing else: no /proc/mounts, /proc/cpuinfo or /proc/sys."""
    host_network: bool = False
    temporary: bool = False
    """Whether the program gets a /tmp that it can write to."""


def oci_config(runtime: RuntimeConfig, how: Tightness, rootfs: str = "rootfs") -> dict[str, Any]:
    """Give a whole `config.json` for an image: no capability, no new privilege, a root that is only read.

    Args:
        runtime: the image's settings.
        how: how tight.
        rootfs: the unpacked image, relative to the bundle.

    Raises:
        InvalidUsage: its user is a name, which a runtime does not look up; or it has no command.
    """
    uid, gid = _ids(runtime.user)
    argv = [*(runtime.entrypoint or ()), *(runtime.cmd or ())]
    if not argv:
        raise InvalidUsage("the image has no command", hint="set one with --entrypoint when it is built")
    spaces = ["pid", "ipc", "uts", "mount", *([] if how.host_network else ["network"])]
    nothing: list[str] = []
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": gid},
            "args": argv,
            "env": list(runtime.env or ()),
            "cwd": runtime.working_dir or "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), nothing),
            "noNewPrivileges": True,
        },
        "root": {"path": rootfs, "readonly": True},
        "mounts": list(_mounts(how)),
        "linux": {
            "namespaces": [{"type": space} for space in spaces],
            "maskedPaths": [path for path in _MASKED if not (how.only_processes and path.startswith("/proc"))],
            "readonlyPaths": [] if how.only_processes else list(_READ_ONLY),
        },
    }


def _mounts(how: Tightness) -> list[dict[str, Any]]:
    plain = ["nosuid", "noexec", "nodev"]
    proc = [*plain, *(["subset=pid"] if how.only_processes else [])]
    mounts: list[dict[str, Any]] = [{"destination": "/proc", "type": "proc", "source": "proc", "options": proc}]
    if how.no_dev:
        mounts.append(
            {"destination": "/dev", "type": "bind", "source": how.dev, "options": ["bind", "ro", "nosuid", "noexec"]}
        )
        mounts += [
            {
                "destination": f"/dev/{node}",
                "type": "bind",
                "source": f"/dev/{node}",
                "options": ["bind", "rw", "nosuid", "noexec"],
            }
            for node in _NODES
        ]
    else:
        small = ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]
        mounts.append({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": small})
    mounts.append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*plain, "ro"]})
    if how.temporary:
        mounts.append(
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [*plain, "mode=1777", "size=64m"]}  # noqa: S108 - of the container
        )
    return mounts


def dev_lines(how: Tightness) -> list[str]:
    """Write the commands that make the /dev of a host once, for any number of containers."""
    if not how.no_dev:
        return []
    files = " ".join(posixpath.join(how.dev, node) for node in _NODES)
    return [f"mkdir -p {how.dev}", f"touch {files}"]


def pod_lines(runtime: RuntimeConfig, how: Tightness) -> list[str]:
    """Write what a pod's template has to say, as YAML to be merged into it.

    Raises:
        InvalidUsage: the image's user is a name, which `runAsNonRoot` can't judge.
    """
    uid, gid = _ids(runtime.user)
    lines = ["spec:", "  automountServiceAccountToken: false", "  enableServiceLinks: false", "  securityContext:"]
    lines += [f"    runAsNonRoot: {str(uid != 0).lower()}", f"    runAsUser: {uid}", f"    runAsGroup: {gid}"]
    lines += ["    seccompProfile: { type: RuntimeDefault }", "  containers:", "    - name: app # the name of yours"]
    lines += [
        "      securityContext:",
        "        allowPrivilegeEscalation: false",
        "        readOnlyRootFilesystem: true",
    ]
    lines += ["        capabilities: { drop: [ALL] }", "        procMount: Default"]
    if how.temporary:
        lines += ["      volumeMounts:", "        - { name: tmp, mountPath: /tmp }"]
        lines += ["  volumes:", "    - { name: tmp, emptyDir: { medium: Memory, sizeLimit: 64Mi } }"]
    if how.no_dev:
        lines.append("# --no-dev: no field of a pod changes /dev; its runtime always makes null, zero, full, random,")
        lines.append("# urandom, tty, ptmx, pts, shm and mqueue there")
    if how.only_processes:
        lines.append("# --no-proc-mounts: no field of a pod mounts a smaller /proc; procMount only shows more of it")
    return lines


def _ids(user: str) -> tuple[int, int]:
    name, _, group = user.partition(":")
    name, group = name or "0", group or name or "0"
    if not (name.isdecimal() and group.isdecimal()) or max(int(name), int(group)) > _HIGHEST:
        raise InvalidUsage(
            f"user {user!r}: a name, and a runtime needs a number",
            hint="build it with --user 65532:65532",
        )
    return int(name), int(group)
