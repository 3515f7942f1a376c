"""Go's build cache goes to a registry and comes back: a layer a build; what is used no longer goes."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registries import distribution
from wherry.app.build_artifact import push_artifact
from wherry.app.go_build_cache import CarriedGoCache
from wherry.app.session import Session
from wherry.oci.manifest import Manifest
from wherry.oci.reference import Reference
from wherry.store.contract import read_whole


@dataclass
class Place:
    """A registry, and machines with empty caches."""

    host: str
    folder: Path
    count: int = 0

    def machine(self) -> Session:
        """Give another one."""
        self.count += 1
        home = self.folder / str(self.count)
        (home / "cache").mkdir(parents=True)
        return Session(
            store=home / "store", cache=home / "cache", cwd=home, environment={"GOCACHE": str(home / "go")}, home=home
        )

    def layers(self, name: str) -> int:
        """Count the layers of a cache."""
        place = Reference.parse(name)
        repository = self.machine().registries.repository(place)
        return len(Manifest.parse(read_whole(repository, repository.resolve(place.tag)), name).stack)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Start a registry."""
    folder = tmp_path_factory.mktemp("go-cache")
    with distribution(folder / "registry") as registry:
        yield Place(registry.host, folder)


def compiled(session: Session, *numbers: int, age: float = 0) -> None:
    """Put entries into Go's cache, as a compiler does that makes or uses them."""
    for number in numbers:
        file = Path(session.environment["GOCACHE"]) / f"{number:02x}" / f"{number:064x}-a"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x" * number)
        os.utime(file, (time.time() - age, time.time() - age))


def there(session: Session) -> set[int]:
    """Name the entries of Go's cache."""
    return {int(path.parent.name, 16) for path in Path(session.environment["GOCACHE"]).glob("??/*")}


def test_it_grows_by_what_a_build_adds(place: Place) -> None:
    """The second machine gets what the first compiled, and sends its own alone; the third has nothing to send."""
    name = f"{place.host}/c:grows"
    first, second, third = place.machine(), place.machine(), place.machine()
    compiled(first, 1, 2)
    CarriedGoCache(first, carry_to=(name,)).carry()
    cache = CarriedGoCache(second, bring_from=(f"{place.host}/c:absent", name), carry_to=(name,))
    cache.bring()
    assert there(second) == {1, 2}
    compiled(second, 1, 2, 3)
    cache.carry()
    assert place.layers(name) == 2
    last = CarriedGoCache(third, bring_from=(name,), carry_to=(name,))
    last.bring()
    assert there(third) == {1, 2, 3}
    compiled(third, 1, 2, 3)
    last.carry()
    assert place.layers(name) == 2


def test_what_is_used_no_longer_goes(place: Place) -> None:
    """Where most of the layers is of no use, one takes their place."""
    name = f"{place.host}/c:worn"
    first, second, third = place.machine(), place.machine(), place.machine()
    compiled(first, 40, 41)
    CarriedGoCache(first, carry_to=(name,)).carry()
    cache = CarriedGoCache(second, bring_from=(name,), carry_to=(name,))
    cache.bring()
    compiled(second, 5)
    cache.carry()
    assert place.layers(name) == 1
    CarriedGoCache(third, bring_from=(name,)).bring()
    assert there(third) == {5}


def test_what_is_no_cache_is_reported(place: Place) -> None:
    """Another artifact, and a registry that is away: the build goes on."""
    session = place.machine()
    (session.cwd / "Dockerfile").write_text("FROM scratch\n")
    from wherry.app.build.options import DockerfileBuild
    from wherry.app.gathered import RemoteBuild
    from wherry.platform import Platform

    build = RemoteBuild(
        name="x", wanted=DockerfileBuild(), repository=f"{place.host}/x", platforms=(Platform("linux", "amd64"),)
    )
    other = push_artifact(session, f"{place.host}/x", [build], "x")
    cache = CarriedGoCache(
        session, bring_from=(f"{place.host}/x:{other.tag}", "127.0.0.1:1/x"), carry_to=("127.0.0.1:1/x",)
    )
    cache.bring()
    compiled(session, 1)
    cache.carry()
    assert there(session) == {1}
