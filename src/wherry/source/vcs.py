"""Facts of the git checkout a module sits in: which commit, is anything changed, since when, from where.

What is not a checkout, or is one git will not read, gives a reason in words and never an error: an image is
built all the same. Git is asked as cmd/go asks it (untracked files count as a change, ignored ones do not),
with the user's display settings out of the way: `git_environment` holds them, and a `go build` that is given
the same environment stamps the same answer. Nothing here takes the index lock.

Sources: git 2.39, git-status(1) "Porcelain Format Version 2", git-log(1) "%(describe)", git(1)
"Environment Variables"; Go 1.26, cmd/go/internal/vcs (gitStatus, FromDir) and cmd/go/internal/load (setBuildInfo).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wherry.errors import HostUnable
from wherry.host.process import Command, Outcome, ProcessHandle, Runner
from wherry.source.git_status import STATUS, checked_out, git_environment

_OUTSIDE = " is not in a git checkout"
_LOG = ("git", "log", "-1", "--no-show-signature", "--no-decorate")
_COMMIT = "--format=%ct%n%(describe:tags=true,abbrev=40)"
_REMOTES = ("git", "config", "-z", "--get-regexp", r"^remote\..*\.url$")
_DESCRIBED = re.compile(r"(?P<tag>.+)-(?P<distance>\d+)-g(?P<revision>[0-9a-f]{40,64})")
_SCP_LIKE = re.compile(r"(?:[^/:]+@)?(?P<host>[\w.-]{2,}):(?!//|:)(?P<path>[^\s]+)")
_URL = re.compile(
    r"(?P<scheme>https?|ssh|git|git\+ssh|git\+https)://(?:[^/?#]*@)?"
    r"(?P<host>(?:[\w.~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?)(?P<path>/[^?#]*)?(?:[?#].*)?"
)


@dataclass(frozen=True, slots=True)
class Vcs:
    """The current state of a checkout, from one git process."""

    root: Path
    """The folder that has `.git`."""
    revision: str
    """The commit checked out, in hex; empty where there is none yet."""
    modified: bool
    """Something differs from the commit, or is new and not ignored."""
    branch: str
    """Empty where HEAD is detached."""
    linked: bool
    """`.git` is a file (a linked worktree, a submodule).

    cmd/go does not see such a checkout and stamps an outer one, or none.
    """


@dataclass(frozen=True, slots=True)
class VcsAbsent:
    """No checkout that could be read."""

    reason: str
    """In words that go on after "no VCS facts: "."""


@dataclass(frozen=True, slots=True)
class Details:
    """What two more processes tell. A commit's time never changes; tags and remotes may."""

    committed: datetime | None
    """UTC; None where there is no commit yet."""
    tag: str
    """The nearest tag at or before the commit; empty where none is in reach."""
    distance: int
    """Commits since the tag; 0 is the tagged commit itself."""
    remote: str
    """Where it was cloned from, without credentials; empty where it was not, or from this machine."""


class VcsQuery:
    """A `git status` at work."""

    def __init__(self, root: Path, running: ProcessHandle | VcsAbsent) -> None:
        self._root = root
        self._running = running

    def result(self) -> Vcs | VcsAbsent:
        """Wait for git and read what it said."""
        if isinstance(self._running, VcsAbsent):
            return self._running
        return _read_status(self._root, self._running.finish())

    def stop(self) -> None:
        """Stop; the answer is not needed any more."""
        if not isinstance(self._running, VcsAbsent):
            self._running.stop()


def find_root(folder: Path) -> Path | None:
    """Go up to the first folder that has `.git`, a folder or a file; it is the checkout that contains this one."""
    for candidate in (folder, *folder.parents):
        if os.path.exists(candidate / ".git"):  # noqa: PTH110 - Path.exists raises where a folder may not be looked into
            return candidate
    return None


def start_vcs(folder: Path, runner: Runner, environment: Mapping[str, str]) -> VcsQuery:
    """Ask git about a folder (absolute) and come back at once; the caller calls `result` or `stop`."""
    root = find_root(folder)
    if root is None:
        return VcsQuery(folder, VcsAbsent(f"{folder}{_OUTSIDE}"))
    return VcsQuery(root, _start(runner, STATUS, root, environment))


def outside(vcs: VcsAbsent) -> bool:
    """Report whether there is no checkout at all, and not one that git can't read."""
    return vcs.reason.endswith(_OUTSIDE)


def read_vcs(folder: Path, runner: Runner, environment: Mapping[str, str]) -> Vcs | VcsAbsent:
    """Ask git about a folder (absolute), in one process."""
    return start_vcs(folder, runner, environment).result()


def read_details(vcs: Vcs, runner: Runner, environment: Mapping[str, str]) -> Details:
    """Ask for the commit's time, its tag and the remote: two processes side by side."""
    remotes = _start(runner, _REMOTES, vcs.root, environment)
    commit = _start(runner, (*_LOG, _COMMIT, vcs.revision), vcs.root, environment) if vcs.revision else None
    committed, tag, distance = _read_commit(_finish(commit), vcs.revision)
    return Details(committed, tag, distance, _read_remotes(_finish(remotes)))


def template_facts(vcs: Vcs, details: Details) -> dict[str, str]:
    """Name the facts as templates of `--ldflags` do (`wherry.settings.template`); what is not there is left out."""
    tagged = details.tag and details.distance == 0
    since = "" if tagged else f"-{details.distance}-g{vcs.revision[:7]}"
    version = details.tag.removeprefix("v") + since if details.tag else f"0.0.0-{vcs.revision[:7]}"
    facts = {
        "FullCommit": vcs.revision,
        "ShortCommit": vcs.revision[:7],
        "Branch": vcs.branch,
        "Tag": details.tag,
        "IsDirty": str(vcs.modified).lower(),
        "IsClean": str(not vcs.modified).lower(),
        "TreeState": "dirty" if vcs.modified else "clean",
    }
    if details.committed:
        facts["CommitDate"] = details.committed.strftime("%Y-%m-%dT%H:%M:%SZ")
        facts["CommitTimestamp"] = str(int(details.committed.timestamp()))
    named = {f"Git.{name}": value for name, value in facts.items()} | facts
    if vcs.revision:
        named["Version"] = version + ("+dirty" if vcs.modified else "")
    named |= {
        "Commit": vcs.revision,
        "Date": facts.get("CommitDate", ""),
        "Timestamp": facts.get("CommitTimestamp", ""),
        "GitURL": details.remote,
    }
    return {name: value for name, value in named.items() if value}


def public_url(remote: str) -> str:
    """Give a remote's URL without user, password, token and query, and `git@host:path` as `ssh://host/path`.

    A local folder gives an empty text, so that its path is not published.
    """
    scp_like = _SCP_LIKE.fullmatch(remote)
    if scp_like:
        return f"ssh://{scp_like['host']}/{scp_like['path'].lstrip('/')}"
    url = _URL.fullmatch(remote)
    return f"{url['scheme']}://{url['host']}{url['path'] or ''}" if url else ""


def _start(
    runner: Runner, argv: tuple[str, ...], root: Path, environment: Mapping[str, str]
) -> ProcessHandle | VcsAbsent:
    try:
        return runner.start(Command(argv, root, git_environment(environment, root)))
    except HostUnable as error:
        return VcsAbsent(f"cannot start git ({error.message})")


def _finish(running: ProcessHandle | VcsAbsent | None) -> bytes:
    if running is None or isinstance(running, VcsAbsent):
        return b""
    outcome = running.finish()
    return outcome.stdout if outcome.returncode == 0 else b""


def _read_status(root: Path, outcome: Outcome) -> Vcs | VcsAbsent:
    if outcome.returncode != 0:
        return VcsAbsent(_refusal(root, outcome))
    revision, branch, modified = checked_out(outcome.stdout)
    return Vcs(
        root=root,
        revision=revision,
        modified=modified,
        branch=branch,
        linked=not (root / ".git").is_dir(),
    )


def _refusal(root: Path, outcome: Outcome) -> str:
    if "dubious ownership" in outcome.words:
        trust = f"git config --global --add safe.directory {root}"
        return f"{root} belongs to another user and git does not trust it ({trust})"
    said = outcome.words.splitlines()
    return f"git cannot read {root}: {said[-1] if said else f'exit code {outcome.returncode}'}"


def _read_commit(stdout: bytes, revision: str) -> tuple[datetime | None, str, int]:
    time, _, described = stdout.decode(errors="replace").strip().partition("\n")
    if not time.isdigit():
        return None, "", 0
    committed = datetime.fromtimestamp(int(time), UTC)
    if not described or described.startswith("%("):  # nothing to describe it by, or a git before 2.35
        return committed, "", 0
    between = _DESCRIBED.fullmatch(described)
    if between and between["revision"] == revision:
        return committed, between["tag"], int(between["distance"])
    return committed, described, 0


def _read_remotes(stdout: bytes) -> str:
    urls: dict[str, str] = {}
    for entry in filter(None, stdout.split(b"\0")):
        key, _, url = entry.decode(errors="replace").partition("\n")
        urls.setdefault(key.removeprefix("remote.").removesuffix(".url"), url)
    chosen = urls.get("origin") or next(iter(urls.values()), "")
    return public_url(chosen)
