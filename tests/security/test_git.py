"""git as a hole: what an address, a repository, a submodule or the user's own settings could make it do.

Each attack is performed on a repository that a server of git's own serves. Before: `ref=main:foo` with
`checksum=--pathspec-from-file=/etc/passwd` printed the host's file line by line, `ref=--upload-pack=…` was taken as an
option, and a Dockerfile's ADD was fetched with the user's credentials (CVE-2024-23650 to 23653 are tested elsewhere).
"""

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli_shell import Shell
from tests.git_server import GitServer, git, repository, serving

from wherry.build.git import CannotFetch, Credentials
from wherry.build.urls import CachingFetcher
from wherry.errors import InvalidUsage, NotFound, WherryError
from wherry.host.process import SystemRunner

pytestmark = pytest.mark.slow

SECRET = "t0p-s3cret-t0ken"  # noqa: S105 - what a test plants


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """A server with one repository of two files."""
    repository(tmp_path / "srv" / "r.git", {"file": "hello\n", "inner/file": "inside\n"})
    with serving(tmp_path / "srv") as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home, with settings that run programs and log in."""
    folder = tmp_path / "home"
    (folder / "hooks").mkdir(parents=True)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor"):
        (folder / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {folder}/ran-{hook}\n")
        (folder / "hooks" / hook).chmod(0o755)
    helper = folder / "helper"
    helper.write_text(f"#!/bin/sh\ntouch {folder}/asked-helper\necho username=me\necho password={SECRET}\n")
    helper.chmod(0o755)
    (folder / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {folder}/hooks\n\taskPass = {helper}\n\tfsmonitor = {folder}/hooks/fsmonitor\n"
        f"[credential]\n\thelper = !{helper}\n[protocol]\n\tallow = always\n"
        f'[filter "evil"]\n\tsmudge = touch {folder}/ran-filter\n'
    )
    return folder


def fetcher(tmp_path: Path, credentials: Credentials = Credentials(), **more: str) -> CachingFetcher:  # noqa: B008 - frozen
    """Fetch as somebody with that home."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), **more}
    return CachingFetcher(tmp_path / "fetched", SystemRunner(), environment, credentials)


def basic(words: str) -> str:
    """Write what a server gets."""
    return f"Basic {base64.b64encode(words.encode()).decode()}"


def test_a_repository(tmp_path, server):
    """Branch, commit and folder; nothing of .git stays, unless it is asked for, and it holds no credentials."""
    commit = git(server.root / "r.git", "rev-parse", "HEAD")
    url = f"http://me:{SECRET}@{server.host}/r.git"
    for end in (
        "",
        "#main",
        f"#{commit}",
        "#main:inner",
        "?ref=main&subdir=inner",
        f"?branch=main&checksum={commit[:12]}",
    ):
        found = fetcher(tmp_path).git(url + end, "", keep_git_dir=False)
        assert (found.folder / "file").is_file()
        assert not (found.folder / ".git").exists()
    kept = fetcher(tmp_path).git(url, "", keep_git_dir=True).folder
    assert (kept / ".git" / "HEAD").is_file()
    everything = b"".join(file.read_bytes() for file in kept.rglob("*") if file.is_file())
    assert SECRET.encode() not in everything


ATTACKS = [
    "?ref=main:foo&checksum=--pathspec-from-file=/etc/passwd",
    "?ref=main&checksum=--pathspec-from-file=/etc/passwd",
    "#main:inner/../../..",
    "#--upload-pack=touch${IFS}/tmp/x",
    "?ref=--upload-pack=/bin/false",
    "?ref=-h",
    "?ref=main^{/.*}",
    "?ref=main@{upstream}",
    "?ref=refs/heads/*",
    "?ref=a..b",
    "?ref=a%0ab",
    "?ref=a%00b",
    "?ref=a%20b",
    "#main:.git",
    "?subdir=.git/hooks",
    "?checksum=zzzzzzz",
    "?checksum=HEAD",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_values_are_what_they_stand_for(tmp_path, server, attack):
    """No option, no path, no expression: it is refused before git is started."""
    with pytest.raises(InvalidUsage) as caught:
        fetcher(tmp_path).git(f"http://{server.host}/r.git{attack}", "", keep_git_dir=False)

    assert "root:" not in str(caught.value)
    assert server.seen == []


@pytest.mark.parametrize(
    "address",
    [
        "ssh://-oProxyCommand=touch%20x/r.git",
        "ssh://-oProxyCommand=touch@host/r.git",
        "git@-oProxyCommand=x:r.git",
        "-oProxyCommand=x@host:r.git",
        "git@host:-r.git",
        "git://ho st/r.git",
        "git://host/r.git\n",
        "ssh://ho$(id)st/r.git",
        "http:///r.git",
        "file:///etc/r.git",
        "ext::sh -c id",
        "fd::3",
    ],
)
def test_addresses_are_addresses(tmp_path, address):
    """The kind of CVE-2017-1000117 (a host that is an option of ssh), and protocols that run programs."""
    with pytest.raises(InvalidUsage):
        fetcher(tmp_path).git(address, "", keep_git_dir=False)


def test_a_dockerfile_prints_no_file_of_the_host(tmp_path, server):
    """The attack as it was found, from the command line."""
    wherry = Shell(tmp_path / "app")
    wherry.write("Dockerfile", f"FROM scratch\nADD http://{server.host}/r.git{ATTACKS[0]} /x\n")

    wherry("build", "-f", "Dockerfile", ".", code=64)

    assert "root:" not in wherry.err
    assert "is not a branch" in wherry.err


def test_the_users_credentials_are_not_used(tmp_path, server, home):
    """A foreign Dockerfile names a private repository: helpers, askpass, .netrc and settings stay out of it."""
    (home / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "config").write_text((home / ".gitconfig").read_text())
    server.private["/r.git"] = basic(f"me:{SECRET}")
    ask = {"GIT_ASKPASS": str(home / "helper"), "SSH_ASKPASS": str(home / "helper"), "GIT_CONFIG_COUNT": "1"}
    ask |= {"GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": f"Authorization: {basic(f'me:{SECRET}')}"}
    ask |= {"GIT_CONFIG_PARAMETERS": f"'http.extraheader'='Authorization: {basic(f'me:{SECRET}')}'"}

    with pytest.raises(CannotFetch) as caught:
        fetcher(tmp_path, **ask).git(f"http://{server.host}/r.git", "", keep_git_dir=False)

    assert "GIT_AUTH_TOKEN" in caught.value.hint
    assert {given for _, given in server.seen} == {""}
    assert not list(home.glob("ran-*"))
    assert not (home / "asked-helper").exists()


def test_a_context_is_fetched_as_its_user(tmp_path, server, home):
    """Who names a repository reads it with what they have; another's Dockerfile gets nothing of that from the cache."""
    server.private["/r.git"] = basic(f"me:{SECRET}")
    url = f"http://{server.host}/r.git#{git(server.root / 'r.git', 'rev-parse', 'HEAD')}"

    found = fetcher(tmp_path, Credentials(own=True)).git(url, "", keep_git_dir=False)

    assert (found.folder / "file").is_file()
    assert (home / "asked-helper").exists()
    assert not list(home.glob("ran-*"))
    with pytest.raises(CannotFetch):
        fetcher(tmp_path).git(url, "", keep_git_dir=False)


@pytest.mark.parametrize("host", ["", ".HOST", ".127.0.0.1"])
@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("GIT_AUTH_TOKEN", f"{SECRET}\n", basic(f"x-access-token:{SECRET}")),
        ("GIT_AUTH_HEADER", f"Bearer {SECRET}", f"Bearer {SECRET}"),
    ],
)
def test_secrets_log_in(tmp_path, server, host, name, value, sent):
    """As BuildKit has them; and nothing of them is on a command line, in a file, or in an answer for others."""
    server.private["/r.git"] = sent
    url = f"http://{server.host}/r.git#{git(server.root / 'r.git', 'rev-parse', 'HEAD')}"
    secrets = {name + host.replace("HOST", server.host): value.encode()}

    found = fetcher(tmp_path, Credentials(secrets)).git(url, "", keep_git_dir=True)

    assert (found.folder / "file").is_file()
    kept = b"".join(file.read_bytes() for file in (tmp_path / "fetched").rglob("*") if file.is_file())
    assert SECRET.encode() not in kept
    assert basic(f"x-access-token:{SECRET}").encode() not in kept
    with pytest.raises(CannotFetch):
        fetcher(tmp_path).git(url, "", keep_git_dir=True)


def test_a_secret_goes_to_its_host_only(tmp_path, server):
    """Neither to another host by its name, nor by a redirect."""
    for secrets in ({"GIT_AUTH_TOKEN.example.com": SECRET.encode()}, {"GIT_AUTH_HEADER.other": SECRET.encode()}):
        fetcher(tmp_path, Credentials(secrets)).git(f"http://{server.host}/r.git", "", keep_git_dir=False)
    assert {given for _, given in server.seen} == {""}
    with serving(server.root) as thief:
        server.moved["/r.git"] = f"http://{thief.host}"
        with pytest.raises(CannotFetch):
            fetcher(tmp_path, Credentials({"GIT_AUTH_TOKEN": SECRET.encode()})).git(
                f"http://{server.host}/r.git", "", keep_git_dir=False
            )
        assert thief.seen == []


def test_no_secret_in_the_clear(tmp_path):
    """Over plain HTTP a token is everybody's on the way."""
    from wherry.build.git import log_in_for
    from wherry.source.git_address import GitAddress

    credentials = Credentials({"GIT_AUTH_TOKEN": SECRET.encode()})
    for host in ("git.example.com", "127.0.0.1.example.com", "127.example.com"):
        assert not log_in_for(GitAddress.parse(f"http://{host}/r.git"), credentials).header
        assert log_in_for(GitAddress.parse(f"https://{host}/r.git"), credentials).header


def test_a_secret_of_two_lines_is_refused(tmp_path, server):
    """It would be a second header."""
    with pytest.raises(InvalidUsage) as caught:
        fetcher(tmp_path, Credentials({"GIT_AUTH_HEADER": b"a\r\nX: y"})).git(
            f"http://{server.host}/r.git", "", keep_git_dir=False
        )
    assert "X: y" not in str(caught.value)


def test_hooks_filters_and_attributes_of_a_repository_run_nothing(tmp_path, server, home):
    """A repository asks for a filter that the user has, and the user has hooks: neither runs, for a context either."""
    evil = repository(server.root / "evil.git", {".gitattributes": "* filter=evil\n", "file": "x\n"})
    assert evil.is_dir()
    for credentials in (Credentials(), Credentials(own=True)):
        fetcher(tmp_path, credentials).git(f"http://{server.host}/evil.git", "", keep_git_dir=False)

    assert not list(home.glob("ran-*"))


def _with_submodule(server: GitServer, path: str, url: str, name: str = "sub") -> None:
    """Make a repository that has another as a submodule, by hand: git would refuse some of this."""
    folder = repository(server.root / "outer.git", {"file": "x\n"})
    commit = git(server.root / "r.git", "rev-parse", "HEAD")
    quoted = path.replace("\r", "\r")
    (folder / ".gitmodules").write_bytes(f'[submodule "{name}"]\n\tpath = "{quoted}"\n\turl = "{url}"\n'.encode())
    git(folder, "add", ".gitmodules")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path.rstrip(chr(13))}")
    git(folder, "commit", "-qm", "sub")


def test_submodules_are_checked_out(tmp_path, server):
    """As before, by a relative URL and by a whole one."""
    for url in ("../r.git", f"http://{server.host}/r.git"):
        shutil.rmtree(server.root / "outer.git", ignore_errors=True)
        _with_submodule(server, "deep/sub", url)
        found = fetcher(tmp_path / url[:2].strip(".") / "x").git(
            f"http://{server.host}/outer.git", "", keep_git_dir=False
        )
        assert (found.folder / "deep/sub/file").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("path", "url", "name"),
    [
        ("sub", "file:///etc", "sub"),
        ("sub", "ext::sh -c touch% /tmp/x", "sub"),
        ("sub", "/etc", "sub"),
        ("sub", "-u./x", "sub"),
        ("sub", "ssh://-oProxyCommand=x/y", "sub"),
        ("sub", "../r.git", "../../x"),
        ("sub", "../r.git", "-x"),
    ],
)
def test_submodules_of_an_enemy(tmp_path, server, path, url, name):
    """CVE-2018-11235 (name), CVE-2018-17456 (URL), CVE-2022-39253 (file), and helpers that are programs."""
    _with_submodule(server, path, url, name)

    with pytest.raises(WherryError) as caught:
        fetcher(tmp_path).git(f"http://{server.host}/outer.git", "", keep_git_dir=False)

    assert isinstance(caught.value, InvalidUsage)


def test_cve_2025_48384(tmp_path, server):
    """A path that ends with a carriage return, and a link of the name without it that leads into .git's hooks."""
    inner = repository(server.root / "hooked.git", {"post-checkout": f"#!/bin/sh\ntouch {tmp_path}/ran\n"})
    (inner / "post-checkout").chmod(0o755)
    git(inner, "add", "-A")
    git(inner, "commit", "-qm", "two")
    folder = repository(server.root / "outer.git", {"file": "x\n"})
    commit = git(inner, "rev-parse", "HEAD")
    (folder / ".gitmodules").write_bytes(b'[submodule "sub"]\n\tpath = "sub\r"\n\turl = ../hooked.git\n')
    (folder / "sub").symlink_to(".git/modules/sub/hooks")
    git(folder, "add", "-A")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{commit},sub\r")
    git(folder, "commit", "-qm", "evil")

    with pytest.raises(InvalidUsage) as caught:
        fetcher(tmp_path).git(f"http://{server.host}/outer.git", "", keep_git_dir=True)

    assert "\\r" in caught.value.message
    assert not (tmp_path / "ran").exists()


def test_a_submodule_behind_a_link(tmp_path, server):
    """CVE-2024-32002's kind: the submodule's path goes through a link of the repository."""
    _with_submodule(server, "a/sub", "../r.git")
    folder = server.root / "outer.git"
    git(folder, "update-index", "--force-remove", "a/sub")
    (folder / "a").symlink_to(".git")
    git(folder, "add", "a")
    git(folder, "commit", "-qm", "link")

    found = fetcher(tmp_path).git(f"http://{server.host}/outer.git", "", keep_git_dir=True)

    assert not (found.folder / ".git" / "sub").exists()


def test_a_folder_behind_a_link(tmp_path, server):
    """A link of the repository leads to no folder of the host."""
    folder = repository(server.root / "linked.git", {"file": "x\n"})
    (folder / "out").symlink_to("/etc")
    git(folder, "add", "out")
    git(folder, "commit", "-qm", "link")

    with pytest.raises(NotFound):
        fetcher(tmp_path).git(f"http://{server.host}/linked.git#main:out", "", keep_git_dir=False)


def test_ssh_has_no_keys_of_the_user(tmp_path, home):
    """Without --ssh neither an agent nor a key, nor the user's settings; with it the agent alone."""
    from wherry.build.git import Git, LogIn

    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\nenv > {tmp_path}/env\nexit 1\n')
    program.chmod(0o755)
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(home), "SSH_AUTH_SOCK": "/agent/of/the/user",
        "GIT_SSH_COMMAND": f"touch {tmp_path}/own",
    }  # fmt: skip
    for agent in ("", "/agent/of/--ssh"):
        with pytest.raises(CannotFetch):
            Git(SystemRunner(), environment).ask("ls-remote", "ssh://git@host.invalid/r.git", log_in=LogIn(agent=agent))
        words = (tmp_path / "words").read_text().split("\n")
        assert f"IdentityAgent={agent or 'none'}" in words
        assert {"IdentityFile=none", "StrictHostKeyChecking=yes", "ProxyCommand=none"} <= set(words)
        assert "SSH_AUTH_SOCK" not in (tmp_path / "env").read_text()
        assert not (tmp_path / "own").exists()


def test_the_user_reads_whose_credentials_are_used(tmp_path, server):
    """For a context that the user names; its URL's own are not printed."""
    wherry = Shell(tmp_path / "app")
    wherry("build", f"http://me:{SECRET}@{server.host}/r.git", code=66)
    assert "those in the URL" in wherry.err
    wherry("build", f"http://{server.host}/r.git", code=66)
    assert "with your git credentials" in wherry.err
    assert SECRET not in wherry.err


def test_credentials_of_a_url_are_in_no_message_and_no_image(tmp_path, server):
    """They are in a Dockerfile already; a log of CI and an image have more readers."""
    wherry = Shell(tmp_path / "app")
    url = f"http://me:{SECRET}@{server.host}"
    for text, code in ((f"ADD {url}/none.git /x", 69), (f"ADD {url}/none.txt /x", 69), (f"COPY {url}/r.git /x", 65)):
        wherry.write("Dockerfile", f"FROM scratch\n{text}\n")
        wherry("build", "-f", "Dockerfile", ".", "--explain", "--progress", "plain", code=code)
        assert SECRET not in wherry.out + wherry.err
        assert "xxxxx:xxxxx@" in wherry.err
    for name in ("one", "two"):
        wherry.write("Dockerfile", f"FROM scratch\nADD http://{name}:{SECRET}@{server.host}/r.git /x\n")
        wherry("build", "-f", "Dockerfile", ".", "-t", "app", "--explain", "--progress", "plain")
        assert SECRET not in wherry.out + wherry.err
    kept = b"".join(file.read_bytes() for file in (wherry.root / "store").rglob("*") if file.is_file())
    assert b"xxxxx:xxxxx@" in kept
    assert SECRET.encode() not in kept
