"""Type data: what any bytes give, and types that lie over each other."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.golang.moduledata import experiments_of, minor_of
from wherry.golang.typereader import Region, map_size
from wherry.golang.types import read_types

_BASE = 0x400000


@pytest.mark.slow
@pytest.mark.parametrize("dense", [0, 1 << 20])
def test_types_over_each_other(dense):
    """Every word begins a type with two thousand methods: so many can't be, and no memory is taken for them."""
    region = Region(_BASE, memoryview(bytes([8, 0, 0, 0, 1, 8, 8, 19]) * (1 << 17)), "<", 8)

    tracemalloc.start()
    found = read_types(region, 26, np.arange(0, 1 << 20, 8), dense=dense)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0 < len(found) < 1000
    assert peak < 256 << 20


_WORDS = st.sampled_from([0, 1, 8, 16, 24, 0x19080804, 0x14080801, 0x13080805, 0x15080800, 1 << 40, (1 << 64) - 1])


@given(
    st.lists(st.one_of(_WORDS, st.integers(0, (1 << 64) - 1)), min_size=40, max_size=400),
    st.sampled_from("<>"), st.sampled_from([4, 8]), st.integers(20, 27), st.booleans(),
)  # fmt: skip
def test_any_bytes(words, order, pointer, minor, dense):
    """Whatever the region has, types and names that are found lie inside it."""
    content = b"".join(word.to_bytes(8, "little" if order == "<" else "big") for word in words)
    region = Region(_BASE, memoryview(content), order, pointer)

    found = read_types(region, minor, np.arange(0, len(content), 4), dense=len(content) if dense else 0)
    names, rows, used = found.names()

    assert (found.end <= len(content)).all()
    assert (found.start >= 0).all()
    assert (names.end <= len(content)).all()
    assert len(rows) == len(used)
    assert len(found.texts(found.package)) == len(found)


@pytest.mark.parametrize(
    ("version", "minor", "experiments"),
    [
        ("go1.24.9 X:noswissmap", 24, {"noswissmap"}),
        ("go1.25.3 X:nodwarf5,noswissmap", 25, {"nodwarf5", "noswissmap"}),
        ("go1.26.8", 26, set()),
        ("devel go1.28-3a5f Mon Jan 4 X:jsonv2", 28, {"jsonv2"}),
        ("", None, set()),
    ],
)
def test_versions(version, minor, experiments):
    """Minor and experiments are read out of what build info says."""
    assert (minor_of(version), experiments_of(version)) == (minor, experiments)


def test_sizes_of_map_types():
    """Maps were changed in Go 1.24, unless the build kept the old ones, and again in Go 1.27."""
    assert map_size(23, 8) == map_size(24, 8, {"noswissmap"}) == 40
    assert map_size(26, 8) == 64
    assert map_size(27, 8) == 88
    assert map_size(23, 4) == 24
    assert map_size(26, 4) == 32
