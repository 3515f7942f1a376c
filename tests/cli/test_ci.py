"""`wherry ci init`: the step that it writes passes on a clean module, and fails on a tampered one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cli_shell import Shell
from verified_modules import GoWorld, go_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> GoWorld:
    """A vendored module in a repository."""
    made = go_world(tmp_path_factory.mktemp("world"))
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=made.app, check=True)
    return made


def ran(world: GoWorld, script: str, database: str) -> "subprocess.CompletedProcess[str]":
    """Run a step as a runner does, in the module's folder."""
    environment = {
        **os.environ, **world.environment, "GOSUMDB": database, "WHERRY_CACHE": str(world.root / "cache"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script], cwd=world.app, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_the_step_fails_on_a_tampered_file(world, system):
    """A changed file in vendor/ ends the step, whether it is committed or not; a clean checkout passes."""
    shell = Shell(world.app)
    shell.environment |= {**world.environment, "WHERRY_STORE": str(world.root / "store")}
    document = yaml.safe_load("\n".join(shell("ci", "init", "--for", system, "--stdout")))
    if system == "github":
        step = document["jobs"]["verify"]["steps"][-1]
        script, database = step["run"], step["env"]["GOSUMDB"]
    else:
        job = document["verify-modules"]
        script, database = "\n".join(job["script"]), job["variables"]["GOSUMDB"]
    assert database == world.log.key

    clean = ran(world, script, database)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    file = world.app / "vendor/example.com/lib/lib.go"
    text = file.read_text()
    file.write_text(text.replace("words +", "words + words +"))
    try:
        verify = "\n".join(line for line in script.splitlines() if "vendor" not in line)
        tampered = ran(world, verify, database)
    finally:
        file.write_text(text)
    assert tampered.returncode == 1
    assert "vendor/example.com/lib/lib.go:8" in tampered.stdout


def test_files(world, tmp_path):
    """The file is written once; --force replaces it; GOSUMDB=off is refused."""
    shell = Shell(world.app)
    shell.environment |= world.environment
    shell("ci", "init")
    assert (world.app / ".github/workflows/modules.yml").is_file()
    shell("ci", "init", code=73)
    shell("ci", "init", "--force")
    shell.environment["GOSUMDB"] = "off"
    shell("ci", "init", "--stdout", code=64)
