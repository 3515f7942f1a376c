"""What is decided about a container before there is one: `runtime/run.py` and the image's accounts."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wherry.errors import InvalidDocument, InvalidUsage, NotFound, WherryError
from wherry.oci.config import RuntimeConfig
from wherry.runtime.run import DEFAULT_PATH, BindMount, RunHost, RunOptions, document, parse_volume, prepare
from wherry.sandbox.accounts import AccountFiles, ContainerUser, read_accounts
from wherry.sandbox.ids import Mapping

PASSWD = "root:x:0:0:root:/root:/bin/sh\n#off:x:9:9::/:\nbroken\nweb:x:1234:2345::/srv:/bin/sh\nbad:x:abc:0::/:\n"  # noqa: S105 - the file of that name
GROUP = "root:x:0:\nweb:x:2345:\nlogs:x:77:web,root\nmore:x:78:web\nbroken:x\n"
ACCOUNTS = AccountFiles(PASSWD, GROUP)


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", ContainerUser(0, 0, (77,), "/root")),
        ("root", ContainerUser(0, 0, (77,), "/root")),
        ("web", ContainerUser(1234, 2345, (77, 78), "/srv")),
        ("1234", ContainerUser(1234, 2345, (77, 78), "/srv")),
        ("web:root", ContainerUser(1234, 0, (), "/srv")),
        ("web:9", ContainerUser(1234, 9, (), "/srv")),
        ("65532", ContainerUser(65532, 0, (), "/")),
        ("65532:65533", ContainerUser(65532, 65533, (), "/")),
        (":77", ContainerUser(0, 77, (), "/root")),
    ],
)
def test_finds_accounts(user, account):
    """Names and numbers, alone and with a group, as Docker takes them."""
    assert ACCOUNTS.find(user) == account


@pytest.mark.parametrize("user", ["nobody", "web:nobody", "4294967295", "99999999999999", "off", "bad", "-1", "\u0661"])
def test_refuses_accounts(user):
    """Names without a line, and numbers that are no ids."""
    with pytest.raises(InvalidUsage):
        ACCOUNTS.find(user)


@settings(max_examples=200)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=12))
@example("a:x:1:1::", "a:x", "a")
def test_accounts_of_any_text(passwd, group, user):
    """Whatever stands in the files, an account comes out or a clear refusal."""
    try:
        account = AccountFiles(passwd, group).find(user)
    except WherryError:
        return
    assert 0 <= account.uid < 1 << 32
    assert 0 <= account.gid < 1 << 32


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "options", "argv"),
    [
        (("/app",), None, RunOptions(), ("/app",)),
        (("/app",), ("-v",), RunOptions(), ("/app", "-v")),
        (("/app",), ("-v",), RunOptions(arguments=("-q",)), ("/app", "-q")),
        (None, ("sh",), RunOptions(), ("sh",)),
        (None, ("sh",), RunOptions(arguments=("ls", "-l")), ("ls", "-l")),
        (("/app",), ("-v",), RunOptions(entrypoint="/other"), ("/other",)),
        (("/app",), ("-v",), RunOptions(entrypoint="/other", arguments=("x",)), ("/other", "x")),
        (("/app",), ("-v",), RunOptions(entrypoint="", arguments=("x",)), ("x",)),
    ],
)
def test_what_is_started(entrypoint, cmd, options, argv):
    """Entry point and arguments go together as Docker's do."""
    config = RuntimeConfig(entrypoint=entrypoint, cmd=cmd)

    assert prepare(config, options, ACCOUNTS, "image").argv == argv


def test_nothing_to_start():
    """An image that says nothing, and a user who says nothing either."""
    with pytest.raises(InvalidUsage):
        prepare(RuntimeConfig(), RunOptions(), ACCOUNTS, "image")


def test_environment():
    """The user's words win over the image's, those over what is usual; names that can't be are dropped."""
    config = RuntimeConfig(cmd=("x",), env=("A=1", "B=2", "C", "=D", "E=\0", "A=3", "F=a=b"))
    spec = prepare(config, RunOptions(environment={"B": "mine"}, user="web", terminal=True), ACCOUNTS, "image")

    assert spec.environment == {
        "PATH": DEFAULT_PATH, "HOME": "/srv", "TERM": "xterm", "A": "3", "B": "mine", "C": "", "F": "a=b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "options", "error"),
    [
        (RuntimeConfig(cmd=("a\0b",)), RunOptions(), InvalidDocument),
        (RuntimeConfig(cmd=("a",), working_dir="relative"), RunOptions(), InvalidUsage),
        (RuntimeConfig(cmd=("a",)), RunOptions(folder="relative"), InvalidUsage),
        (RuntimeConfig(cmd=("a",)), RunOptions(hostname="-x"), InvalidUsage),
        (RuntimeConfig(cmd=("a",)), RunOptions(hostname="x" * 65), InvalidUsage),
        (RuntimeConfig(cmd=("",)), RunOptions(), InvalidUsage),
    ],
)
def test_refuses(config, options, error):
    """What no kernel takes is refused before it is asked."""
    with pytest.raises(error):
        prepare(config, options, ACCOUNTS, "image")


def test_volumes(tmp_path):
    """As docker's -v has them; a relative source starts where the user is."""
    (tmp_path / "here").mkdir()

    assert parse_volume("./here:/there", tmp_path) == BindMount(tmp_path / "here", "/there")
    assert parse_volume(f"{tmp_path}/here:/there:ro,z", tmp_path) == BindMount(
        tmp_path / "here", "/there", read_only=True
    )
    assert parse_volume(".:/there:rw", tmp_path) == BindMount(tmp_path, "/there")


@pytest.mark.parametrize(
    "text", ["", ":", "./here", "./here:there", "./here:/", "./here:/..", "here:/a", "./here:/a:x", "./h:/a:b:c"]
)
def test_refuses_volumes(tmp_path, text):
    """Whatever is no volume, and the root itself."""
    (tmp_path / "here").mkdir()
    with pytest.raises((InvalidUsage, NotFound)):
        parse_volume(text, tmp_path)


def test_reads_accounts_of_layers_only(tmp_path):
    """The uppermost file counts, a deleted one does not, and a link never leads out of the layers."""
    base, top, hostile = (tmp_path / name for name in ("base", "top", "hostile"))
    for layer in (base, top, hostile):
        (layer / "etc").mkdir(parents=True)
    (base / "etc/passwd").write_text("a:x:1:1::/:\n")
    (base / "etc/group").write_text("a:x:1:\n")
    (top / "etc/passwd").write_text("b:x:2:2::/:\n")
    (hostile / "etc/passwd").symlink_to("/etc/hostname")
    (hostile / "etc/group").symlink_to("../../../../../../../../etc/hostname")

    assert read_accounts([base]) == AccountFiles("a:x:1:1::/:\n", "a:x:1:\n")
    assert read_accounts([base, top]) == AccountFiles("b:x:2:2::/:\n", "a:x:1:\n")
    assert read_accounts([base, hostile]) == AccountFiles("", "")
    assert read_accounts([]) == AccountFiles("", "")


def test_an_account_file_without_end(tmp_path):
    """A passwd of two megabytes is refused, not read."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(bytes(2 << 20))
    with pytest.raises(InvalidUsage):
        read_accounts([tmp_path])


def test_documents_have_nothing_but_plain_values(tmp_path):
    """What the launcher is asked can be written down."""
    config = RuntimeConfig(cmd=("x",), user="web")
    spec = prepare(config, RunOptions(volumes=(BindMount(tmp_path, "/v"),)), ACCOUNTS, "image")
    place = RunHost((tmp_path,), tmp_path, Mapping("one", ((0, 7, 1),), ((0, 8, 1),)))
    job = document(spec, place)

    assert json.loads(json.dumps(job)) == job | {"ids": json.loads(json.dumps(job["ids"]))}
    assert (job["uid"], job["gid"], job["groups"]) == (1234, 2345, [77, 78])
    assert job["volumes"][-1]["source"] == str(tmp_path)
