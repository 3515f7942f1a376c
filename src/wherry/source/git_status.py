"""`git status` as we ask it, and how its answer is read. Loads nothing, so that a replayed build can ask it too.

Sources: git 2.39, git-status(1) "Porcelain Format Version 2", git(1) "Environment Variables"; Go 1.26,
cmd/go/internal/vcs (gitStatus).
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS = ("git", "status", "--porcelain=v2", "--branch", "-z", "--no-ahead-behind", "--no-renames")
_SETTINGS = {
    "status.showUntrackedFiles": "normal",
    "core.fsmonitor": "false",
    "log.showSignature": "false",
}
"""What a user may have set for other ends, put back to git's own default; core.fsmonitor can name a program to run."""
_LOCATORS = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_EXTERNAL_DIFF",
)  # fmt: skip
"""Variables that point git at another repository; git sets them for its hooks, from where a build may be started."""


def git_environment(environment: "Mapping[str, str]", root: "str | os.PathLike[str]") -> dict[str, str]:
    """Give the environment in which git, called by us or by cmd/go, answers for this checkout and nothing else.

    Settings go in as GIT_CONFIG_KEY_n (git 2.31 and later; older ones ignore them), after those that are there:
    CI systems hand over safe.directory that way.
    """
    ours = {name: value for name, value in environment.items() if name not in _LOCATORS}
    count = ours.get("GIT_CONFIG_COUNT", "")
    first = int(count) if count.isascii() and count.isdigit() else 0
    for place, (key, value) in enumerate(_SETTINGS.items(), start=first):
        ours[f"GIT_CONFIG_KEY_{place}"], ours[f"GIT_CONFIG_VALUE_{place}"] = key, value
    ours |= {
        "GIT_CONFIG_COUNT": str(first + len(_SETTINGS)),
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CEILING_DIRECTORIES": os.path.dirname(root),  # noqa: PTH120 - pathlib takes longer to load than git to answer
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    return ours


def checked_out(answer: bytes) -> tuple[str, str, bool]:
    """Read what `STATUS` printed.

    Returns:
        The commit in hex (empty where there is none yet), the branch (empty where HEAD is detached), and whether
        anything differs from the commit or is new and not ignored.
    """
    headers: dict[bytes, str] = {}
    modified = False
    for line in filter(None, answer.split(b"\0")):
        if not line.startswith(b"# "):
            modified = True
            break
        name, _, value = line[2:].partition(b" ")
        headers[name] = value.decode(errors="replace")
    revision, branch = headers.get(b"branch.oid", ""), headers.get(b"branch.head", "")
    return "" if revision == "(initial)" else revision, "" if branch == "(detached)" else branch, modified
