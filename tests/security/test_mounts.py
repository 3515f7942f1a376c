"""Mounts that a Dockerfile or a volume puts where we look, and links that a race puts there.

runc's holes of this kind, and where they are played:
CVE-2019-16884, CVE-2025-52881 (a fake /proc takes what is written to /proc): below.
CVE-2019-19921, CVE-2023-27561 (/proc is a link in the image): below.
CVE-2021-30465, CVE-2024-45310 (a link swapped in while mount points are made): `test_trees.py`, as a race.
CVE-2024-21626 (a working directory that is a descriptor): `test_interpreter.py`.
CVE-2025-31133 (what covers masked files): `test_devices.py`.
CVE-2025-52565 (the terminal's file is a link): below.
"""

import os
import subprocess

import pytest

from containers import PROBE, file, folder, make_image
from dockerfile.theirs import build, context
from gobuild import go_binary
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow


def test_a_fake_proc(person):
    """CVE-2019-16884, CVE-2025-52881: a mount over /proc neither takes our writes nor keeps a step from its user."""
    text = """FROM busybox AS fake
RUN mkdir -p /p/self /p/thread-self && cd /p/self && touch setgroups uid_map gid_map attr && ln -s / root && ln -s / cwd
FROM busybox
USER 1000:1001
RUN --mount=type=bind,from=fake,source=/p,target=/proc,rw id -u; id -g; cd /proc/self; wc -c <uid_map; wc -c <setgroups
"""

    done = build(person, context(person, "fake", text), "--no-cache")

    assert done.returncode == 0, done.stderr
    said = [line.partition("| ")[2] for line in done.stderr.splitlines() if "| " in line]
    assert said[-4:] == ["1000", "1001", "0", "0"], said


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_link_where_the_kernel_is_mounted(person, name):
    """CVE-2019-19921, CVE-2023-27561: an image in which /proc is a link to what a volume shares is refused."""
    text = """FROM scratch AS base
COPY --from=busybox /bin /bin
FROM base AS linked
COPY made /
FROM linked
RUN --mount=type=cache,target=/shared echo went
"""
    folder_ = context(person, "linked", text)
    (folder_ / "made").mkdir()
    (folder_ / "made" / name).symlink_to("/shared")

    done = build(person, folder_, "--no-cache")

    assert done.returncode != 0
    assert "| went" not in done.stderr
    assert "symbolic link" in done.stderr, done.stderr


def test_a_terminal_that_is_a_link(person):
    """CVE-2025-52565: the terminal comes from our own file system, not through names that a volume covers."""
    precious = person.home / "precious-file"
    precious.write_text("host")
    evil = person.home / "pts"
    evil.mkdir(exist_ok=True)
    for name in ("ptmx", "0", "1"):
        (evil / name).unlink(missing_ok=True)
        (evil / name).symlink_to(precious)
    store = DiskStore(person.home / "terminal-store")
    layer = [folder("etc"), file("app", go_binary(PROBE.read_text(), "-ldflags=-s"), mode=0o755)]
    store.tag("terminal", make_image(store, [layer], RuntimeConfig(entrypoint=("/app",))))
    subprocess.run(["chown", "-R", person.name, str(store.folder), str(evil), str(precious)], check=True)
    ours, theirs = os.openpty()
    argv = person.argv("--store", str(store.folder), "run", "-t", "-v", f"{evil}:/dev/pts", "terminal", "exit", "7")

    process = subprocess.Popen(
        argv,
        env=person.environment,
        cwd=person.home,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    code = process.wait(timeout=60)
    os.close(ours)

    assert code == 7
    assert precious.read_text() == "host"
