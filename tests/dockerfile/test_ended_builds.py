"""Builds that don't end well: killed anywhere, out of disk, forking forever. Nothing of them stays."""

import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from containers import Person
from dockerfile.theirs import build, context
from needs import need

pytestmark = pytest.mark.slow

_STEPS = """FROM busybox AS one
COPY . /files/
RUN for i in 1 2 3 4 5; do touch /one$i; done; (sleep 965 &); mkdir -m 700 /deep; touch /deep/x
RUN --mount=type=cache,target=/c date >> /c/log; rm -rf /etc/group
FROM busybox AS other
RUN mkdir /m && chown 5:6 /m && sleep 0.2
COPY --from=one --chown=7 /files /f
FROM busybox
COPY --from=other / /all/
COPY --from=one /deep /deep
RUN find / -xdev | wc -l
"""


def left_of(person: Person) -> list[str]:
    """List processes of a user who has no others, once the kernel has had time to end them."""
    for _ in range(200):
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "-u", person.name], capture_output=True, text=True, check=False
        ).stdout.splitlines()
        if not listed:
            break
        time.sleep(0.05)  # the kernel ends them once their parent is gone; nothing tells us when
    return listed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_killed_anywhere(persons, number):
    """At random moments: nothing is mounted or running, the cache is whole, and what was begun is swept up."""
    person = persons["many"]
    files = {f"d{place % 20}/f{place}": f"{place}" for place in range(600)}
    chance = random.Random(number)  # noqa: S311 - moments, not secrets
    longest = 2.5
    for attempt in range(6):
        folder = context(person, "anywhere", f"{_STEPS}RUN echo {number} {attempt}\n", **files)
        named = f"busybox=oci-layout://{person.home / 'busybox'}"
        began = time.monotonic()
        running = person.start("build", "--no-cache", "--progress", "quiet", "--build-context", named, "anywhere")
        with suppress(subprocess.TimeoutExpired):
            running.communicate(timeout=chance.uniform(0.05, longest))
            longest = min(longest, time.monotonic() - began)  # it ended by itself: later moments tell nothing
        running.send_signal(number)
        running.communicate(timeout=20)
        assert not left_of(person), attempt
        assert str(person.home) not in Path("/proc/self/mounts").read_text()

    whole = build(person, folder)
    swept = person.run("gc", "--older", "0s")

    assert whole.returncode == 0, whole.stderr
    assert swept.returncode == 0, swept.stderr
    for place in ("making", "trash", "held"):
        assert not list(person.home.glob(f".cache/wherry/trees/*/{place}/*")), place


def test_a_bomb_is_ended_with_the_build(persons):
    """Processes that make processes, faster than anybody could list them, end when wherry does."""
    person = persons["many"]
    context(person, "bomb", "FROM busybox\nRUN echo up; f() { f | f & }; f 2>/dev/null; sleep 966\n")
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    words = ["build", "--progress", "plain", "--ulimit", "nproc=200", "--build-context", named, "bomb"]
    running = person.start(*words)
    assert running.stderr is not None
    for line in running.stderr:
        if "| up" in line:
            break

    running.kill()
    running.communicate(timeout=30)

    assert not left_of(person)


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """Give a disk of its own."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([need("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


def test_a_disk_that_fills_up(persons):
    """A step is ended before the disk is full, with what to do; its files are gone, and the cache serves on."""
    person = persons["root"]
    fill = "while dd if=/dev/zero bs=1M count=1 2>/dev/null >> /big; do sleep 0.02; done"
    context(person, "full", f"FROM busybox\nRUN echo kept > /kept\nRUN {fill}\n")
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    with small_disk("330m") as disk:
        words = ["--cache", str(disk / "cache"), "build", "--progress", "plain", "--build-context", named, "full"]
        done = person.run(*words)
        used = sum(path.lstat().st_size for path in disk.rglob("*") if path.is_file() and path.name == "big")
        context(person, "full", "FROM busybox\nRUN echo kept > /kept\nRUN cat /kept\n")
        again = person.run(*words)

    assert done.returncode == 74
    assert "less than 256 MB free" in done.stderr
    assert "hint: free disk space" in done.stderr
    assert used == 0
    assert again.returncode == 0, again.stderr
    assert "RUN echo kept > /kept  cached" in again.stderr


def test_a_layer_larger_than_the_disk(persons):
    """Where the kernel says first that nothing is left, that is an error of ours and not a broken cache."""
    person = persons["root"]
    folder = context(person, "large", "FROM busybox\nCOPY big /big\n")
    with (folder / "big").open("wb") as file:
        file.truncate(300 << 20)
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    with small_disk("100m") as disk:
        words = ["--cache", str(disk / "cache"), "build", "--progress", "plain", "--build-context", named, "large"]
        done = person.run(*words)
        left = [path for path in disk.rglob("big") if path.is_file()]
        (folder / "big").write_text("small")
        again = person.run(*words)

    assert done.returncode == 73, done.stderr
    assert "No space left on device" in done.stderr
    assert not left
    assert again.returncode == 0, again.stderr
