"""Names to numbers, as an image's own files have them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidUsage
from wherry.sandbox.accounts import LARGEST, AccountFiles, ContainerUser, read_accounts

USERS = """\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001::/home/app:/bin/sh
# comment:x:5:5::/:/
short:x:6
1000:x:7:7::/named/like/a/number:/bin/sh
homeless:x:8:8:::
wrong:x:many:8::/:/
high:x:4294967294:1::/:/
"""
GROUP = "root:x:0:\nwheel:x:10:root,app\nstaff:x:50:app\n100:x:51:\nbroken:x:\nusers:x:100:other,application\n"
ACCOUNTS = AccountFiles(USERS, GROUP)


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", ContainerUser(0, 0, (10,), "/root")),
        ("root", ContainerUser(0, 0, (10,), "/root")),
        ("app", ContainerUser(1000, 1001, (10, 50), "/home/app")),
        ("app:staff", ContainerUser(1000, 50, (), "/home/app")),
        ("app:7", ContainerUser(1000, 7, (), "/home/app")),
        ("app:", ContainerUser(1000, 1001, (10, 50), "/home/app")),
        (":staff", ContainerUser(0, 50, (), "/root")),
        ("1000", ContainerUser(1000, 1001, (10, 50), "/home/app")),
        ("1234", ContainerUser(1234, 0, (), "/")),
        ("1234:users", ContainerUser(1234, 100, (), "/")),
        ("homeless", ContainerUser(8, 8, (), "/")),
        ("high", ContainerUser(4294967294, 1, (), "/")),
        ("0:100", ContainerUser(0, 51, (), "/root")),
    ],
)
def test_whom_a_text_means(user, account):
    """A line is found by name or number; supplementary groups only where no group is named."""
    assert ACCOUNTS.find(user) == account


@pytest.mark.parametrize(
    "user", ["gone", "app:gone", "short", "wrong", "# comment", "4294967295", "1:4294967295", "-1", "٣"]
)
def test_what_means_no_account(user):
    """Never root by mistake."""
    with pytest.raises(InvalidUsage):
        ACCOUNTS.find(user)


@given(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2))
def test_numbers_need_no_files(uid, gid):
    """As in an image from scratch."""
    assert AccountFiles().find(f"{uid}:{gid}") == ContainerUser(uid, gid, (), "/root" if uid == 0 else "/")


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=6))
def test_any_files_give_an_account_or_an_error(passwd, group, user):
    """An image's files are its author's words."""
    try:
        found = AccountFiles(passwd, group).find(user)
    except InvalidUsage:
        return

    assert 0 <= found.uid < 2**32 - 1
    assert 0 <= found.gid < 2**32 - 1


def layers(where: Path, *contents: dict[str, str]) -> list[Path]:
    """Write unpacked layers, base first."""
    for number, files in enumerate(contents):
        for name, text in files.items():
            path = where / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return [where / str(number) for number in range(len(contents))]


def test_the_topmost_layer_counts(tmp_path):
    """File by file."""
    found = layers(tmp_path, {"etc/passwd": "a:x:1:1::/:", "etc/group": "g:x:1:"}, {"etc/passwd": "b:x:2:2::/:"})

    assert read_accounts(found) == AccountFiles("b:x:2:2::/:", "g:x:1:")


def test_no_files(tmp_path):
    """They are empty then."""
    tmp_path.joinpath("0").mkdir()

    assert read_accounts([tmp_path / "0"]) == AccountFiles()


def test_a_link_never_leads_to_the_host(tmp_path):
    """/etc/passwd of the image, pointing to the host's."""
    secret = tmp_path / "secret"
    secret.write_text("host:x:1:1::/:")
    (layer,) = layers(tmp_path, {"etc/group": ""})
    layer.joinpath("etc/passwd").symlink_to(secret)
    layer.joinpath("etc/group").unlink()
    layer.joinpath("etc/group").symlink_to("../../../secret")

    assert read_accounts([layer]) == AccountFiles()


def test_a_huge_file_is_refused(tmp_path):
    """It is named, with a way around it."""
    found = layers(tmp_path, {"etc/passwd": "x" * (LARGEST + 1)})

    with pytest.raises(InvalidUsage, match="/etc/passwd") as caught:
        read_accounts(found)
    assert "--user" in caught.value.hint
