"""What a step leaves in its tree, and what two steps do to one tree: no work of ours on it leaves the tree.

Played: CVE-2024-23651 (BuildKit: two steps race on a cache's sub-folder), CVE-2024-23652 (BuildKit: the clean-up of
mount points follows the step's links), CVE-2024-23653 (BuildKit: privileges without their being allowed),
CVE-2024-1753 (buildah: a bind's source is a link to /), CVE-2024-9407 (buildah: options of a bind mount that are not
checked), CVE-2024-9675 (buildah: a cache's name with `..`), CVE-2024-11218 (buildah: two jobs race on a mount).
CVE-2024-23650 (BuildKit: a panic at a hostile client's request) can't apply: there is no daemon and no client.
"""

import ctypes
import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockerfile.theirs import build, context
from wherry.sandbox.launcher.paths import make_file, make_folder, open_inside, open_real, take_away

pytestmark = pytest.mark.slow
ROUNDS = 2000


@pytest.fixture
def precious(person) -> Path:
    """A folder of the host's that a link of the step points to, with what a clean-up would take."""
    folder = person.home / "precious"
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    (folder / "emptydir").mkdir(parents=True)
    (folder / "sub" / "deeper").mkdir(parents=True)
    (folder / "emptyfile").touch()
    (folder / "marker").write_text("host")
    subprocess.run(["chown", "-R", person.name, str(folder)], check=True)
    return folder


def whole(folder: Path) -> list[tuple[str, int]]:
    """List a folder with the times of what is in it."""
    return sorted((str(place), place.lstat().st_mtime_ns) for place in (folder, *folder.rglob("*")))


def test_a_clean_up_follows_no_link(person, precious):
    """CVE-2024-23652: mount points of a step that moved the folder above and left a link stay where they are."""
    text = f"""FROM busybox
RUN --mount=type=tmpfs,target=/a/emptydir --mount=type=secret,id=s,target=/a/emptyfile \
 --mount=type=tmpfs,target=/a/sub/deeper mv /a /moved && ln -s {precious} /a
RUN ls /moved && readlink /a
"""
    before = whole(precious)

    done = build(person, context(person, "stubs", text, secret="x"), "--secret", "id=s,src=stubs/secret", "--no-cache")  # noqa: S106 - what a test plants

    assert done.returncode == 0, done.stderr
    assert whole(precious) == before


def test_a_clean_up_of_what_is_left_alone(person):
    """Mount points that the step left alone are in no layer."""
    text = """FROM busybox
RUN --mount=type=tmpfs,target=/new/folder --mount=type=secret,id=s,target=/new/file true
RUN test ! -e /new && echo clean
"""

    done = build(person, context(person, "clean", text, secret="x"), "--secret", "id=s,src=clean/secret", "--no-cache")  # noqa: S106 - what a test plants

    assert "| clean" in done.stderr, done.stderr


def test_a_caches_folder_that_is_a_link(person, precious):
    """CVE-2024-23651, without a race: the sub-folder of a cache that a step mounts is a link to the host."""
    text = f"""FROM busybox
RUN --mount=type=cache,target=/c,id=links rm -rf /c/sub; ln -s {precious} /c/sub
FROM busybox AS other
RUN --mount=type=cache,target=/m,id=links,source=sub ls -a /m; touch /m/planted; rm -f /m/marker
"""
    folder = context(person, "links", text)
    before = whole(precious)

    first = build(person, folder, "--no-cache", "--target", "0")
    done = build(person, folder, "--no-cache")

    assert first.returncode == 0, first.stderr
    assert "| marker" not in done.stderr
    assert whole(precious) == before


def test_two_steps_race_on_a_cache(person, precious):
    """CVE-2024-23651, CVE-2024-11218: one step swaps a cache's folder with a link, others mount it and below it."""
    swap = "mv -T /c/sub /c/x; mv -T /c/link /c/sub; mv -T /c/sub /c/link; mv -T /c/x /c/sub"
    text = f"""FROM busybox AS swaps
RUN --mount=type=cache,target=/c,id=race mkdir -p /c/sub; ln -sfn {precious} /c/link; \
 i=0; while [ $i -lt 3000 ]; do {swap}; i=$((i+1)); done; touch /c/ended
"""
    names = [f"m{number}" for number in range(4)]
    for name in names:
        text += f"""FROM busybox AS {name}
RUN --mount=type=cache,target=/m,id=race --mount=type=tmpfs,target=/m/sub/{name} ls -a /m/sub/; touch /m/sub/{name}p
RUN --mount=type=cache,target=/m,id=race --mount=type=secret,id=s,target=/m/sub/f{name} ls -a /m/sub/; true
"""
    text += "FROM busybox\n" + "".join(f"COPY --from={name} /etc/passwd /{name}\n" for name in ("swaps", *names))
    before = whole(precious)

    done = build(person, context(person, "race", text, secret="x"), "--secret", "id=s,src=race/secret", "--no-cache")  # noqa: S106 - what a test plants

    assert whole(precious) == before
    assert "| marker" not in done.stderr


def test_privileges_have_to_be_allowed(person):
    """CVE-2024-23653: a Dockerfile alone gives no step more than Docker's capabilities."""
    text = "# syntax=docker/dockerfile:1-labs\nFROM busybox\nRUN --security=insecure grep CapEff /proc/self/status\n"

    done = build(person, context(person, "insecure", text), "--no-cache")

    assert done.returncode != 0
    assert "CapEff" not in "".join(line for line in done.stderr.splitlines() if " | Cap" in line)
    assert "security.insecure" in done.stderr


def test_a_binds_source_that_is_a_link(person, precious):
    """CVE-2024-1753: a bind's source that is a link to / of its stage is the stage's root, never the host's."""
    text = f"""FROM busybox AS a
RUN ln -s / /root-link && ln -s {precious} /host-link && ln -s ../../../../../../..{precious} /up-link
FROM busybox
RUN --mount=type=bind,from=a,source=/root-link,target=/m,rw ls /m && test -e /m/root-link && test ! -e /m{precious}
"""
    for name in ("host-link", "up-link"):
        text += f"RUN --mount=type=bind,from=a,source=/{name},target=/m,rw rm -f /m/marker\n"
    before = whole(precious)

    done = build(person, context(person, "bind", text), "--no-cache")

    assert "marker" not in "".join(line for line in done.stderr.splitlines() if " | " in line and "RUN" not in line)
    assert whole(precious) == before
    assert done.returncode != 0  # the links lead to nothing in their stage


@pytest.mark.parametrize("option", ["bind-propagation=shared", "bind-propagation=rshared,rw", "z", "suid", "dev"])
def test_options_of_a_bind_that_nobody_knows(person, option):
    """CVE-2024-9407: an option that is not the language's is refused, not handed to mount(2)."""
    text = f"FROM busybox AS a\nFROM busybox\nRUN --mount=type=bind,from=a,target=/m,{option} true\n"

    done = build(person, context(person, "options", text), "--no-cache")

    assert done.returncode != 0
    assert "Dockerfile:3" in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["../../../../precious", "/../precious", "a/../../precious"])
def test_a_caches_name_leads_nowhere(person, precious, name):
    """CVE-2024-9675: a cache's name is no path."""
    text = f"FROM busybox\nRUN --mount=type=cache,id={name},target=/m ls -a /m; touch /m/planted; rm -f /m/marker\n"
    before = whole(precious)

    done = build(person, context(person, "named", text), "--no-cache")

    assert done.returncode == 0, done.stderr
    assert whole(precious) == before


@contextmanager
def swapping(folder: Path, name: str, target: Path) -> Iterator[None]:
    """Swap a folder's name with a link to elsewhere, all the time, as another step on the same disk could."""
    (folder / "aside").symlink_to(target)
    places = [os.fsencode(folder / each) for each in (name, "aside")]
    libc = ctypes.CDLL(None)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            libc.renameat2(-100, places[0], -100, places[1], 2)  # AT_FDCWD, RENAME_EXCHANGE

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A root, open, in which `a/b` is a folder now and a link to the outside then, and that outside."""
    outside = tmp_path / "outside"
    (outside / "c").mkdir(parents=True)
    (outside / "file").write_text("host")
    (tmp_path / "root" / "a" / "b" / "c").mkdir(parents=True)
    root = os.open(tmp_path / "root", os.O_RDONLY | os.O_DIRECTORY)
    with swapping(tmp_path / "root" / "a", "b", outside):
        yield root, outside
    os.close(root)


@pytest.mark.parametrize("strict", [False, True])
def test_opening_while_another_swaps(shared, strict):
    """Whatever the moment, what is opened is in the root, or nothing is."""
    root, outside = shared
    inner = {
        (status.st_dev, status.st_ino) for status in (outside.stat(), (outside / "c").stat(), (outside / "file").stat())
    }
    opened = 0
    for number in range(100 * ROUNDS):
        if opened and number >= ROUNDS:
            break  # on a busy machine it takes longer until a moment is met in which the path is whole
        path = ("a/b/c", "a/b", "a/b/file")[number % 3]
        try:
            found = open_real(root, path, os.O_RDONLY) if strict else open_inside(root, path)
        except OSError:
            continue
        status = os.fstat(found)
        os.close(found)
        opened += 1
        assert (status.st_dev, status.st_ino) not in inner

    assert opened


def test_making_while_another_swaps(shared):
    """CVE-2021-30465, CVE-2024-45310: what is made to mount on is made in the root alone."""
    root, outside = shared
    before = whole(outside)
    for number in range(ROUNDS):
        try:
            make = make_folder if number % 2 else make_file
            os.close(make(root, f"a/b/made{number}/x" if number % 3 else f"/a/b/made{number}"))
        except OSError:
            continue

    assert whole(outside) == before


def test_taking_away_while_another_swaps(shared):
    """CVE-2024-23652 as a race: a clean-up that meets the link takes nothing away."""
    root, outside = shared
    (outside / "made").mkdir()
    (outside / "empty").touch()
    before = whole(outside)
    tree = f"/proc/self/fd/{root}/."
    for _ in range(ROUNDS):
        take_away(tree, [("a/b/made", 0, 0), ("a/b/empty", 0, 0), ("a/b/c", 0, outside.stat().st_mtime_ns)])

    assert whole(outside) == before


@pytest.mark.parametrize("path", ["link/file", "a/../../outside/file", "../outside/file", "end"])
def test_without_openat2(tmp_path, path, monkeypatch):
    """Where a kernel or a filter knows no openat2(2), a path with a link or `..` in it is refused all the same."""
    from wherry.sandbox.launcher import syscalls

    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("host")
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "end").symlink_to(tmp_path / "outside" / "file")
    root = os.open(tmp_path / "root", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(OSError):
        open_real(root, path, os.O_RDONLY)
    monkeypatch.setattr(syscalls, "_OPENAT2", 100_000)  # a number that no kernel has: ENOSYS

    with pytest.raises(OSError) as caught:
        open_real(root, path, os.O_RDONLY)

    os.close(open_real(root, "a"))
    os.close(root)
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)
