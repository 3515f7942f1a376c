"""Findings for code hosts: SARIF 2.1.0, and the report that GitLab shows in a merge request.

Sources: OASIS SARIF 2.1.0 (3.13 sarifLog, 3.27 result, 3.49 reportingDescriptor); GitLab, "Code Quality report format".
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from wherry.finding import Finding, Severity
from wherry.report.comment import in_message
from wherry.report.github import from_workspace

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_GITLAB = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTE: "info"}


def sarif(findings: Sequence[Finding], cwd: Path, workspace: Path | None, version: str) -> dict[str, object]:
    """Give findings in files as a SARIF log of one run.

    Args:
        findings: what was found; places are `FILE:LINE`, or `FILE`.
        cwd: where relative paths start.
        workspace: the checkout, which paths of results start at; None: not known.
        version: wherry's.
    """
    rules = {one.rule: one for one in reversed(findings)}
    names = sorted(rules)
    results = [
        {
            "ruleId": one.rule,
            "ruleIndex": names.index(one.rule),
            "level": one.severity.value,
            "message": {"text": in_message(_text(one))},
            "locations": [{"physicalLocation": _location(file, line)}],
            "partialFingerprints": {"wherryFinding/v1": mark},
        }
        for one, file, line, mark in _placed(findings, cwd, workspace)
    ]
    described = [
        {"id": name, "shortDescription": {"text": name}, "help": {"text": rules[name].remedy or name}} for name in names
    ]
    driver = {"name": "wherry", "version": version, "semanticVersion": version, "rules": described}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _location(file: str, line: int) -> dict[str, object]:
    relative = not file.startswith("/")
    where = {"uri": quote(file), "uriBaseId": "%SRCROOT%"} if relative else {"uri": f"file://{quote(file)}"}
    return {"artifactLocation": where, "region": {"startLine": max(line, 1)}}


def gitlab(findings: Sequence[Finding], cwd: Path, workspace: Path | None) -> list[dict[str, object]]:
    """Give findings in files as the artifact `codequality` of a GitLab job; arguments as for `sarif`."""
    return [
        {
            "description": _text(one),
            "check_name": one.rule,
            "fingerprint": mark,
            "severity": _GITLAB[one.severity],
            "location": {"path": file, "lines": {"begin": max(line, 1)}},
        }
        for one, file, line, mark in _placed(findings, cwd, workspace)
    ]


def _text(finding: Finding) -> str:
    remedy = f"Remedy: {finding.remedy}" if finding.remedy else ""
    return "\n".join(filter(None, (finding.message, *finding.evidence, remedy)))


def _placed(findings: Sequence[Finding], cwd: Path, workspace: Path | None) -> Iterator[tuple[Finding, str, int, str]]:
    """Give each finding with its file, its line, and a fingerprint that stays when lines above it come and go."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for one in findings:
        name, _, line = one.place.rpartition(":")
        if not (name and line.isdecimal()):
            name, line = one.place, "0"
        file = from_workspace(name, cwd, workspace)
        key = (one.rule, file, one.message)
        seen[key] += 1
        text = "\0".join((*key, str(seen[key])))
        yield one, file, int(line), hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
