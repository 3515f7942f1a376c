"""Other users of the machine, and a step that aims at the process that watches over it.

Played: CVE-2021-41091 (moby: set-uid programs of images could be executed by every user of the host, through the
folders that layers were unpacked in).
"""

import stat
import subprocess
from pathlib import Path

import pytest

from containers import Person
from dockerfile.theirs import build, context

pytestmark = pytest.mark.slow


def test_set_uid_programs_are_out_of_reach(persons, tmp_path_factory):
    """CVE-2021-41091: what root unpacks in a cache that is open to all can't be executed by another user."""
    root, other = persons["root"], persons["one"]
    cache = tmp_path_factory.mktemp("open")
    for place in (cache, *cache.parents[:3]):
        if place != Path("/tmp"):  # noqa: S108 - pytest's folders are in it
            place.chmod(0o755)
    text = "FROM busybox\nRUN cp /bin/busybox /root-shell && chmod 4755 /root-shell\n"
    text += "RUN --mount=type=cache,target=/c,mode=0777 cp /root-shell /c/shell && chmod 4755 /c/shell\n"
    folder = context(root, "setuid", text)
    named = "busybox=oci-layout://busybox"

    done = root.run("--cache", str(cache), "build", "--build-context", named, "-t", "setuid", folder.name)

    assert done.returncode == 0, done.stderr
    found = [place for place in cache.rglob("*") if place.is_file() and place.stat().st_mode & stat.S_ISUID]
    assert len(found) > 1
    assert cache.stat().st_mode & 0o001
    for place in found:
        argv = [
            "setpriv",
            f"--reuid={other.name}",
            f"--regid={other.name}",
            "--init-groups",
            "sh",
            "-c",
            '"$0" id',
            str(place),
        ]
        tried = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert "Permission denied" in tried.stderr, (place, tried.stdout)


@pytest.mark.parametrize("number", ["INT", "TERM", "KILL", "HUP", "CHLD", "USR1"])
def test_signals_to_the_first_process(person: Person, number: str):
    """A step that signals the process that watches over it is still cleaned up after, and ends as it says."""
    step = f"RUN --mount=type=tmpfs,target=/stub/x kill -{number} 1; echo went; exit 0"
    text = f"FROM busybox\n{step}\nRUN test ! -e /stub\n"

    done = build(person, context(person, "signals", text), "--no-cache")

    assert done.returncode == 0, done.stderr
    assert "| went" in done.stderr
    assert "Traceback" not in done.stderr
