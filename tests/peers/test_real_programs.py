"""Programs people run, from their own modules: built for two platforms, started, asked."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from needs import need
from wherry.cli.main import run
from wherry.cli.world import World

PROGRAMS = {
    "crane": ("github.com/google/go-containerregistry", "v0.20.2", "cmd/crane", ["version"], ""),
    "etcd": ("go.etcd.io/etcd/server/v3", "v3.6.4", ".", ["--version"], "etcd Version: 3.6.4"),
    "promtool": ("github.com/prometheus/prometheus", "v0.305.0", "cmd/promtool", ["--version"], "promtool, version"),
}


def module_copy(folder: Path, module: str, version: str) -> Path:
    """Copy a module out of the module cache, so that it is built by its own go.mod."""
    answer = subprocess.run(
        ["go", "mod", "download", "-json", f"{module}@{version}"], capture_output=True, check=True, cwd=folder
    )
    copy = folder / "module"
    shutil.copytree(json.loads(answer.stdout)["Dir"], copy, ignore=shutil.ignore_patterns("vendor"))
    for path in [copy, *copy.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    _leave_its_repository(copy)
    return copy


def _leave_its_repository(copy: Path) -> None:
    """Take the replacements by neighbouring folders out of go.mod: a published module has no neighbours."""
    document = json.loads(
        subprocess.run(["go", "mod", "edit", "-json"], capture_output=True, check=True, cwd=copy).stdout
    )
    gone = [one["Old"]["Path"] for one in document.get("Replace") or () if "Version" not in one["New"]]
    if gone:
        subprocess.run(["go", "mod", "edit", *(f"-dropreplace={path}" for path in gone)], check=True, cwd=copy)
        environment = {**os.environ, "GOFLAGS": "-mod=mod"}
        subprocess.run(["go", "list", "-deps", "."], capture_output=True, check=True, cwd=copy, env=environment)


def call(world_of: Path, folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Call wherry in a folder; give the exit code and what it printed."""
    theirs = ("GO", "CGO", "WHERRY")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    environment |= {
        "GOENV": "off",
        "GOWORK": "off",
        "WHERRY_STORE": str(world_of / "s"),
        "WHERRY_CACHE": str(world_of / "c"),
    }
    for name in ("GOMODCACHE", "GOCACHE", "GOPROXY", "GOSUMDB", "GOPATH"):
        value = subprocess.run(["go", "env", name], capture_output=True, text=True, check=True).stdout.strip()
        environment[name] = value
    out, err = io.StringIO(), io.StringIO()
    code = run(list(arguments), World(out, err, environment, folder))
    return code, out.getvalue(), err.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["crane", pytest.param("etcd", marks=pytest.mark.peers), pytest.param("promtool", marks=pytest.mark.peers)]
)
def test_a_real_program_starts_on_both_platforms(name, tmp_path):
    """Built from its own go.mod; the arm64 one runs under qemu-user."""
    need("go")
    need("qemu-aarch64-static")
    module, version, package, words, answer = PROGRAMS[name]
    folder = module_copy(tmp_path, module, version)
    code, _, err = call(tmp_path, folder, "build", f"./{package}", "-t", name, "--platform", "linux/amd64,linux/arm64")
    assert code == 0, err

    for platform in ("linux/amd64", "linux/arm64"):
        done = subprocess.run(
            [sys.executable, "-m", "wherry", "--store", tmp_path / "s", "--cache", tmp_path / "c",
             "run", "--platform", platform, name, *words],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert answer in done.stdout + done.stderr

    code, _, err = call(tmp_path, folder, "build", f"./{package}", "-t", name, "--platform", "linux/amd64,linux/arm64")
    assert code == 0
    assert "nothing changed" in err
