"""What a runtime is told of an image; real runtimes are told it in tests/peers/test_confine.py."""

import json

import pytest
import yaml

from cli_shell import Shell
from wherry.analysis.confine.runtime_config import Tightness, dev_lines, oci_config, pod_lines
from wherry.errors import InvalidUsage
from wherry.oci.config import RuntimeConfig

IMAGE = RuntimeConfig(user="65532", entrypoint=("/app/api",), cmd=("-v",), env=("A=b",))


def mounts(how: Tightness) -> dict[str, list[str]]:
    """Give the options of each mount."""
    return {one["destination"]: one["options"] for one in oci_config(IMAGE, how)["mounts"]}


def test_a_container_without_rights():
    """No capability, no new privilege, a root that is only read, the image's own command and user."""
    config = oci_config(IMAGE, Tightness())

    assert config["process"]["args"] == ["/app/api", "-v"]
    assert config["process"]["user"] == {"uid": 65532, "gid": 65532}
    assert config["process"]["cwd"] == "/"
    assert not any(config["process"]["capabilities"].values())
    assert config["process"]["noNewPrivileges"]
    assert config["root"] == {"path": "rootfs", "readonly": True}
    assert {"type": "network"} in config["linux"]["namespaces"]
    assert set(mounts(Tightness())) == {"/proc", "/dev", "/sys"}


def test_what_is_taken_away():
    """Devices but two, the rest of /proc; what is added: /tmp, the host's network."""
    tight = Tightness(no_dev=True, dev="/srv/dev", only_processes=True, host_network=True, temporary=True)

    assert list(mounts(tight)) == ["/proc", "/dev", "/dev/null", "/dev/zero", "/sys", "/tmp"]  # noqa: S108 - of the container
    assert "ro" in mounts(tight)["/dev"]
    assert "subset=pid" in mounts(tight)["/proc"]
    linux = oci_config(IMAGE, tight)["linux"]
    assert {"type": "network"} not in linux["namespaces"]
    assert not linux["readonlyPaths"]
    assert dev_lines(tight) == ["mkdir -p /srv/dev", "touch /srv/dev/null /srv/dev/zero"]


def test_a_pod():
    """YAML that can be merged; what a pod can't say is said to be so."""
    lines = pod_lines(IMAGE, Tightness(no_dev=True, temporary=True))
    spec = yaml.safe_load("\n".join(lines))["spec"]

    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["volumes"][0]["name"] == spec["containers"][0]["volumeMounts"][0]["name"]
    assert any("no field of a pod changes /dev" in line for line in lines)


@pytest.mark.parametrize("user", ["nonroot", "65532:web", "-1", "9999999999"])
def test_users_that_no_runtime_knows(user):
    """A name is not looked up by whoever starts the image."""
    with pytest.raises(InvalidUsage, match="needs a number"):
        oci_config(RuntimeConfig(user=user, entrypoint=("/a",)), Tightness())


@pytest.mark.slow
def test_the_command(tmp_path):
    """JSON on stdout, what the host has to do on stderr; an image without a command is refused."""
    wherry = Shell(tmp_path)
    wherry.write("Dockerfile", 'FROM scratch\nCOPY Dockerfile /\nENTRYPOINT ["/x"]\nUSER 1:2\n')
    wherry("build", ".", "-t", "a:1")
    config = json.loads("\n".join(wherry("confine", "--no-dev", "a:1")))
    assert config["process"]["user"] == {"uid": 1, "gid": 2}
    assert "first, on the host: mkdir -p /run/wherry/dev" in wherry.err
    wherry("confine", "--no-dev", "--dev", "here", "a:1", code=64)
    wherry.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    wherry("build", ".", "-t", "a:1")
    wherry("confine", "a:1", code=64)
    wherry("confine", "nothing:1", code=66)
