"""Steps without namespaces, which a chroot alone keeps in.

Played: `mkdir; chroot; cd ..`, which a program with CAP_SYS_CHROOT leaves any chroot by; a node of the disk
(CAP_MKNOD); a cache that is a folder of the step's root, replaced by a link to a folder of the host.
"""

import subprocess
from pathlib import Path

import pytest

from containers import Person
from dockerfile.theirs import build, context
from gobuild import go_binary

pytestmark = pytest.mark.slow

ESCAPE = (Path(__file__).parent / "samples" / "escape.go").read_text()


@pytest.fixture
def root(persons: dict[str, Person]) -> Person:
    """Root: chroot isolation is nobody else's."""
    return persons["root"]


@pytest.mark.parametrize("mounts", [True, False])
@pytest.mark.parametrize("user", ["root", "33"])
def test_leaving_by_another_chroot(root, mounts, user):
    """No step finds a file of the host, whether the launcher can pivot or only chroot."""
    precious = root.home / "precious"
    precious.write_text("x")
    program = go_binary(ESCAPE, "-ldflags=-s").read_bytes()
    text = f"FROM busybox\nCOPY --chmod=755 escape /escape\nUSER {user}\nRUN /escape {precious}\n"
    folder = context(root, "escape", text, escape=program)
    limits = [] if mounts else ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]

    done = subprocess.run(
        [
            *limits,
            *root.argv("build", "--isolation", "chroot", "--progress", "plain", "--no-cache",
                       "--build-context", "busybox=oci-layout://busybox", folder.name),
        ],
        env=root.environment, cwd=root.home, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "| tried" in done.stderr
    assert "escaped" not in done.stderr
    assert user != "root" or "| chroot: operation not permitted" in done.stderr
    assert "isolates files, but not processes" in done.stderr


def test_capabilities(root):
    """The two that lead out of a chroot are gone for good: no set-uid program or file gives them back."""
    folder = context(root, "caps", "FROM busybox\nRUN touch /x; mknod /n c 1 3 || echo none\n")

    done = build(root, folder, "--isolation", "chroot", "--no-cache")

    assert "| none" in done.stderr, done.stderr


@pytest.mark.parametrize("target", ["/c", "/deep/er/c"])
def test_a_cache_that_became_a_link(root, target):
    """A step moves its cache away and leaves a link to the host: the next step's cache is not that folder."""
    precious = root.home / f"precious{target.count('/')}"
    precious.mkdir()
    (precious / "kept").write_text("kept")
    mount = f"--mount=type=cache,target={target},id=moved{target.count('/')}"
    text = f"""FROM busybox
RUN {mount} touch {target}/old; mv {target} /kept && ln -s {precious} {target}
RUN {mount} ls {target}; touch {target}/planted; rm -f {target}/kept
RUN rm -rf /deep; mkdir -p /deep/er
"""
    folder = context(root, "cache", text)

    done = build(root, folder, "--isolation", "chroot", "--no-cache")

    assert done.returncode == 0, done.stderr
    assert sorted(place.name for place in precious.iterdir()) == ["kept"]
    assert "| kept" not in done.stderr


def test_stubs_below_a_link(root):
    """What was made to show mounts is taken out where it is, not where the step's links point (CVE-2024-23652)."""
    precious = root.home / "stubs-precious"
    for name in ("emptydir", "sub"):
        (precious / name).mkdir(parents=True)
    (precious / "emptyfile").touch()
    folder = context(
        root, "stubs",
        "FROM busybox\nRUN --mount=type=tmpfs,target=/a/emptydir --mount=type=secret,id=s,target=/a/emptyfile "
        f"--mount=type=tmpfs,target=/a/sub/deeper mv /a /moved && ln -s {precious} /a\n",
        secret="planted",  # noqa: S106 - what a test plants
    )  # fmt: skip

    done = build(root, folder, "--isolation", "chroot", "--secret", "id=s,src=stubs/secret", "--no-cache")

    assert done.returncode == 0, done.stderr
    assert sorted(place.name for place in precious.iterdir()) == ["emptydir", "emptyfile", "sub"]
