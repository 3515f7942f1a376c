"""An AppArmor profile, by path: what was opened may be read, what was made written, what was executed started.

Source: apparmor.d(5), AppArmor 3.0.
"""

import re
from collections.abc import Iterator

from wherry.analysis.confine.evidence import PolicyEvidence

_SPECIAL = re.compile(r'([\\*?\[\]{}^"@])')
_PROCESS = re.compile(r"^/proc/(?:self|thread-self|\d+)(?:/task/\d+)?(?=/|$)")


def apparmor_profile(evidence: PolicyEvidence) -> str:
    """Write the profile; load it with `apparmor_parser -r`, use it by its name."""
    lines = [*(f"# {_comment(line)}" for line in evidence.described())]
    lines += [f"# never exercised: {_comment(line)}" for line in evidence.unexercised()]
    lines += ["", f"profile {evidence.name} flags=(attach_disconnected,mediate_deleted) {{"]
    lines += [f"  {line}" for line in (*_networks(evidence), *_signals(evidence))]
    lines += [f"  {line}" for line in _files(evidence)]
    return "\n".join((*lines, "}", ""))


def _networks(evidence: PolicyEvidence) -> Iterator[str]:
    addresses = [one.address for one in evidence.trace.sockets]
    if any(not address.startswith("unix:") for address in addresses):
        # Which sockets a name server or a dual-stack listener takes depends on the machine, so both families are there.
        yield from ("network inet stream,", "network inet dgram,", "network inet6 stream,", "network inet6 dgram,")
        yield "network netlink raw,"
    if any(address.startswith("unix:") for address in addresses):
        yield "unix,"
    ports = [address.rpartition(":")[2] for address in addresses if not address.startswith("unix:")]
    if evidence.root and any(port.isdecimal() and 0 < int(port) < 1024 for port in ports):  # noqa: PLR2004 - the first free port
        yield "capability net_bind_service,"


def _signals(evidence: PolicyEvidence) -> Iterator[str]:
    yield "signal (receive) peer=unconfined,"
    yield f"signal (send, receive) peer={evidence.name},"


def _files(evidence: PolicyEvidence) -> Iterator[str]:
    trace = evidence.trace
    rights: dict[str, set[str]] = {}
    for file in trace.opened:
        rights.setdefault(_normal(file.real or file.path), set()).add("r")
        if file.real:
            rights.setdefault(_normal(file.path), set()).add("r")
    for file in trace.made:
        rights.setdefault(_normal(file.real or file.path), set()).update("rw")
    for library in trace.libraries:
        rights.setdefault(library, set()).update("rm")
    for file in trace.executed:
        rights.setdefault(_normal(file.real or file.path), set()).update(("r", "m", "ix"))
    for path in sorted(rights):
        if not path.startswith("/") or not path.isprintable():
            continue
        order = "".join(right for right in ("r", "w", "m", "ix") if right in rights[path])
        yield f'"{_quoted(path)}" {order},'


def _normal(path: str) -> str:
    return _PROCESS.sub("/proc/PROCESS", path)


def _quoted(path: str) -> str:
    return _SPECIAL.sub(r"\\\1", path).replace("/proc/PROCESS", "/proc/[0-9]*", 1)


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
