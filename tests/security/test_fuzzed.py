"""What fuzzing found, and what it starts from, played once: `make fuzz` looks for more."""

from pathlib import Path

import pytest

from fuzzing.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "fuzzing" / "corpus"


@pytest.mark.parametrize("target", TARGETS)
def test_every_kept_input_ends_well(target: str):
    """Each is read, or refused with an error of ours."""
    kept = sorted((CORPUS / target).iterdir())

    assert kept
    for file in kept:
        TARGETS[target](file.read_bytes())
