"""An encoder that this release is not made with is named, or ends the build."""

import pytest

from wherry.app.build.encoding import check_encoders
from wherry.errors import HostUnable
from wherry.layer import compress, encoder_sample
from wherry.layer.compress import Encoding

GZIP, ZSTD = Encoding("gzip", 5), Encoding("zstd", 9)
ALL = {Encoding("none", 0), *(Encoding("gzip", level) for level in range(1, 10)), ZSTD, Encoding("zstd", 19)}


def test_the_release_has_its_own():
    """Where the encoders are those of the release, nothing is said."""
    warned: list[str] = []

    check_encoders(ALL, strict=True, warn=warned.append)

    assert warned == []


def test_another_is_named(monkeypatch):
    """The warning has both versions; --strict-encoder makes it an error."""
    monkeypatch.setitem(compress.RELEASED, "gzip", "zlib-ng 9.9")
    warned: list[str] = []

    check_encoders({GZIP}, strict=False, warn=warned.append)

    (line,) = warned
    assert "zlib-ng 9.9" in line
    with pytest.raises(HostUnable) as caught:
        check_encoders({GZIP}, strict=True, warn=warned.append)
    assert "zlib-ng 9.9" in caught.value.message
    check_encoders({ZSTD}, strict=True, warn=warned.append)


def test_another_build_of_the_same_version_is_refused(monkeypatch):
    """Its version says nothing: only what it compresses does, at the level that is used."""
    others = ("0" * 16, *encoder_sample._RELEASED["gzip"][1:])
    monkeypatch.setitem(encoder_sample._RELEASED, "gzip", others)
    warned: list[str] = []

    check_encoders({GZIP, Encoding("gzip", 9)}, strict=True, warn=warned.append)
    check_encoders({Encoding("gzip", 1)}, strict=False, warn=warned.append)
    with pytest.raises(HostUnable) as caught:
        check_encoders({Encoding("gzip", 1)}, strict=True, warn=warned.append)

    assert "level 1" in caught.value.message
    assert warned == []
