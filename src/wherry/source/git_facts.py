"""A repository that answers for a checkout, without its files: for a build elsewhere that records the same facts.

It has the commits, the trees of the one that is checked out, tags, the branch and the remote's public address; no file
of the checkout, and nothing of the user's settings. Git finds every file of its index as it should be (each is marked
`skip-worktree`); where the checkout differs from its commit, one file is taken out of the index, and so does this one.

Sources: git 2.39, gitrepository-layout(5), git-pack-objects(1), git-update-index(1) "Skip-worktree bit", shallow.txt.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from wherry.errors import HostUnable
from wherry.host.process import Command, Runner
from wherry.source.git_status import git_environment
from wherry.source.vcs import Vcs, read_details

MOST_COMMITS = 20_000
"""Commits that go along, the newest first; tags of older ones are not known then."""
_QUIET = ("-c", "core.quotePath=false", "-c", "pack.threads=1", "-c", "gc.auto=0")


def write_facts(vcs: Vcs, folder: Path, runner: Runner, environment: Mapping[str, str]) -> None:
    """Write such a repository: what `.git` is in a checkout.

    Args:
        vcs: the checkout, with a commit.
        folder: made.
        runner: starts git.
        environment: the user's.

    Raises:
        HostUnable: git can't read the checkout.
    """
    _Writer(vcs, folder, runner, environment).write()


class _Writer:
    def __init__(self, vcs: Vcs, folder: Path, runner: Runner, environment: Mapping[str, str]) -> None:
        self._vcs, self._folder, self._runner = vcs, folder, runner
        self._user = environment
        self._environment = git_environment(environment, vcs.root)

    def write(self) -> None:
        """Write all of it."""
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
            (self._folder / name).mkdir(parents=True)
        commits = self._commits()
        tags = self._tags(commits)
        self._pack([*commits, *self._trees(), *(one for one, _, _ in tags)])
        self._write_refs(tags)
        self._write_config()
        self._write_index()

    def _commits(self) -> list[str]:
        said = self._git("rev-list", "--parents", f"--max-count={MOST_COMMITS}", self._vcs.revision).decode()
        rows = [line.split() for line in said.splitlines()]
        known = {row[0] for row in rows}
        shallow = self._vcs.root / os.fsdecode(self._git("rev-parse", "--git-path", "shallow").strip())
        before = set(shallow.read_text().split()) if shallow.is_file() else set()
        cut = sorted(row[0] for row in rows if row[0] in before or not known.issuperset(row[1:]))
        if cut:
            (self._folder / "shallow").write_text("".join(f"{one}\n" for one in cut))
        return [row[0] for row in rows]

    def _trees(self) -> list[str]:
        listed = self._git(
            "ls-tree", "-r", "-t", "-d", "-z", "--format=%(objecttype) %(objectname)", self._vcs.revision
        )
        rows = (row.split(" ") for row in listed.decode().split("\0") if row)
        top = self._git("rev-parse", f"{self._vcs.revision}^{{tree}}").decode().strip()
        return list(dict.fromkeys([top, *(name for kind, name in rows if kind == "tree")]))

    def _tags(self, commits: list[str]) -> list[tuple[str, str, str]]:
        """Give the tags of commits that go along: what each names, what that is in the end, and its name."""
        form = "--format=%(objectname) %(objecttype) %(*objectname) %(*objecttype) %(refname)"
        listed = self._git("for-each-ref", f"--merged={self._vcs.revision}", form, "refs/tags").decode()
        known, found = set(commits), []
        for line in listed.splitlines():
            name, kind, inner, inner_kind, ref = line.split(" ", 4)
            commit = name if kind == "commit" else inner if inner_kind == "commit" else ""
            if commit in known:
                found.append((name, commit, ref))
        return found

    def _pack(self, objects: list[str]) -> None:
        listed = "".join(f"{one}\n" for one in dict.fromkeys(objects)).encode()
        prefix = str(self._folder / "objects" / "pack" / "pack")
        self._git("pack-objects", "-q", "--window=0", prefix, stdin=listed)
        for index in (self._folder / "objects" / "pack").glob("*.rev"):
            index.unlink()

    def _write_refs(self, tags: list[tuple[str, str, str]]) -> None:
        rows = sorted((ref, name, commit) for name, commit, ref in tags)
        lines = ["# pack-refs with: peeled fully-peeled sorted "]
        if self._vcs.branch:
            lines.append(f"{self._vcs.revision} refs/heads/{self._vcs.branch}")
        for ref, name, commit in rows:
            lines += [f"{name} {ref}", *([f"^{commit}"] if commit != name else [])]
        (self._folder / "packed-refs").write_text("\n".join(lines) + "\n")
        head = f"ref: refs/heads/{self._vcs.branch}" if self._vcs.branch else self._vcs.revision
        (self._folder / "HEAD").write_text(f"{head}\n")

    def _write_config(self) -> None:
        remote = read_details(self._vcs, self._runner, self._user).remote
        form = "\n\tobjectformat = sha256" if len(self._vcs.revision) > 40 else ""  # noqa: PLR2004 - SHA-1 in hex
        lines = f"[core]\n\trepositoryformatversion = {1 if form else 0}\n\tbare = false\n\tfilemode = true\n"
        lines += f"[extensions]{form}\n" if form else ""
        lines += f'[remote "origin"]\n\turl = {remote}\n' if remote else ""
        (self._folder / "config").write_text(lines)
        (self._folder / "info" / "exclude").write_text("*\n")

    def _write_index(self) -> None:
        self._environment["GIT_INDEX_FILE"] = str(self._folder / "index")
        self._git("read-tree", self._vcs.revision)
        listed = self._git("ls-files", "-z")
        self._git("update-index", "-z", "--skip-worktree", "--stdin", stdin=listed)
        first = listed.partition(b"\0")[0]
        if self._vcs.modified and first:
            self._git("update-index", "-z", "--force-remove", "--stdin", stdin=first + b"\0")

    def _git(self, *words: str, stdin: bytes = b"") -> bytes:
        command = Command(("git", *_QUIET, *words), self._vcs.root, self._environment, stdin)
        outcome = self._runner.run(command)
        if outcome.returncode:
            raise HostUnable(
                f"git {words[0]} in {self._vcs.root}: {outcome.words or f'exit code {outcome.returncode}'}",
                hint="run `git fsck` there, or build with --no-vcs",
            )
        return outcome.stdout
