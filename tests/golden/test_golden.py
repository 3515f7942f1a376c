"""The same bytes, on every CPU and in every year."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from golden_digests import digests
from needs import need

GOLDEN = Path(__file__).with_name("digests.json")
SCRIPT = Path(__file__).resolve().parents[1] / "golden_digests.py"


@pytest.mark.slow
def test_digests_are_the_golden_ones():
    """What is packed today is what was packed when the encoders were pinned."""
    assert digests() == json.loads(GOLDEN.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["qemu64", "Nehalem", "Haswell"])
def test_digests_on_other_cpus(cpu):
    """A CPU without this one's instructions takes other paths through the encoders, to the same bytes."""
    done = subprocess.run(
        [need("qemu-x86_64-static"), "-cpu", cpu, sys.executable, str(SCRIPT)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )

    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert json.loads(done.stdout) == json.loads(GOLDEN.read_text())
