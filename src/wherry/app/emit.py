"""Policies that are written from a traced run of an image, and tried where this machine can."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wherry.app.session import Session
from wherry.errors import WherryError

if TYPE_CHECKING:
    from pathlib import Path

    from wherry.analysis.confine.evidence import PolicyEvidence
    from wherry.app.deps import TracedDeps
    from wherry.app.traces import TracedRun, TraceOptions

FORMS: Final = ("files", "seccomp", "apparmor", "selinux")


class PolicyFails(WherryError):
    """The image does not run under the policy that was written for it."""

    exit_code = 1


def emitted(form: str, traced: "TracedDeps") -> str:
    """Write one of `FORMS`."""
    from wherry.analysis.confine.apparmor import apparmor_profile
    from wherry.analysis.confine.seccomp import seccomp_profile
    from wherry.analysis.confine.selinux import selinux_policy

    if form == "files":
        return "".join(f"{path}\n" for path in used_files(traced))
    evidence = evidence_of(traced)
    writers = {"seccomp": seccomp_profile, "apparmor": apparmor_profile, "selinux": selinux_policy}
    return writers[form](evidence)


def used_files(traced: "TracedDeps") -> tuple[str, ...]:
    """List the files that the run had a use for, those that can be reached from them, and the links on the way."""
    from wherry.analysis.deps.compare_trace import TraceComparison

    run, (platform,) = traced.run, traced.document.platforms
    compared = TraceComparison(traced.root, platform, run.observation, run.mounts).compared()
    asked = (*compared.opened, *compared.executed)
    links = {file.path for file in asked if file.real and not file.given}
    return tuple(sorted({*compared.used, *links}))


def evidence_of(traced: "TracedDeps") -> "PolicyEvidence":
    """Give what policies are written from."""
    from wherry.analysis.confine.evidence import PolicyEvidence, policy_name

    (platform,) = traced.document.platforms
    assert platform.trace is not None  # noqa: S101 - it was traced
    image = traced.document.name
    user = traced.run.image.config.runtime.user.partition(":")[0]
    return PolicyEvidence(
        name=policy_name(image),
        image=f"{image.partition('@')[0]}@{traced.document.digest}",
        trace=platform.trace,
        architecture=traced.run.image.platform.architecture,
        root=user in ("", "0", "root"),
    )


def try_profile(
    session: Session,
    traced: "TracedDeps",
    options: "TraceOptions",
    profile: str,
    folder: "Path",
    notice: Callable[[str], None] = lambda _: None,
) -> "TracedRun":
    """Run the image once more, under the seccomp profile that was written for it, in the same way.

    Args:
        session: where.
        traced: the run that the profile is written from.
        options: how that was run.
        profile: the profile's text.
        folder: a folder for it.
        notice: called with each limit of this machine that counts here.

    Raises:
        PolicyFails: it ends otherwise than the first time; what failed is named.
        HostUnable: this machine has no libseccomp.
    """
    from wherry.app.traces import last_lines, trace_run
    from wherry.sandbox.capabilities import DOCKERS, NAMES
    from wherry.sandbox.profile import read_profile
    from wherry.store.find import Located

    file = folder / "profile.json"
    file.write_text(profile)
    code = read_profile(file, [NAMES[number] for number in DOCKERS])
    from wherry.app.images import open_image

    found = open_image(session, traced.document.name)
    located = Located(found.name, found.source, found.root)
    again = trace_run(
        session, located, replace(options, calls=False, seccomp=code), platform=traced.run.image.platform, notice=notice
    )
    first = traced.run.outcome
    same = again.outcome.ended_by == first.ended_by and (first.ended_by != "exit" or again.outcome.code == first.code)
    if not same:
        printed = "\n".join(f"  {line}" for line in last_lines(again.outcome.output))
        raise PolicyFails(
            f"{found.name}: it does not run under the profile that was written: it ended by {again.outcome.ended_by} "
            f"with {again.outcome.code}, and without it by {first.ended_by} with {first.code}\n{printed}".rstrip(),
            hint="trace it longer, or with more probes: it made system calls that the first run did not show",
        )
    return again
