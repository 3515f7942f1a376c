"""What others' tools take from the repository: the GitHub Action and the pre-commit hook."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from needs import need
from registries import distribution
from vulnerable import write_database
from wherry import __version__
from wherry.cli.main import wherry

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}


def perform(step: str, folder: Path, **values: str) -> dict[str, str]:
    """Run a step's script as GitHub does; give its outputs."""
    output = folder / "output"
    output.write_text("")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GO", "WHERRY"))},
        **dict.fromkeys(STEPS[step]["env"], ""),
        "HOME": str(folder),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        **values,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GOENV": "off",
        "GITHUB_OUTPUT": str(output),
        "DOCKER_CONFIG": str(folder / "docker"),
        "WHERRY_STORE": str(folder / "store"),
        "WHERRY_CACHE": str(folder / "cache"),
    }
    script = folder / "script.sh"
    script.write_text(STEPS[step]["run"])
    words = [need("bash"), "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in output.read_text().splitlines() if "=" in line)


def copied(folder: Path) -> Path:
    """Give the action's folder as GitHub fetches it: what git knows, and nothing that was built here."""
    names = subprocess.check_output([need("git"), "ls-files", "-z", "--cached"], cwd=ROOT, text=True)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / "action" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "action" / name)
    return folder / "action"


def test_every_requirement_of_the_action_has_a_hash():
    """The file has all that wherry needs and is built with: each in the range of pyproject.toml, with a hash."""
    from packaging.requirements import Requirement

    text = (ROOT / "action-requirements.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pinned = {}
    for line in lines:
        requirement, *hashes = line.split("--hash=")
        assert hashes, line
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one.strip()) for one in hashes), line
        name, version = requirement.partition(";")[0].strip().split("==")
        pinned.setdefault(name, []).append(version)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for wanted in map(Requirement, [*project["build-system"]["requires"], *project["project"]["dependencies"]]):
        assert pinned[wanted.name]
        assert all(wanted.specifier.contains(version) for version in pinned[wanted.name])


def test_the_action_installs_nothing_without_a_hash():
    """Each install of packages checks hashes, and that of wherry itself can fetch nothing."""
    installs = [line for line in STEPS["Install"]["run"].replace("\\\n", " ").splitlines() if "pip" in line]
    assert installs
    assert all(
        "--require-hashes" in line or ("--no-index" in line and "--no-deps" in line)
        for line in installs
        if "#" not in line
    )


def test_every_input_is_used():
    """An input that no step reads would be a promise that nobody keeps."""
    used = " ".join(value for step in STEPS.values() for value in step.get("env", {}).values())
    asked = " ".join(step.get("if", "") for step in STEPS.values())

    assert [
        name for name in ACTION["inputs"] if f"inputs.{name} }}" not in used and f"inputs.{name} " not in asked
    ] == []


@pytest.mark.peers
def test_the_action_installs(tmp_path):
    """Its first step gives later ones a wherry on PATH, from the action's folder alone; pip asks its index."""
    path = tmp_path / "path"

    perform("Install", tmp_path, ACTION_PATH=str(copied(tmp_path)), RUNNER_TEMP=str(tmp_path), GITHUB_PATH=str(path))

    (folder,) = path.read_text().splitlines()
    said = subprocess.check_output([f"{folder}/wherry", "--version"], text=True, env={"PATH": "/usr/bin"})
    assert __version__ in said


@pytest.mark.slow
def test_the_action_logs_in_builds_and_pushes(tmp_path):
    """Its steps' own scripts, on a registry that wants a name."""
    need("go")
    (tmp_path / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {}\n")
    with distribution(tmp_path / "registry", basic=("ann", "s3cret")) as registry:
        perform("Log in", tmp_path, REGISTRY=registry.host, USERNAME="ann", PASSWORD="s3cret")  # noqa: S106 - a test's
        name = f"{registry.host}/app:v1"

        said = perform(
            "Build",
            tmp_path,
            TAGS=name,
            PUSH="true",
            PLATFORMS="linux/amd64",
            ARGUMENTS='--no-vcs --ldflags "-X main.at=$(touch${IFS}x) -s"',
            RUNNER_TEMP=str(tmp_path),
        )

        assert said["digest"].startswith("sha256:")
        assert not (tmp_path / "x").exists()
        crane = subprocess.run(
            [need("crane"), "digest", name],
            env={**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert crane.stdout.strip() == said["digest"]

        made = perform(
            "Sum up", tmp_path, IMAGES=f"{name}@{said['digest']}", RESTORED="0.8", AGAINST=f"{registry.host}/app:no",
            SCAN="true", RUNNER_TEMP=str(tmp_path), GOVULNDB=write_database(tmp_path / "db").as_uri(),
        )  # fmt: skip

        summary = (tmp_path / "summary.md").read_text()
        assert summary == Path(made["summary"]).read_text()
        assert f"| `{registry.host}/app:v1` | linux/amd64 |" in summary
        assert "restoring the caches took 0.8 s" in summary
        assert "Growth: not known" in summary
        assert "### wherry scan" in summary
        runs = json.loads(Path(made["sarif"]).read_text())["runs"]
        assert [run["tool"]["driver"]["name"] for run in runs] == ["wherry", "wherry scan"]


def test_the_action_keeps_what_it_finds(tmp_path):
    """What is saved is what is restored, with Go's own folders, and the look-up is measured."""
    restore, save = STEPS["Restore caches"]["with"], STEPS["Save caches"]["with"]
    assert restore["path"] == save["path"]

    found = perform("Find caches", tmp_path)

    kept = set(re.findall(r"steps\.caches\.outputs\.(\w+)", restore["path"]))
    assert kept == set(found) - {"began"}
    assert (
        found["modules"]
        == subprocess.check_output(
            [need("go"), "env", "GOMODCACHE"],
            text=True,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "GOENV": "off"},
        ).strip()
    )
    seconds = perform("Measure the look-up", tmp_path, BEGAN=found["began"])["seconds"]
    assert 0 <= float(seconds) < 600


def test_the_hook_calls_what_is_there():
    """Each hook's words are a command and options of it."""
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()):
        program, name, *options = hook["entry"].split()
        command = wherry.get_command(None, name)  # type: ignore[arg-type]
        known = {option for parameter in command.params for option in parameter.opts}

        assert program == "wherry"
        assert set(options) <= known
