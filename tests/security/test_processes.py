"""Fork bombs: a step and a container end at their limit, of root too, whom setrlimit(2) does not limit."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers import Person
from dockerfile import bases
from needs import need_root

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")]

BOMB = "i=0; while [ $i -lt 300 ]; do sleep 60 & i=$((i+1)); done; echo all 300 started"


@pytest.fixture
def context(person: Person) -> Iterator[Path]:
    """A step that is a fork bomb of 300."""
    place = person.home / "bombs"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(bases.busybox(), place / "busybox")
    (place / "Dockerfile").write_text(f'FROM busybox\nRUN {BOMB}\nENTRYPOINT ["sh", "-c", "{BOMB}"]\n')
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield place
    shutil.rmtree(place)


def wherry(person: Person, *arguments: str, before: str = "true") -> subprocess.CompletedProcess[str]:
    """Run wherry after a command of root's in a mount namespace of its own."""
    argv = person.argv("--cache", "cache", "--store", "store", *arguments)
    if before != "true":
        argv = ["unshare", "--mount", "sh", "-c", f'{before} && exec "$@"', "sh", *argv]
    return subprocess.run(
        argv, env=person.environment, cwd=person.home, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def groups_left() -> list[Path]:
    """List control groups of ours without a process; a container at work, of another test, has some in its own."""
    left = []
    for folder in Path("/sys/fs/cgroup").glob("**/wherry-*"):
        try:
            if not (folder / "cgroup.procs").read_text():
                left.append(folder)
        except FileNotFoundError:
            pass  # it was deleted meanwhile
    return left


def build(context: Path, *options: str) -> list[str]:
    """Give the words of a build."""
    named = f"busybox=oci-layout://{context / 'busybox'}"
    return [
        "build",
        "--no-cache",
        "--progress",
        "plain",
        "--build-context",
        named,
        "-t",
        "bomb",
        *options,
        str(context),
    ]


def test_a_bomb_in_a_step(person, context):
    """--ulimit nproc stops it; the default leaves room for as many as it wants; nothing stays behind."""
    stopped = wherry(person, *build(context, "--ulimit", "nproc=100"))
    whole = wherry(person, *build(context))

    assert stopped.returncode != 0
    assert "can't fork" in stopped.stderr
    assert "all 300 started" not in stopped.stderr.replace(BOMB, "")
    assert whole.returncode == 0, whole.stderr
    assert groups_left() == []


def test_a_bomb_in_a_container(person, context):
    """--pids-limit stops it."""
    built = wherry(person, *build(context))
    assert built.returncode == 0, built.stderr

    stopped = wherry(person, "run", "--pids-limit", "100", "bomb")
    whole = wherry(person, "run", "bomb")

    assert "can't fork" in stopped.stderr
    assert "all 300 started" not in stopped.stdout
    assert whole.stdout == "all 300 started\n"


def test_roots_limit_without_control_groups(everybody, person, context):
    """Where root's processes can't be limited, a limit that was asked for is refused, and the usual one's lack said."""
    need_root()
    if person.uid != 0:
        pytest.skip("setrlimit holds for plain users")
    hidden = "mount -t tmpfs -o ro none /sys/fs/cgroup"

    refused = wherry(person, *build(context, "--ulimit", "nproc=100"), before=hidden)
    said = wherry(person, *build(context), before=hidden)
    container = wherry(person, "run", "--pids-limit", "100", "bomb", before=hidden)

    assert refused.returncode != 0
    assert "cannot limit the number of processes" in refused.stderr
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("the number of processes is not limited") == 1
    assert container.returncode != 0
    assert "cannot limit" in container.stderr
