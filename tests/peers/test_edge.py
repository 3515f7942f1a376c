"""The example service for a small device: within its budgets, with its protocols, and no TLS below 1.2.

It compiles the service three times, two of them without inlining: minutes where Go's cache has none of it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from needs import need

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_service(tmp_path):
    """The bench's quick run: it builds, starts, loads and asks the service in each form."""
    need("go")
    page = tmp_path / "page.md"

    subprocess.run([sys.executable, ROOT / "bench" / "edge.py", "--quick", "--page", page], check=True)

    text = page.read_text()
    assert text.count("| ≤ ") == 4
    assert "**broken**" not in text
    assert text.count("accepts TLS 1.2 and TLS 1.3; refuses TLS 1.0 (alert 70 (protocol version)) and TLS 1.1") == 3
    assert text.count("HTTP/2 without TLS: 200 requests") == 3
