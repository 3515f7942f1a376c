"""Podman's storage.conf."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.settings.storage_conf import graph_roots


def test_places():
    """Both keys; what is relative, of another type or not TOML is passed over."""
    text = (
        b'[storage]\ndriver = "overlay"\ngraphroot = "/data/c"\nrootless_storage_path = "$HOME/c"\n[storage.options]\n'
    )
    assert graph_roots(text) == ("/data/c", "$HOME/c")
    for other in (
        b"",
        b"[storage",
        b"[storage]\ngraphroot = 7\n",
        b"storage = 1",
        b'[storage]\ngraphroot = "x"\n',
        b"\xff",
    ):
        assert graph_roots(other) == ()


@pytest.mark.slow
@given(st.binary(max_size=60))
def test_any_bytes(noise):
    """Whatever is in it, places come of it or nothing."""
    assert all(root.startswith(("/", "$HOME/")) for root in graph_roots(b"[storage]\ngraphroot=" + noise))
