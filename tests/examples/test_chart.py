"""The values of the example service's chart: one table of times, judged by `wherry timeouts` without Helm."""

from pathlib import Path

import pytest

from cli_shell import Shell

VALUES = Path(__file__).resolve().parents[2] / "examples" / "videometa" / "chart" / "values.yaml"


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("", "", ""),
        ("timeoutSeconds: 2", "timeoutSeconds: 5", "readiness-probe-ends"),
        ("seconds: 2", "seconds: 1", "endpoints-before-close"),
        ("terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 2", "hook-within-grace"),
    ],
)
def test_times(tmp_path, before, after, rule):
    """They agree, and no longer where one of them is another."""
    shell = Shell(tmp_path / "here")
    text = VALUES.read_text()
    assert before in text
    shell.write("values.yaml", text.replace(before, after, 1) if before else text)

    assert shell.ended("timeouts", "values.yaml") == bool(rule), shell.out
    assert rule in shell.out
