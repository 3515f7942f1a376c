"""Every encoder at every level compresses the sample as this release's does, on every processor."""

import pytest

from wherry.layer.compress import Encoding
from wherry.layer.encoder_sample import _RELEASED, compressed_sample, compresses_as_released


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
def test_every_level(algorithm):
    """What is recorded is what the installed encoder gives; levels differ from each other at both ends."""
    made = tuple(compressed_sample(Encoding(algorithm, place + 1)) for place in range(len(_RELEASED[algorithm])))

    assert made == _RELEASED[algorithm]
    assert made[0] != made[-1]


def test_no_compression():
    """There is no encoder that could differ."""
    assert compresses_as_released(Encoding("none", 0))
