"""The cases that docs/explanation/security.md promises are there: as many as it says, or more."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "security.md"
_ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<files>`[^|]+`) \| (?P<cases>\d+) \|$", re.MULTILINE)
HELD = {
    "security/test_hostile_archives.py": 46,
    "security/test_hostile_documents.py": 32,
    "security/test_hostile_registry.py": 30,
}
"""What was attacked by hand and held, before each became a test."""


@pytest.mark.slow
def test_as_many_as_the_page_says():
    """Each row's files have as many tests as its number, or more."""
    rows = [(re.findall(r"`([^`]+)`", row["files"]), int(row["cases"])) for row in _ROW.finditer(PAGE.read_text())]
    files = sorted({file for names, _ in rows for file in names})
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *files],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    counted = Counter(line.partition("::")[0].removeprefix("tests/") for line in listed.splitlines() if "::" in line)

    assert len(rows) >= 13
    for names, cases in rows:
        assert sum(counted[name] for name in names) >= cases > 0, names
    for file, least in HELD.items():
        assert counted[file] >= least, file
