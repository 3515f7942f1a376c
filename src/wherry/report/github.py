"""Annotations of GitHub Actions: errors and warnings next to the lines of a pull request.

Source: GitHub Actions, "Workflow commands" (error, warning, notice); actions/toolkit, core/src/command.ts (escapes).
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from wherry.errors import SourceLine, WherryError
from wherry.finding import Finding, Severity

_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def error_annotations(error: WherryError, cwd: Path, workspace: Path | None) -> Iterator[str]:
    """Write an error: one line for each of its places, else one for the run.

    Args:
        error: what stopped a command.
        cwd: where relative paths start.
        workspace: the checkout, which the paths of annotations start at; None: not known.
    """
    for place in error.places:
        yield annotation("error", place.message or error.message, place, cwd, workspace)
    if not error.places:
        yield annotation("error", "\n".join(filter(None, (error.message, error.hint))))


def finding_annotation(finding: Finding, cwd: Path, workspace: Path | None) -> str:
    """Write a finding in a file; its place is `FILE:LINE`."""
    file, _, line = finding.place.rpartition(":")
    place = SourceLine(file, int(line)) if file and line.isdecimal() else SourceLine(finding.place, 0)
    text = "\n".join(filter(None, (finding.message, *finding.evidence, finding.remedy)))
    return annotation(_WORDS[finding.severity], text, place, cwd, workspace, title=finding.rule)


def annotation(
    kind: str,
    message: str,
    place: SourceLine | None = None,
    cwd: Path | None = None,
    workspace: Path | None = None,
    title: str = "",
) -> str:
    """Write one command."""
    fields = []
    if place is not None:
        fields.append(f"file={_property(from_workspace(place.file, cwd, workspace))}")
        fields += [f"line={place.line}"] if place.line else []
        fields += [f"col={place.column}"] if place.column else []
    if title:
        fields.append(f"title={_property(title)}")
    return f"::{kind}{' ' * bool(fields)}{','.join(fields)}::{_data(message)}"


def from_workspace(file: str, cwd: Path | None, workspace: Path | None) -> str:
    """Write a path from the checkout, where both are known and it is in there; else unchanged."""
    if cwd is None or workspace is None:
        return file
    path = PurePath(os.path.normpath(cwd / file))
    return str(path.relative_to(workspace)) if path.is_relative_to(workspace) else file


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
