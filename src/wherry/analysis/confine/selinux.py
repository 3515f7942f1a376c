"""An SELinux policy in CIL, as udica writes it: what has a label of its own, next to what every container may.

An image's files all have one label (container_file_t, or container_ro_file_t), so no path of them is in it: ports,
/proc, /sys and capabilities are. Use AppArmor to confine by path.

Sources: SELinux CIL reference; udica 0.2, templates; reference policy, corenetwork.te.in (types of ports).
"""

from collections.abc import Iterator

from wherry.analysis.confine.evidence import PolicyEvidence

_PORTS = {
    22: "ssh_port_t", 25: "smtp_port_t", 53: "dns_port_t", 80: "http_port_t", 443: "http_port_t", 488: "http_port_t",
    3306: "mysqld_port_t", 5432: "postgresql_port_t", 6379: "redis_port_t", 8008: "http_port_t", 8009: "http_port_t",
    8080: "http_cache_port_t", 8118: "http_cache_port_t", 8443: "http_port_t", 9000: "http_port_t",
    11211: "memcache_port_t", 27017: "mongod_port_t",
}  # fmt: skip
_RANGES = (
    (599, "reserved_port_t"),
    (1023, "hi_reserved_port_t"),
    (32767, "unreserved_port_t"),
    (60999, "ephemeral_port_t"),
)
_FILE_RIGHTS = "( getattr ioctl lock open read )"
_FOLDER_RIGHTS = "( getattr ioctl lock open read search )"
_LABELS = (
    ("/proc/sys/net", "sysctl_net_t"), ("/proc/sys/kernel", "sysctl_kernel_t"), ("/proc/sys/vm", "sysctl_vm_t"),
    ("/proc/sys/fs", "sysctl_fs_t"), ("/proc/net", "proc_net_t"), ("/sys/fs/cgroup", "cgroup_t"), ("/sys", "sysfs_t"),
)  # fmt: skip
"""Of what is below these, the first that fits; a process's own folder in /proc has the process's label."""


def selinux_policy(evidence: PolicyEvidence) -> str:
    """Write the policy; load it with `semodule -i FILE /usr/share/udica/templates/{base,net}_container.cil`."""
    name = evidence.name.replace("-", "_")
    lines = [f"; {_comment(line)}" for line in evidence.described()]
    lines += [f"; never exercised: {_comment(line)}" for line in evidence.unexercised()]
    lines += [f"(block {name}", "    (blockinherit container)"]
    lines += [f"    {line}" for line in _rules(evidence)]
    return "\n".join((*lines, ")", ""))


def _rules(evidence: PolicyEvidence) -> Iterator[str]:
    network = [one for one in evidence.trace.sockets if not one.address.startswith("unix:")]
    if network:
        yield "(blockinherit restricted_net_container)"
    capabilities = set()
    found = set()
    for one in network:
        port = one.address.rpartition(":")[2]
        if not port.isdecimal() or not int(port):
            continue
        kind = "udp_socket" if one.use == "bind" else "tcp_socket"
        right = "name_connect" if one.use == "connect" else "name_bind"
        found.add((port_type(int(port)), kind, right))
        if one.use != "connect" and evidence.root and int(port) < 1024:  # noqa: PLR2004 - the first free port
            capabilities.add("net_bind_service")
    if capabilities:
        yield f"(allow process process ( capability ( {' '.join(sorted(capabilities))} )))"
    for label, kind, right in sorted(found):
        yield f"(allow process {label} ( {kind} ( {right} )))"
    for label in _labels(evidence):
        yield f"(allow process {label} ( dir {_FOLDER_RIGHTS}))"
        yield f"(allow process {label} ( file {_FILE_RIGHTS}))"


def port_type(port: int) -> str:
    """Give the type that the reference policy has for a TCP port; `semanage port -l` shows a machine's own."""
    if port in _PORTS:
        return _PORTS[port]
    return next((kind for most, kind in _RANGES if port <= most), "unreserved_port_t")


def _labels(evidence: PolicyEvidence) -> list[str]:
    found = set()
    for file in evidence.trace.opened:
        label = next((label for folder, label in _LABELS if file.path.startswith(f"{folder}/")), "")
        if label:
            found.add(label)
    return sorted(found)


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
