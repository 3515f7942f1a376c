"""A root's paths are resolved as the kernel does it inside of the container."""

import pytest

from wherry.layer.root import Root

ROOT = Root({
    "/usr": "", "/usr/lib64": "", "/usr/lib64/ld.so": "", "/lib64": "usr/lib64", "/abs": "/usr/lib64",
    "/loop": "loop", "/up": "../../usr", "/dangling": "nowhere",
})  # fmt: skip


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/usr/lib64/ld.so", True),
        ("/lib64/ld.so", True),
        ("/abs/ld.so", True),
        ("/up/lib64/ld.so", True),
        ("/usr/../lib64/./ld.so", True),
        ("/usr/lib64/other", False),
        ("/loop", False),
        ("/dangling", False),
        ("/", True),
    ],
)
def test_links_are_followed_inside(path, there):
    """Relative, absolute, upwards; never out, never round and round."""
    assert ROOT.has(path) is there
