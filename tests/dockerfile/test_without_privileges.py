"""Builds where nothing can be mounted and no namespace be had: inside runc, whose filter forbids both."""

import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from containers import Person
from dockerfile import bases
from needs import need, need_root

pytestmark = pytest.mark.slow

_NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW… flags of clone(2)."""
_FORBIDDEN = (
    "unshare", "setns", "mount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount", "open_tree", "move_mount",
    "mount_setattr",
)  # fmt: skip
_DOCKERS = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
DOCKERFILE = """FROM busybox AS a
RUN touch /x; rm /etc/group; mkdir -p /n/m; echo hi > /n/m/f; ln -s /n /l; (sleep 974 &); echo there > /dev/null
RUN --mount=type=cache,target=/c,uid=3 --mount=type=tmpfs,target=/t date > /c/x; touch /t/y; grep localhost /etc/hosts
RUN --mount=type=secret,id=token,mode=0444 grep -c planted /run/secrets/token
RUN chown 5:6 /n/m/f && chmod 4711 /x && mv /n/m/f /n/m/g
USER www-data
RUN id -u; touch /tmp/mine
USER root
WORKDIR /w
RUN rm -rf /n/m && mkdir /n/m
FROM busybox
COPY --from=a /n /n
COPY --from=a --chown=7:8 / /all/
ADD --chmod=600 Dockerfile /d/
RUN --mount=from=a,target=/a,source=/n ls /a && touch /last
"""


def entered(rootfs: Path, argv: list[str], environment: dict[str, str], home: Path) -> dict[str, object]:
    """Say to runc what a pod without privileges is: Docker's capabilities, the machine's folders, a filter."""
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    mounts += [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}]
    for entry in sorted(Path("/").iterdir()):
        if entry.is_symlink():
            (rootfs / entry.name).symlink_to(entry.readlink())
        elif entry.is_dir() and entry.name not in ("proc", "sys", "dev", "run", "lost+found"):
            mounts += [{"destination": str(entry), "source": str(entry), "options": ["rbind", "rw"]}]
    capabilities = [f"CAP_{name}" for name in _DOCKERS]
    kinds = ("bounding", "effective", "permitted")
    refused = {"action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    flags = {"index": 0, "value": _NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": argv,
            "env": [f"{name}={value}" for name, value in environment.items()],
            "cwd": str(home),
            "capabilities": dict.fromkeys(kinds, capabilities),
            "noNewPrivileges": True,
        },
        "root": {"path": str(rootfs)},
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
                "syscalls": [
                    {"names": list(_FORBIDDEN), **refused},
                    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                    *({"names": ["clone"], **refused, "args": [flag]} for flag in _each(flags)),
                ],
            },
        },
    }


def _each(flags: dict[str, object]) -> Iterator[dict[str, object]]:
    """Give a rule for each flag: a filter compares a masked value with one number."""
    for bit in range(32):
        if _NEW_NAMESPACES >> bit & 1:
            yield {**flags, "value": 1 << bit, "valueTwo": 1 << bit}


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Root, with a home of its own that has busybox in it."""
    need_root()
    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(bases.busybox(), home / "busybox")
    (home / "context").mkdir()
    (home / "context" / "Dockerfile").write_text(DOCKERFILE)
    (home / "token").write_text("planted-5577-secret")
    return Person("root", home, 0)


def words(person: Person, *more: str, cache: str = "cache") -> list[str]:
    """Give the command line of the build."""
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    usual = ["build", "--no-cache", "--progress", "plain", "--build-context", named, "--secret", "id=token,src=token"]
    return person.argv("--cache", cache, *usual, *more, "context")


@contextmanager
def pod(person: Person, argv: list[str], bundle: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start it in runc."""
    rootfs = bundle / "rootfs"
    rootfs.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps(entered(rootfs, argv, person.environment, person.home)))
    name = f"wherry-{os.getpid()}-{bundle.name}"
    runc = [need("runc"), "--root", str(bundle / "state")]
    process = subprocess.Popen(
        [*runc, "run", "--bundle", str(bundle), name],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        subprocess.run([*runc, "delete", "--force", name], capture_output=True, check=False)
        process.communicate(timeout=20)


def listed(place: Path) -> dict[str, tuple[object, ...]]:
    """List a tar, without times."""
    with tarfile.open(place) as tar:
        return {entry.name: (entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.linkname) for entry in tar}


@pytest.mark.peers
@pytest.mark.parametrize("isolation", ["auto", "chroot"])
def test_builds_the_same(person, tmp_path, isolation):
    """Every file is as with namespaces, and nothing that a step started stays."""
    usual = subprocess.run(
        words(person, "-o", "type=tar,dest=usual.tar"), cwd=person.home, env=person.environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    argv = words(person, "--isolation", isolation, "-o", "type=tar,dest=pod.tar", cache="other")

    with pod(person, argv, tmp_path / "pod") as process:
        _, said = process.communicate(timeout=120)

    assert usual.returncode == 0, usual.stderr
    assert process.returncode == 0, said
    assert "runs in a chroot" in said
    assert "| 33" in said
    assert listed(person.home / "pod.tar") == listed(person.home / "usual.tar")
    assert "sleep 974" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


@pytest.mark.peers
def test_refuses_rather_than_pretends(person, tmp_path):
    """Asked for namespaces, a build that gets none says why and does no step."""
    with pod(person, words(person, "--isolation", "userns"), tmp_path / "pod") as process:
        _, said = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "cannot create a sandbox" in said, said
    assert "hint:" in said
    assert "| 33" not in said


def test_a_killed_build_leaves_no_secret(person):
    """In a chroot a secret is a file for a while; it goes even where wherry itself is killed."""
    (person.home / "context" / "Dockerfile").write_text(
        "FROM busybox\nRUN --mount=type=secret,id=token wc -c /run/secrets/token; echo up; sleep 973\n"
    )
    running = subprocess.Popen(
        words(person, "--isolation", "chroot"), cwd=person.home, env=person.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    for line in running.stderr:
        if "| up" in line:
            break

    running.send_signal(signal.SIGKILL)
    running.communicate()  # ends when the last process that has its stderr does

    found = subprocess.run(
        ["grep", "-rlF", "planted-5577", str(person.home)], capture_output=True, text=True, check=False
    ).stdout.split()
    assert found == [str(person.home / "token")]
