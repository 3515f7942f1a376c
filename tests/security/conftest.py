"""Those whose machine is attacked: root, a plain user with sub-ids and one without."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers import Person
from dockerfile.conftest import person, persons

__all__ = ["devices", "everybody", "person", "persons"]

_NODES = ("null", "zero", "full", "random", "urandom", "tty")


@pytest.fixture(autouse=True)
def devices() -> Iterator[None]:
    """Give the machine's devices their modes and owners back, should an attack on them succeed."""
    before = {place: place.stat() for name in _NODES if (place := Path("/dev", name)).exists()}
    yield
    for place, status in before.items():
        now = place.stat()
        if os.geteuid() == 0 and (now.st_mode, now.st_uid, now.st_gid) != (
            status.st_mode,
            status.st_uid,
            status.st_gid,
        ):
            os.chown(place, status.st_uid, status.st_gid)
            place.chmod(status.st_mode & 0o7777)


@pytest.fixture(scope="module")
def everybody(persons: dict[str, Person]) -> dict[str, Person]:
    """All of them, by kind."""
    return persons
