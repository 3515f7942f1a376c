"""People who build Dockerfiles: root, a plain user with sub-ids, and one without."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from containers import Person, people
from dockerfile import bases
from needs import need, need_root


@pytest.fixture(scope="module")
def persons() -> Iterator[dict[str, Person]]:
    """Root, a plain user with sub-ids, and one without."""
    need_root()
    need("newuidmap")
    busybox = bases.busybox()
    with people() as found:
        for person in found.values():
            shutil.copytree(busybox, person.home / "busybox")
            subprocess.run(["chown", "-R", person.name, str(person.home / "busybox")], check=True)
        yield found


@pytest.fixture(params=["root", "many", "one"])
def person(request: pytest.FixtureRequest, persons: dict[str, Person]) -> Person:
    """One of them."""
    return persons[request.param]
