"""The modules that are built: our example, crane from its own module, and a service with heavy dependencies."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from subjects import Workspace

ROOT = Path(__file__).resolve().parents[1]
_IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
_EDIT = '\nvar benchEdited = "{mark}"\n\nfunc init() {{\n\tif benchEdited == "" {{\n\t\tpanic("never")\n\t}}\n}}\n'


@dataclass(frozen=True, slots=True)
class Module:
    """A module to build; `source` is a folder of this repository, or `module@version` for Go to fetch."""

    name: str
    source: str
    package: str
    edited: str
    """The file, in package main, that "one file edited" adds to."""


MODULES = (
    Module("hello", "examples/hello", ".", "main.go"),
    Module("crane", "github.com/google/go-containerregistry@v0.22.1", "./cmd/crane", "cmd/crane/main.go"),
    Module("svc", "bench/modules/svc", ".", "main.go"),
)


def module_cache() -> str:
    """Ask Go where its module cache is."""
    return subprocess.run(["go", "env", "GOMODCACHE"], check=True, capture_output=True, text=True).stdout.strip()


def fetch(module: Module) -> Path:
    """Give a module's folder, with all that it needs in the module cache."""
    folder = ROOT / module.source
    if "@" in module.source:
        words = ["go", "mod", "download", "-modcacherw", "-json", module.source]
        done = subprocess.run(words, cwd="/", check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{module.source} could not be fetched: {done.stdout}{done.stderr}")
        folder = Path(json.loads(done.stdout)["Dir"])
    return folder


def lay(module: Module, origin: Path, folder: Path) -> Workspace:
    """Lay a copy of a module into a workspace, as a git checkout of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    space = Workspace(folder, module.package)
    shutil.copytree(origin, space.module, ignore=shutil.ignore_patterns(".git"))
    for path in [space.module, *space.module.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    # Version control is part of a user's day: builders look at it, so there is a commit to look at.
    for words in (["init", "-q"], ["add", "-A"], [*_IDENTITY, "commit", "-q", "-m", "as it came"]):
        subprocess.run(
            ["git", *words], cwd=space.module, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        )
    subprocess.run(
        ["go", "mod", "download"], cwd=space.module, check=True, env={**os.environ, "GOFLAGS": "-modcacherw"}
    )
    empty(space)
    return space


def empty(space: Workspace) -> None:
    """Delete every cache of a workspace, and what was built."""
    for folder in space.caches:
        shutil.rmtree(folder, ignore_errors=True)
    (space.folder / "out").mkdir()


def read_once(space: Workspace, module: Module) -> None:
    """Have what the compiler reads in memory, so that the first subject does not read it from the disk for all."""
    words = ["go", "list", "-deps", "-f", "{{.Dir}}", module.package]
    done = subprocess.run(words, cwd=space.module, env=space.environment(), check=True, capture_output=True, text=True)
    for folder in done.stdout.splitlines():
        for path in Path(folder).iterdir():
            if path.is_file():
                path.read_bytes()


def edit(space: Workspace, module: Module, mark: str) -> None:
    """Change one file so that the program changes; an edit replaces the one before."""
    path = space.module / module.edited
    original = path.read_text().partition("\nvar benchEdited")[0]
    path.write_text(original + _EDIT.format(mark=mark))
