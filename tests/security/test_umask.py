"""The caller's umask decides nothing about an image or a rootfs: on a server with 027 or 077, / would be 0750."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli_shell import Shell
from containers import Person
from dockerfile import bases

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")]

UMASKS = (0o000, 0o027, 0o077)
DOCKERFILE = """FROM busybox
WORKDIR /made/here
COPY file deep/er/file
COPY tree /tree
ADD tree.tar /unpacked/
RUN mkdir /byrun && touch /byrun/file && mkdir -p /byrun/other
RUN --mount=type=cache,target=/a/cache --mount=type=tmpfs,target=/b/tmpfs touch /a/cache/x
USER 1234
CMD ["sh", "-c", "cat /made/here/deep/er/file /tree/inner/file && ls /byrun"]
"""


def test_no_other_user_enters_the_cache(tmp_path):
    """It holds what was fetched with credentials; a folder that the user made and named keeps its mode."""
    shell = Shell(tmp_path / "home")
    shell.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    usual = tmp_path / "home/.cache/wherry"
    usual.mkdir(parents=True, mode=0o755)
    (shared := tmp_path / "shared").mkdir()
    shared.chmod(0o770)
    modes = []
    for cache in (str(usual), str(tmp_path / "fresh"), str(shared)):
        shell.environment["WHERRY_CACHE"] = cache
        shell("build", ".", "-t", "a:1")
        modes.append(stat.S_IMODE(Path(cache).stat().st_mode))

    assert modes == [0o700, 0o700, 0o770]


def ended(person: Person, umask: int, *arguments: str) -> str:
    """Run wherry under a umask; give its standard output."""
    environment = {**person.environment, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(
        person.argv(*arguments), env=environment, cwd=person.home, umask=umask,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def modes(folder: Path) -> dict[str, tuple[int, bool]]:
    """Give the mode of each file below a folder, and of itself."""
    found = [folder, *sorted(folder.rglob("*"))]
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.lstat().st_mode), path.is_symlink())
        for path in found
    }  # fmt: skip


def context(person: Person) -> Path:
    """Write the context, the same for each umask."""
    folder = person.home / "context"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tree" / "inner").mkdir(parents=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    for name in ("file", "tree/inner/file"):
        (folder / name).write_text("seen\n")
    subprocess.run(["tar", "-cf", folder / "tree.tar", "-C", folder, "tree/inner/file"], check=True)
    shutil.copytree(bases.busybox(), folder / ".busybox")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.chown(path, person.uid, -1)
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return folder


def test_digests_and_runs(person):
    """The same Dockerfile gives the same digest, the same files and a program that runs, whatever the umask is."""
    folder = context(person)
    images, trees = {}, {}
    for umask in UMASKS:
        own = [f"--cache=cache-{umask:o}", f"--store=store-{umask:o}"]
        named = f"--build-context=busybox=oci-layout://{folder / '.busybox'}"
        words = [*own, "build", "--progress", "plain", named]
        ended(
            person, umask, *words, "--output", f"type=oci,dest=image-{umask:o}.tar,rewrite-timestamp=true", str(folder)
        )
        images[umask] = hashlib.sha256((person.home / f"image-{umask:o}.tar").read_bytes()).hexdigest()
        ended(person, umask, *words, "--output", f"type=local,dest=out-{umask:o}", str(folder))
        trees[umask] = modes(person.home / f"out-{umask:o}")

        said = ended(person, umask, *own, "run", str(person.home / f"image-{umask:o}.tar"))

        assert said == "seen\nseen\nfile\nother\n"
    assert len(set(images.values())) == 1, images
    assert trees[0] == trees[0o027] == trees[0o077]
    assert trees[0]["."] == (0o755, False)
    assert trees[0]["made/here/deep/er"] == (0o755, False)
    assert trees[0]["byrun/file"] == (0o644, False)


def test_golden_images():
    """The golden images and layers have the digests that are written down under each umask."""
    script = Path(__file__).parents[1] / "golden_digests.py"
    said = {
        subprocess.run(
            [sys.executable, script], umask=umask, capture_output=True, text=True, timeout=120, check=True
        ).stdout
        for umask in UMASKS
    }

    assert said == {(script.parent / "golden" / "digests.json").read_text()}
