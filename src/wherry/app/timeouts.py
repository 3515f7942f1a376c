"""Timeouts that have to agree: read from manifests, values, a service's log and the kernel, judged, and mended."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.analysis.timeouts.figures import Timeout, TimeoutTable
from wherry.analysis.timeouts.rules import TimeoutEdit, judge_timeouts
from wherry.app.manifest_files import manifest_texts
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.finding import Finding, Severity
from wherry.store.edits import editing

if TYPE_CHECKING:
    from wherry.lab.pools import PoolTrial

_KERNEL = {
    "kernel.fin_timeout": "tcp_fin_timeout",
    "kernel.keepalive_time": "tcp_keepalive_time",
    "kernel.keepalive_interval": "tcp_keepalive_intvl",
    "kernel.keepalive_probes": "tcp_keepalive_probes",
}
_SYSCTL = re.compile(r"[0-9]{1,18}([ \t-][0-9]{1,18}){0,7}")
_WORKLOAD = re.compile(r"[A-Za-z]{1,63}(\.[a-z0-9.-]{1,190})?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SYSCTLS = Path("/proc/sys/net/ipv4")
_PROPAGATION = Timeout(
    "endpoints.propagation", 2.0, "kube-proxy's --iptables-min-sync-period of 1 s, and the update of its EndpointSlice",
    stated=False,
)  # fmt: skip


class KnownTimeout(msgspec.Struct, frozen=True, kw_only=True):
    """A timeout as the document has it."""

    name: str
    seconds: float
    """Or a count, such as `readiness.failures`."""
    place: str
    scope: str = ""
    """The workload; empty: all."""
    stated: bool = True
    """False for a default."""


class TimeoutsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry timeouts --json` prints."""

    version: int = 1
    timeouts: tuple[KnownTimeout, ...]
    findings: tuple[Finding, ...]
    unjudged: dict[str, tuple[str, ...]]
    """Rules that could not be judged, with the names of timeouts that nothing states."""


@dataclass(frozen=True, slots=True)
class EditedManifest:
    """A manifest before and after its timeouts were changed."""

    name: str
    path: Path
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TimeoutsResult:
    """The document, and what would mend it."""

    document: TimeoutsDocument
    edited: tuple[EditedManifest, ...]


def timeouts(
    session: Session,
    names: Sequence[str] = (),
    *,
    values: Sequence[str] = (),
    service: str = "",
    recursive: bool = False,
    stdin: Callable[[], str] = str,
) -> TimeoutsResult:
    """Read timeouts and judge whether they agree.

    Args:
        session: where paths start.
        names: manifests and Helm values, directories of them, or `-`.
        values: files that state timeouts by name.
        service: a service's log with its printed configuration, or `-`; empty: none.
        recursive: whether directories below are read too.
        stdin: gives the text of `-`.

    Raises:
        NotFound, InvalidDocument, InvalidUsage: a file is not there, or is not what it should be.
    """
    from wherry.analysis.timeouts.service import printed_timeouts
    from wherry.cluster.placed_yaml import placed_documents
    from wherry.cluster.timeout_values import stated_timeouts
    from wherry.cluster.timeouts import manifest_timeouts

    texts = dict(manifest_texts(session, names, stdin, recursive=recursive))
    read = manifest_timeouts([one for name, text in texts.items() for one in placed_documents(text, name)])
    known = [*read.timeouts, *_kernel()]
    if any(one.scope and one.name == "grace" for one in read.timeouts):
        known.append(_PROPAGATION)
    for name, text in manifest_texts(session, values, stdin, recursive=False):
        known += stated_timeouts(placed_documents(text, name))
    for name, text in manifest_texts(session, [service] if service else [], stdin, recursive=False):
        known += printed_timeouts(text.splitlines(), name)
    judgement = judge_timeouts(TimeoutTable(known))
    document = TimeoutsDocument(
        timeouts=tuple(_shown(one) for one in known),
        findings=(*judgement.findings, *read.findings),
        unjudged=judgement.unjudged,
    )
    return TimeoutsResult(document, tuple(_edited(session, texts, judgement.edits)))


def timeouts_fail(document: TimeoutsDocument, least: str) -> bool:
    """Report whether a finding has at least a severity: `note`, `warning`, `error`; `never` is none."""
    if least == "never":
        return False
    order = list(Severity)
    return any(order.index(one.severity) >= order.index(Severity(least)) for one in document.findings)


def write_manifests(edited: Iterable[EditedManifest]) -> None:
    """Put the changed manifests in the place of the old ones, each whole or not at all.

    Raises:
        CannotWrite: a file can't be written; those before it are written.
    """
    for one in edited:
        with editing(one.path) as out:
            out.write(one.after.encode())


def _shown(one: Timeout) -> KnownTimeout:
    return KnownTimeout(name=one.name, seconds=one.seconds, place=one.place, scope=one.scope, stated=one.stated)


def _kernel() -> Iterator[Timeout]:
    for name, file in _KERNEL.items():
        try:
            yield Timeout(name, float((_SYSCTLS / file).read_text()), str(_SYSCTLS / file), stated=False)
        except (OSError, ValueError):
            continue


def _edited(session: Session, texts: Mapping[str, str], edits: Sequence[TimeoutEdit]) -> Iterator[EditedManifest]:
    by_file: dict[str, list[TimeoutEdit]] = {}
    for edit in edits:
        if edit.timeout.spot is not None:
            by_file.setdefault(edit.timeout.spot.file, []).append(edit)
    for name, text in texts.items():
        if (own := by_file.get(name)) and name != "stdin":
            yield EditedManifest(name, session.cwd / name, text, _with(text, own))


def _with(text: str, edits: Sequence[TimeoutEdit]) -> str:
    """Write new values."""
    spots = sorted(
        ((edit.timeout.spot, edit.value) for edit in edits if edit.timeout.spot), key=lambda one: one[0].start
    )
    end, done, parts = "\r\n" if "\r\n" in text else "\n", 0, []
    for spot, value in spots:
        parts += [text[done : spot.start], spot.form.replace("{}", str(value)).replace("\n", end)]
        done = spot.end
    return "".join((*parts, text[done:]))


def try_pool_timeouts(session: Session) -> "tuple[PoolTrial, ...]":
    """Try on this machine's kernel what tcp_fin_timeout does to a connection pool; it takes about six seconds.

    Raises:
        HostUnable: this machine refuses network namespaces.
    """
    from wherry.lab.pools import pool_trials

    return pool_trials(session.runner, session.cwd)


def sysctl_advice(sysctls: Sequence[str], *, form: str, workload: str = "") -> str:
    """Write pod sysctls as a fragment of a pod, as Helm values, or as a `kubectl patch`.

    Args:
        sysctls: such as `net.ipv4.tcp_fin_timeout=30`.
        form: `pod`, `helm` or `patch`.
        workload: for `patch`, such as `deployment/api`.

    Raises:
        InvalidUsage: one is not NAME=VALUE, is no sysctl that every kubelet allows, or the workload is missing.
    """
    from wherry.cluster.timeouts import SAFE_SYSCTLS

    pairs = []
    for one in sysctls:
        name, sign, value = one.partition("=")
        if not sign or not _SYSCTL.fullmatch(value):
            raise InvalidUsage(f"--sysctl {one}: not NAME=VALUE", hint="write net.ipv4.tcp_fin_timeout=30")
        if name not in SAFE_SYSCTLS:
            raise InvalidUsage(
                f"--sysctl {name}: a kubelet refuses it without --allowed-unsafe-sysctls",
                hint=f"every kubelet allows {', '.join(sorted(SAFE_SYSCTLS))}",
            )
        pairs.append({"name": name, "value": value})
    if form == "patch":
        if not _WORKLOAD.fullmatch(workload):
            raise InvalidUsage(
                f"--emit patch: not a workload: {workload!r}", hint="add --workload KIND/NAME, such as deployment/api"
            )
        patch = {"spec": {"template": {"spec": {"securityContext": {"sysctls": pairs}}}}}
        return f"kubectl patch {workload} --patch '{msgspec.json.encode(patch).decode()}'\n"
    lines = [f'  - name: {one["name"]}\n    value: "{one["value"]}"\n' for one in pairs]
    if form == "helm":
        return "podSecurityContext:\n  sysctls:\n" + "".join(
            f"  {line}".replace("\n    ", "\n      ") for line in lines
        )
    listed = "".join("    " + line.replace("\n    ", "\n        ") for line in lines)
    return "spec:\n  securityContext:\n    sysctls:\n" + listed
