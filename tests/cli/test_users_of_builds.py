"""`-u` of a build: numbers need no account, names do."""

from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from wherry.store.images import read_image

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A small module."""
    need("go")
    shell = Shell(tmp_path / "home")
    shell.module()
    return shell


@pytest.mark.parametrize("user", ["alice", "1000:nogroupsuch", "nonroot:nogroupsuch"])
def test_a_name_that_the_base_lacks(wherry, user):
    """No image is made that no runtime starts; the accounts there are, are named."""
    wherry("build", "-u", user, "-t", "a:1", code=64)

    assert f"user {user}" in wherry.err
    assert "nonroot" in wherry.err
    assert "a:1" not in wherry.store.tags()


@pytest.mark.parametrize("user", ["1000", "1000:1000", "nobody", "nonroot:65532"])
def test_users_that_can_be_had(wherry, user):
    """A number, or a name of the base."""
    wherry("build", "-u", user, "-t", "a:1", "--no-vcs")

    assert read_image(wherry.store, wherry.store.resolve("a:1")).config.runtime.user == user


def test_an_account_that_is_added(wherry):
    """A passwd file of the user's own counts."""
    wherry.write("passwd", "alice:x:1000:1000::/:/none\n")

    wherry("build", "-u", "alice", "--add", "passwd:/etc/passwd", "-t", "a:1", "--no-vcs")

    assert read_image(wherry.store, wherry.store.resolve("a:1")).config.runtime.user == "alice"
