"""Git's facts are read as cmd/go reads them, whatever the user's settings are, and never stop a build."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needs import need
from wherry.errors import HostUnable
from wherry.host.process import Command, FakeRunner, Outcome, SystemRunner
from wherry.source.vcs import (
    Vcs,
    VcsAbsent,
    find_root,
    git_environment,
    public_url,
    read_details,
    read_vcs,
    start_vcs,
    template_facts,
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user with a HOME of their own and no settings."""
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def checkout(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A repository with one commit of 2024-05-06 07:08:09 UTC, on branch main, tagged v1.2.3."""
    need("git")
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "go.mod").write_text("module example.com/app\n")
    git(root, environment, "init", "-q", "-b", "main")
    commit(root, environment)
    git(root, environment, "tag", "v1.2.3")
    return root


def git(root: Path, environment: Mapping[str, str], *words: str) -> str:
    """Run git as the user would."""
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    when = {"GIT_AUTHOR_DATE": "2024-05-06T07:08:09Z", "GIT_COMMITTER_DATE": "2024-05-06T07:08:09Z"}
    done = subprocess.run(
        ["git", *words], cwd=root, env={**environment, **who, **when}, capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


def commit(root: Path, environment: Mapping[str, str]) -> None:
    """Commit all there is."""
    git(root, environment, "add", "-A")
    git(root, environment, "commit", "-q", "-m", "one", "--allow-empty")


def seen(folder: Path, environment: Mapping[str, str]) -> Vcs:
    """Read a checkout that is there."""
    vcs = read_vcs(folder, SystemRunner(), environment)
    assert isinstance(vcs, Vcs)
    return vcs


def test_reads_a_clean_checkout_from_a_folder_inside(checkout, environment):
    """The checkout is found from any folder in it."""
    inner = checkout / "cmd" / "api"
    inner.mkdir(parents=True)

    vcs = seen(inner, environment)

    head = git(checkout, environment, "rev-parse", "HEAD")
    assert vcs == Vcs(root=checkout, revision=head, modified=False, branch="main", linked=False)


@pytest.mark.parametrize("change", ["edit", "untracked", "staged", "deleted"])
def test_every_kind_of_change_counts(checkout, environment, change):
    """Edits, new files, staged files and deleted ones make a checkout modified, as in cmd/go."""
    match change:
        case "edit":
            (checkout / "go.mod").write_text("module example.com/other\n")
        case "untracked":
            (checkout / "new.go").write_text("package main\n")
        case "staged":
            (checkout / "new.go").write_text("package main\n")
            git(checkout, environment, "add", "new.go")
        case "deleted":
            (checkout / "go.mod").unlink()

    assert seen(checkout, environment).modified


def test_ignored_files_do_not_count(checkout, environment):
    """What .gitignore names is no change."""
    (checkout / ".gitignore").write_text("bin/\n")
    commit(checkout, environment)
    (checkout / "bin").mkdir()
    (checkout / "bin" / "api").write_text("x")

    assert not seen(checkout, environment).modified


@pytest.mark.parametrize(
    "setting",
    [
        ("status.showUntrackedFiles", "no"),
        ("status.branch", "false"),
        ("status.short", "true"),
        ("core.pager", "false"),
        ("color.ui", "always"),
        ("core.fsmonitor", "/bin/false"),
    ],
)
def test_the_users_settings_change_nothing(checkout, environment, setting):
    """Settings made for other ends do not reach our answer."""
    git(checkout, environment, "config", "--global", *setting)
    (checkout / "new.go").write_text("package main\n")

    vcs = seen(checkout, environment)

    assert vcs.modified
    assert vcs.branch == "main"


def test_variables_of_a_hook_do_not_lead_elsewhere(checkout, environment, tmp_path):
    """A build started from a git hook gets GIT_DIR and GIT_INDEX_FILE of the repository committed to."""
    hooked = {**environment, "GIT_DIR": str(tmp_path / "elsewhere"), "GIT_INDEX_FILE": ".git/other"}

    assert seen(checkout, hooked) == seen(checkout, environment)


def test_settings_handed_over_by_the_environment_stay(checkout, environment):
    """CI systems name trusted folders with GIT_CONFIG_COUNT; ours come after theirs."""
    theirs = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "/somewhere"}

    ours = git_environment({**environment, **theirs}, checkout)

    assert (ours["GIT_CONFIG_KEY_0"], ours["GIT_CONFIG_VALUE_0"]) == ("safe.directory", "/somewhere")
    assert ours["GIT_CONFIG_KEY_1"] == "status.showUntrackedFiles"
    assert int(ours["GIT_CONFIG_COUNT"]) == 1 + sum(1 for name in ours if name.startswith("GIT_CONFIG_VALUE")) - 1


def test_the_index_is_not_written(checkout, environment):
    """A status beside the user's own git command takes no lock and rewrites nothing."""
    index = checkout / ".git" / "index"
    os.utime(checkout / "go.mod", (1, 1))
    before = index.stat().st_mtime_ns, index.read_bytes()
    (checkout / ".git" / "index.lock").write_text("")

    assert not seen(checkout, environment).modified
    assert (index.stat().st_mtime_ns, index.read_bytes()) == before


def test_a_new_repository_has_no_revision(tmp_path, environment):
    """Before the first commit there is a branch and nothing else."""
    need("git")
    git(tmp_path, environment, "init", "-q", "-b", "main", "fresh")

    vcs = seen(tmp_path / "fresh", environment)

    assert (vcs.revision, vcs.branch, vcs.modified) == ("", "main", False)
    assert read_details(vcs, SystemRunner(), environment).committed is None


def test_a_detached_head_has_no_branch(checkout, environment):
    """CI checks commits out, not branches."""
    git(checkout, environment, "checkout", "-q", "--detach")

    assert seen(checkout, environment).branch == ""


def test_a_linked_worktree_says_so(checkout, environment, tmp_path):
    """Its facts are read, and that cmd/go will not stamp them is told."""
    git(checkout, environment, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))

    vcs = seen(tmp_path / "side", environment)

    assert vcs.linked
    assert vcs.branch == "side"


def test_details_of_a_tagged_commit(checkout, environment):
    """Time is the commit's, in UTC; the remote loses its credentials."""
    git(checkout, environment, "remote", "add", "upstream", "https://elsewhere.example/x")
    git(checkout, environment, "remote", "add", "origin", "https://user:t0ken@host.example/team/app.git?x=1")

    details = read_details(seen(checkout, environment), SystemRunner(), environment)

    assert details.committed == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert (details.tag, details.distance) == ("v1.2.3", 0)
    assert details.remote == "https://host.example/team/app.git"


def test_details_after_a_tag(checkout, environment):
    """Later commits count their distance; annotated tags and plain ones are alike."""
    commit(checkout, environment)
    commit(checkout, environment)

    details = read_details(seen(checkout, environment), SystemRunner(), environment)

    assert (details.tag, details.distance, details.remote) == ("v1.2.3", 2, "")


def test_facts_for_templates(checkout, environment):
    """The names ko and goreleaser users know have their values."""
    vcs = seen(checkout, environment)
    details = read_details(vcs, SystemRunner(), environment)

    facts = template_facts(vcs, details)
    later = template_facts(replace(vcs, modified=True), replace(details, distance=4))

    assert facts["Version"] == "1.2.3"
    assert facts["Git.ShortCommit"] == facts["ShortCommit"] == vcs.revision[:7]
    assert facts["Commit"] == facts["Git.FullCommit"] == vcs.revision
    assert (facts["Date"], facts["Timestamp"]) == ("2024-05-06T07:08:09Z", "1714979289")
    assert (facts["Git.TreeState"], later["Git.IsDirty"]) == ("clean", "true")
    assert later["Version"] == f"1.2.3-4-g{vcs.revision[:7]}+dirty"
    assert "GitURL" not in facts


def test_a_folder_outside_any_checkout_starts_no_git(tmp_path, environment):
    """Where there is no `.git` up to the root, no process is spent on it."""
    if find_root(tmp_path):
        pytest.skip("the folder for temporary files is in a git checkout")
    runner = FakeRunner(lambda _: Outcome(0, b"", b""))

    absent = read_vcs(tmp_path, runner, environment)

    assert isinstance(absent, VcsAbsent)
    assert not runner.asked


def test_a_broken_checkout_does_not_give_the_outer_ones_facts(checkout, environment):
    """An inner `.git` git cannot read is a reason; the outer repository is not asked instead."""
    inner = checkout / "inner"
    (inner / ".git").mkdir(parents=True)

    absent = read_vcs(inner, SystemRunner(), environment)

    assert isinstance(absent, VcsAbsent)
    assert "not a git repository" in absent.reason


def test_git_missing_is_a_reason(checkout):
    """No git on PATH builds all the same."""
    absent = read_vcs(checkout, SystemRunner(), {"PATH": str(checkout)})

    assert isinstance(absent, VcsAbsent)
    assert "git" in absent.reason


def test_a_folder_of_somebody_else_is_a_reason(tmp_path):
    """Git's distrust (safe.directory) names what would make it trust."""
    (tmp_path / ".git").mkdir()
    words = f"fatal: detected dubious ownership in repository at '{tmp_path}'\nTo add an exception…\n"

    absent = read_vcs(tmp_path, FakeRunner(lambda _: Outcome(128, b"", words.encode())), {})

    assert isinstance(absent, VcsAbsent)
    assert f"safe.directory {tmp_path}" in absent.reason


def test_a_real_distrust_is_a_reason(checkout, environment):
    """Git's own switch that makes it take a folder for somebody else's."""
    absent = read_vcs(checkout, SystemRunner(), {**environment, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})

    assert isinstance(absent, VcsAbsent)
    assert "safe.directory" in absent.reason


def test_a_query_can_be_given_up(checkout, environment):
    """Whoever fails while git works ends it; nothing is left behind."""
    query = start_vcs(checkout, SystemRunner(), environment)

    query.stop()
    query.stop()


def test_git_that_cannot_start_leaves_details_empty(tmp_path):
    """Between two questions git may have gone."""

    def gone(command: Command) -> Outcome:
        raise HostUnable(f"{command.argv[0]}: gone")

    details = read_details(Vcs(tmp_path, "a" * 40, modified=False, branch="", linked=False), FakeRunner(gone), {})

    assert (details.committed, details.tag, details.remote) == (None, "", "")


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://host.example/a/b.git", "https://host.example/a/b.git"),
        ("https://user:secret@host.example:8443/a", "https://host.example:8443/a"),
        ("ssh://git@host.example:22/a/b", "ssh://host.example:22/a/b"),
        ("git@host.example:team/app.git", "ssh://host.example/team/app.git"),
        ("host.example:team/app.git", "ssh://host.example/team/app.git"),
        ("/srv/git/app.git", ""),
        ("../app", ""),
        ("file:///srv/git/app.git", ""),
        ("C:\\git\\app", ""),
        ("https://[broken/a", ""),
        ("https://a@b@host.example?token=x#y", "https://host.example"),
        ("ssh://git@[::1]:22/a", "ssh://[::1]:22/a"),
        ("ext::sh -c evil", ""),
        ("", ""),
    ],
)
def test_a_remote_made_public(remote, url):
    """Credentials and folders of this machine stay here."""
    assert public_url(remote) == url


@settings(max_examples=30)
@given(user=st.text(min_size=1).filter(lambda text: "/" not in text), token=st.uuids())
def test_no_secret_gets_through(user, token):
    """Whatever a URL looks like, what stands before the host is not in what comes out."""
    assert str(token) not in public_url(f"https://{user}:{token}@host.example/a")


@pytest.mark.slow
@pytest.mark.parametrize("untracked", [True, False])
def test_go_stamps_the_same_answer(checkout, environment, untracked, tmp_path):
    """`go build` in the environment we give it records our revision and our "modified", whatever the user set."""
    go = need("go")
    git(checkout, environment, "config", "--global", "status.showUntrackedFiles", "no")
    (checkout / "main.go").write_text("package main\n\nfunc main() {}\n")
    commit(checkout, environment)
    if untracked:
        (checkout / "notes").write_text("x")
    vcs = seen(checkout, environment)
    caches = {"GOCACHE": os.environ.get("GOCACHE") or str(Path.home() / ".cache" / "go-build"), "GOFLAGS": ""}
    ours = {**git_environment(environment, checkout), **caches, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}

    program = tmp_path / "program"
    subprocess.run([go, "build", "-buildvcs=true", "-o", program, "."], cwd=checkout, env=ours, check=True)
    said = subprocess.run([go, "version", "-m", program], env=ours, capture_output=True, text=True, check=True).stdout

    assert f"vcs.revision={vcs.revision}" in said
    assert f"vcs.modified={str(vcs.modified).lower()}" in said
    assert vcs.modified is untracked
