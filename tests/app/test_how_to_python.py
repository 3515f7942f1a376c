"""The scripts of docs/how-to/python.md do what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from registries import CNCF, distribution
from small_images import put_image

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "python.md"


@pytest.fixture
def shell(tmp_path) -> Shell:
    """A folder with a store, a cache and an environment of its own."""
    return Shell(tmp_path / "project")


def run(shell: Shell, heading: str, *, code: int = 0, **environment: str) -> str:
    """Run the script below a heading as its reader would; give what it prints."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2]
    script = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=shell.root,
        env={**shell.environment, "PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr == ""
    return done.stdout


def services(shell: Shell, *names: str) -> None:
    """Write a module with a program for each name."""
    need("go")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    for name in names:
        shell.write(f"cmd/{name}/main.go", f'package main\n\nfunc main() {{ println("{name}") }}\n')


@pytest.mark.slow
def test_build_a_service(shell):
    """One line an image, one a platform."""
    services(shell, "api")

    printed = run(shell, "Build a service").splitlines()

    assert printed[0] == f"api:dev@{shell.store.resolve('api:dev').digest}"
    assert re.fullmatch(r"  linux/amd64: \d+ bytes pulled", printed[1])


@pytest.mark.slow
def test_plot_sizes(shell):
    """A picture with a bar and two texts for each service."""
    services(shell, "api", "web", "jobs")

    assert run(shell, "Build several services, and plot their sizes") == "3 services, see sizes.svg\n"

    picture = (shell.root / "sizes.svg").read_text()
    assert [picture.count(f"<{tag} ") for tag in ("svg", "rect", "text")] == [1, 3, 6]
    assert picture.count("</text>") == 6


@pytest.mark.slow
def test_push_with_credentials(shell, tmp_path):
    """The right password pushes; a wrong one is an error with its exit code."""
    with shell.store.writing():
        shell.store.tag("api:dev", put_image(shell.store))
    with distribution(tmp_path / "registry", program=CNCF, basic=("robot", "right")) as running:
        heading = "Push with credentials, progress and a time limit"
        printed = run(shell, heading, REGISTRY=running.host, REGISTRY_PASSWORD="right")  # noqa: S106 - of a registry on loopback
        refused = run(shell, heading, code=77, REGISTRY=running.host, REGISTRY_PASSWORD="wrong")  # noqa: S106 - as above

    assert f"{running.host}/team/api:1@{shell.store.resolve('api:dev').digest}" in printed
    assert "bytes sent" in printed
    assert refused.startswith("not pushed: ")


@pytest.mark.slow
def test_stop_a_release(shell):
    """The same image passes; one that has grown does not."""
    services(shell, "api")
    run(shell, "Build a service")
    shell("tag", "api:dev", "api:released")
    assert run(shell, "Stop a release that grew or reveals something") == "fine: ship it\n"

    shell.write(
        "cmd/api/main.go", 'package main\n\nimport "net/http"\n\nfunc main() { http.ListenAndServe(":1", nil) }\n'
    )
    run(shell, "Build a service")
    assert "bytes more to pull" in run(shell, "Stop a release that grew or reveals something", code=1)


@pytest.mark.slow
def test_describe_images(shell):
    """A line, a page and an archive for each image."""
    services(shell, "api")
    run(shell, "Build a service")
    shell("tag", "api:dev", "localhost:5000/api:1")

    printed = run(shell, "Describe every image of the store").splitlines()

    assert [line.partition(": ")[0] for line in printed] == ["api:dev", "localhost:5000/api:1"]
    assert {path.name for path in shell.root.glob("*.html")} == {"api_dev.html", "localhost_5000_api_1.html"}
    assert len(list(shell.root.glob("*.tar"))) == 2


def test_there_are_five():
    """The page says how many the tests run."""
    assert "five scripts" in PAGE.read_text()
    assert PAGE.read_text().count("```python") == 5
