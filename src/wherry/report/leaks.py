"""What a program tells, for a person at a prompt and for a machine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from wherry.app.leaks import ProgramLeaks
from wherry.finding import Finding, Severity
from wherry.report.terminal import printable, size

SCHEMA = "wherry.leaks/1"


def lines_of(told: ProgramLeaks) -> Iterator[str]:
    """Write the findings of one program."""
    subject, findings = told.subject, told.leaks.findings
    words = (size(subject.size), subject.name, told.leaks.go)
    yield printable("  ".join(filter(None, words)))
    for finding in findings:
        yield ""
        yield from (printable(line) for line in _finding(finding))
    yield ""
    yield f"  {_summary(findings)}"
    yield from (printable(f"  not visible: {text}") for text in told.leaks.unseen)


def document(name: str, programs: Sequence[ProgramLeaks]) -> Mapping[str, object]:
    """Give the values of docs/reference/leaks.md."""
    return {
        "schema": SCHEMA,
        "name": name,
        "binaries": [
            {
                "name": one.subject.name,
                "image": one.subject.image,
                "platform": one.subject.platform,
                "path": one.subject.path,
                "layer": one.subject.layer,
                "digest": str(one.subject.digest or ""),
                "size": one.subject.size,
                "go": one.leaks.go,
                "unseen": one.leaks.unseen,
            }
            for one in programs
            if one.subject.path
        ],
        "findings": [
            {"binary": one.subject.name, **asdict(finding)} for one in programs for finding in one.leaks.findings
        ],
    }


def _finding(finding: Finding) -> Iterator[str]:
    yield f"  {finding.severity}: {finding.rule}: {finding.message}"
    yield f"    in {finding.place}"
    yield from (f"      {line}" for line in finding.evidence)
    yield f"    remedy: {finding.remedy}"


def _summary(findings: Sequence[Finding]) -> str:
    counts = {severity: sum(one.severity is severity for one in findings) for severity in reversed(Severity)}
    named = [f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items() if count]
    return ", ".join(named) or "no findings"
