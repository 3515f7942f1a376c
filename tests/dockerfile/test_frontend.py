"""One rule for build and lint: Docker's frontend from wherever it is pulled, and no other."""

import pytest

from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.frontend import refuse_other

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "name",
    [
        "docker/dockerfile:1", "docker/dockerfile", "docker.io/docker/dockerfile:1.7-labs",
        "docker/dockerfile-upstream:master", "docker/dockerfile-upstream:master-labs", "docker/dockerfile:experimental",
        "mirror.example/docker/dockerfile:1", "mirror.example:5000/proxy/docker/dockerfile:1.7.0",
        f"docker/dockerfile:1@{DIGEST}", f"registry.example/docker/dockerfile@{DIGEST}",
    ],
)  # fmt: skip
def test_dockers_own(name):
    """Any tag, digest, registry and folder."""
    refuse_other(f"# syntax={name}\nFROM scratch\n")


@pytest.mark.parametrize(
    "name", ["example.com/other/frontend:1", "docker/dockerfile-x:1", "mydocker/dockerfile:1", "tonistiigi/dockerfile"]
)
def test_another(name):
    """Its line is named."""
    with pytest.raises(DockerfileError) as caught:
        refuse_other(f"# escape=`\n# syntax={name}\nFROM scratch\n")

    assert caught.value.lines is not None
    assert caught.value.lines.first == 2


def test_none():
    """Most files name none."""
    refuse_other("FROM scratch\n")
