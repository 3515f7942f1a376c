"""An encoder that this release is not made with is named, or ends the build."""

import pytest

from wherry.app.build.encoding import check_encoders
from wherry.errors import HostUnable
from wherry.layer import compress


def test_the_release_has_its_own():
    """Where the encoders are those of the release, nothing is said."""
    warned: list[str] = []

    check_encoders({"gzip", "zstd", "none"}, strict=True, warn=warned.append)

    assert warned == []


def test_another_is_named(monkeypatch):
    """The warning has both versions; --strict-encoder makes it an error."""
    monkeypatch.setitem(compress.RELEASED, "gzip", "zlib-ng 9.9")
    warned: list[str] = []

    check_encoders({"gzip"}, strict=False, warn=warned.append)

    (line,) = warned
    assert "zlib-ng 9.9" in line
    with pytest.raises(HostUnable) as caught:
        check_encoders({"gzip"}, strict=True, warn=warned.append)
    assert "zlib-ng 9.9" in caught.value.message
    check_encoders({"zstd"}, strict=True, warn=warned.append)
