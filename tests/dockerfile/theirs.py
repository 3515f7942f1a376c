"""Contexts of people's own, and builds of them as they would call for them."""

import shutil
import subprocess
import tarfile
from pathlib import Path

from containers import Person


def context(person: Person, name: str, dockerfile: str, **files: bytes | str) -> Path:
    """Make a build context that is the person's own."""
    folder = person.home / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in {"Dockerfile": dockerfile, **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    subprocess.run(["chown", "-R", person.name, str(folder)], check=True)
    return folder


def build(person: Person, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Build it on busybox, if it asks for that."""
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    return person.run(
        "build", "-t", folder.name, "--progress", "plain", "--build-context", named, *words, folder.name, timeout=120
    )


def contents(person: Person, folder: Path, *words: str) -> dict[str, tarfile.TarInfo]:
    """Build it and list what is in it."""
    done = build(person, folder, "-o", "type=tar,dest=out.tar", *words)
    assert done.returncode == 0, done.stderr
    with tarfile.open(person.home / "out.tar") as tar:
        return {entry.name: entry for entry in tar}
