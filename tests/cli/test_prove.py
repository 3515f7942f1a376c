"""`wherry build --prove`: an image that does not start or answer goes nowhere, and the failed opens are named."""

import json
import shutil

import pytest

from cli_shell import Shell
from traced import actor

pytestmark = pytest.mark.slow

DOCKERFILE = """FROM scratch
COPY --chmod=755 actor /app/actor
USER 65532
WORKDIR /etc
ENTRYPOINT ["/app/actor"]
"""


@pytest.fixture(scope="module")
def wherry(tmp_path_factory) -> Shell:
    """A shell in a folder with a Dockerfile and the program."""
    shell = Shell(tmp_path_factory.mktemp("proven") / "shell")
    shell.write("Dockerfile", DOCKERFILE)
    shutil.copy(actor(), shell.root / "actor")
    return shell


def proven(wherry: Shell, settings: str, code: int = 0) -> str:
    """Build with --prove and write an archive; give what is said on stderr."""
    wherry.write("wherry.toml", f"[prove]\n{settings}\n")
    (wherry.root / "out").unlink(missing_ok=True)
    wherry("build", ".", "-t", "actor:dev", "--prove", "-o", "type=oci,dest=out", code=code)
    assert (wherry.root / "out").exists() == (code == 0)
    return wherry.err


@pytest.mark.parametrize(
    ("settings", "started"),
    [
        ("", "listens on [::]:8080"),
        ('probe = ["http://localhost:8080/ok", "tcp://localhost:8080"]', "answered 2 probes"),
        ('args = ["child"]', "exited with 0"),
        ('args = ["mount"]\nmounts = ["./config:/config:ro"]', "exited with 0"),
    ],
)
def test_a_good_start(wherry, settings, started):
    """It listens, answers, or exits with 0; files that it looked for in vain are a note."""
    wherry.write("config/app.yaml", "x")

    said = proven(wherry, settings)

    assert f"prove actor:dev (linux/amd64)  {started}" in said
    if "child" in settings:
        assert "1 file that it asked for not there, and it started without: /etc/of-child" in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            'args = ["exit"]',
            ("it exited with 3", "usage: actor needs a config", "/etc/rel/last  ENOENT  by /app/actor"),
        ),
        ('args = ["mount"]', ("it exited with 1", "/config/app.yaml  ENOENT", "if /config/app.yaml is needed")),
        (
            'args = ["background"]\nprobe = "http://localhost:8080/ok"\ntimeout = "20s"',
            ("it went into the background", "foreground"),
        ),
        ('args = ["hang"]\ntimeout = "1s"', ("it neither listened nor exited within 1 s", "hangs")),
        (
            'probe = "http://localhost:9090/ok"\ntimeout = "1s"',
            ("was not answered within 1 s", "it listens on [::]:8080", "correct the port"),
        ),
        ('probe = "http://localhost:8080/broken"\ntimeout = "1s"', ("status 503",)),
        ('args = ["flood"]\nprobe = "tcp://localhost:1"', ("it exited with 0 before tcp://localhost:1 was answered",)),
        ('args = ["mute"]\nprobe = "tcp://localhost:9"\ntimeout = "1s"', ("it listens on 127.0.0.1:8080",)),
    ],
)
def test_a_bad_start(wherry, settings, words):
    """The reason, the failed opens, the last first, what it printed, and the remedy; nothing is written."""
    said = proven(wherry, settings, code=1)

    for word in (*words, "the image is stored, but not pushed or exported"):
        assert word in said
    if '"exit"' in settings:
        assert said.index("/etc/rel/last") < said.index("/etc/first")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ('probe = "http://elsewhere/"', 64),
        ('mounts = ["./nowhere:/x"]', 66),
        ("args = 3", 78),
        ('prob = "x"', 78),
        ('network = "bridge"', 78),
        ('timeout = "soon"', 78),
    ],
)
def test_refused_settings(wherry, settings, code):
    """What is malformed is refused before anything is built, with line and key."""
    said = proven(wherry, settings, code=code)

    assert "hint:" in said


def test_a_program_that_is_not_in_the_image(wherry):
    """It can't be started: that is no proof, and no crash."""
    wherry.write("Bad", "FROM scratch\nCOPY actor /app/actor\nENTRYPOINT ['/app/none']\n".replace("'", '"'))
    wherry.write("wherry.toml", "")

    wherry("build", ".", "-f", "Bad", "-t", "bad:dev", "--prove", code=1)

    assert "bad:dev (linux/amd64) does not start" in wherry.err


def test_a_go_module_by_service(tmp_path):
    """The Go front end does the same; a service's own settings stand above those of all."""
    shell = Shell(tmp_path / "go")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    shell.write(
        "main.go", 'package main\n\nimport "os"\n\nfunc main() { os.ReadFile("x.yaml"); os.Exit(len(os.Args) - 1) }\n'
    )
    service = '[prove]\nargs = ["one"]\n\n[services.api]\npackage = "."\ntags = ["api:dev"]\n'
    shell.write("wherry.toml", service)

    shell("build", "--prove", "-o", "type=oci,dest=out", code=1)
    assert "api:dev (linux/amd64) does not start: it exited with 1" in shell.err
    assert "/home/nonroot/x.yaml  ENOENT  by /app/app (openat)" in shell.err
    assert not (shell.root / "out").exists()

    shell.write("wherry.toml", service + "[services.api.prove]\nargs = []\n")
    shell("build", "--prove", "--json")

    assert json.loads(shell.out)["images"][0]["names"] == ["api:dev"]
    assert "exited with 0 after" in shell.err
