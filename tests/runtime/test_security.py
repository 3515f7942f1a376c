"""The words of `docker run` for what a container may do."""

import pytest

from wherry.errors import InvalidUsage
from wherry.runtime.security import parse_port, parse_security
from wherry.sandbox.capabilities import DOCKERS, NAMES


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080:80", "127.0.0.1/8080:80"),
        ("80", "127.0.0.1/80:80"),
        ("0.0.0.0:8080:80/tcp", "0.0.0.0/8080:80"),
        ("[::1]:8080:80", "::1/8080:80"),
    ],
)
def test_ports(text, port):
    """As pasta has them."""
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["", "x", "0:80", "80:65536", "80/udp", "name:80:80", "1.2.3:80:80", "-1:80", "80:"])
def test_refuses_ports(text):
    """What is none is refused."""
    with pytest.raises(InvalidUsage):
        parse_port(text)


def test_options(tmp_path):
    """Each word of --security-opt, the last one of a kind counts."""
    nothing = parse_security((), (), (), tmp_path)
    options = ["seccomp=unconfined", "no-new-privileges:true", "apparmor=unconfined"]
    some = parse_security(options, ["all"], [], tmp_path)
    taken_back = parse_security([*options, "seccomp=builtin", "no-new-privileges=false"], [], ["ALL"], tmp_path)

    assert (nothing.capabilities, nothing.no_new_privileges, nothing.seccomp) == (DOCKERS, False, "usual")
    assert (some.capabilities, some.no_new_privileges, some.seccomp) == (tuple(range(len(NAMES))), True, "unconfined")
    assert (taken_back.capabilities, taken_back.no_new_privileges, taken_back.seccomp) == ((), False, "usual")


@pytest.mark.parametrize("option", ["seccomp", "seccomp=", "no-new-privileges=maybe", "privileged", "label=user:x", ""])
def test_refuses_options(option, tmp_path):
    """What is not known is refused, not passed over."""
    with pytest.raises(InvalidUsage):
        parse_security((option,), (), (), tmp_path)
