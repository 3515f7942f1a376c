"""Devices and masked files: nothing that a step or a container does to them reaches the host's.

Sources: runc's CVE-2025-31133 (a masked path shown by what the container put in the place of /dev/null).
"""

import os
import subprocess
from pathlib import Path

import pytest

from containers import PROBE, file, folder, make_image
from dockerfile.theirs import build, context
from gobuild import go_binary
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow

NODES = ("null", "zero", "full", "random", "urandom", "tty")


def state() -> list[tuple[object, ...]]:
    """Describe the host's nodes, with what only their inode knows."""
    found = []
    for name in NODES:
        status = Path("/dev", name).stat()
        found.append((status.st_mode, status.st_uid, status.st_gid, status.st_ctime_ns, os.listxattr(f"/dev/{name}")))
    return found


ATTACK = """for name in null zero full random urandom tty; do
  chmod 0600 /dev/$name; chown 5:6 /dev/$name; touch -d @1 /dev/$name; chmod 04777 /proc/self/fd/0
done
for name in /proc/keys /proc/interrupts /proc/timer_list /proc/sysrq-trigger /proc/sys/kernel/core_pattern; do
  chmod 0777 $name; chown 5:6 $name; echo planted > $name
done
cat /proc/keys /proc/interrupts | wc -c
echo written > /dev/null && head -c 5 /dev/zero | wc -c
echo done
"""


@pytest.mark.parametrize("user", ["0", "33"])
def test_a_step_changes_the_nodes(person, user):
    """As root and as another user: the host's nodes keep their mode, owner, times and attributes; devices work."""
    folder = context(person, "nodes", f"FROM busybox\nCOPY attack /\nUSER {user}\nRUN sh /attack\n", attack=ATTACK)
    before = state()
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()

    done = build(person, folder, "--no-cache")

    assert done.returncode == 0, done.stderr
    assert "| done" in done.stderr
    assert state() == before
    assert Path("/proc/sys/kernel/core_pattern").read_text() == pattern
    said = [line.partition("| ")[2] for line in done.stderr.splitlines()]
    assert "0" in said, "masked files are not empty"
    assert "5" in said or user != "0"


def test_nodes_in_a_chroot(persons):
    """In a chroot they are nodes of the step's own, or none."""
    folder = context(persons["root"], "nodes", "FROM busybox\nCOPY attack /\nRUN sh /attack\n", attack=ATTACK)
    before = state()

    done = build(persons["root"], folder, "--isolation", "chroot", "--no-cache")

    assert done.returncode == 0, done.stderr
    assert state() == before


def test_a_container_changes_the_nodes(person):
    """`wherry run`, as the container's root."""
    shell = go_binary(PROBE.read_text(), "-ldflags=-s")
    store = DiskStore(person.home / "nodes-store")
    layer = [folder("etc"), file("app", shell, mode=0o755)]
    store.tag("nodes", make_image(store, [layer], RuntimeConfig(entrypoint=("/app",))))
    subprocess.run(["chown", "-R", person.name, str(store.folder)], check=True)
    before = state()
    tries = [f"{what}:/dev/{name}" for name in NODES for what in ("chmod", "chown")]

    done = person.run("--store", str(store.folder), "run", "--user", "0", "nodes", "try", *tries, "write:/dev/null")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "ok"
    assert state() == before


def test_a_mask_is_ours(person):
    """CVE-2025-31133: a /dev that the step brings along, in which null is a link, is not what covers /proc's files."""
    text = """FROM busybox
RUN --mount=type=cache,target=/cache,id=dev ln -sf /proc/sys/kernel/core_pattern /cache/null; mkdir -p /cache/pts
RUN --mount=type=cache,target=/dev,id=dev cat /proc/keys /proc/interrupts | wc -c; ls -l /proc/keys; ls -ld /dev/null
RUN --mount=type=cache,target=/dev,id=dev echo '|planted' > /dev/null || echo refused
"""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()

    done = build(person, context(person, "masks", text), "--no-cache")

    assert done.returncode == 0, done.stderr
    assert "| 0" in done.stderr
    assert "| refused" in done.stderr
    assert Path("/proc/sys/kernel/core_pattern").read_text() == pattern
