"""What fuzzing found, and what it starts from, played once; and proof that `make fuzz` would find more."""

import importlib.util
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuzzing.targets import TARGETS
from needs import absent

FUZZING = Path(__file__).parents[1] / "fuzzing"
CORPUS = FUZZING / "corpus"


@pytest.mark.parametrize("target", TARGETS)
def test_every_kept_input_ends_well(target: str):
    """Each is read, or refused with an error of ours."""
    kept = sorted((CORPUS / target).iterdir())

    assert kept
    for file in kept:
        TARGETS[target](file.read_bytes())


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info >= (3, 14) or platform.machine() != "x86_64", reason="atheris has no wheel for this Python"
)
@pytest.mark.parametrize(
    ("toy", "crashes", "hangs"), [("crash", True, False), ("hang", False, True), ("grow", False, True), ("well", 0, 0)]
)
def test_the_runner_finds(tmp_path: Path, toy: str, crashes: bool, hangs: bool):  # noqa: FBT001 - what a case expects
    """A planted crash, an endless loop and a memory hog are found, counted and kept; a target without any is not."""
    if importlib.util.find_spec("atheris") is None:
        absent("atheris is not installed (`make tools` installs it)")
    (tmp_path / "corpus" / toy).mkdir(parents=True)
    (tmp_path / "corpus" / toy / "a").write_bytes(b"a")
    places = ["--corpus", str(tmp_path / "corpus"), "--found", str(tmp_path / "found")]

    done = subprocess.run(
        [sys.executable, FUZZING / "run.py", toy, "--from", "toys", "--seconds", "3", "--hang", "1", *places],
        capture_output=True,
        text=True,
        check=False,
    )

    row = re.fullmatch(rf"\| {toy} \| \d+ s \| ([\d,]+) \| (\d+) \| (\d+) \| \d+ \|\n", done.stdout)
    assert row, done.stdout + done.stderr
    assert int(row[1].replace(",", "")) > 0
    assert (int(row[2]) > 0, int(row[3]) > 0) == (bool(crashes), bool(hangs))
    assert done.returncode == (1 if crashes or hangs else 0)
    kept = [file.read_bytes() for file in (tmp_path / "found").iterdir() if file.suffix != ".log"]
    assert bool(kept) == bool(crashes or hangs)
    assert all(blob.startswith(b"!") for blob in kept)
