"""Where git keeps tags: what has to be checked to know that the name of a version is still the same.

Source: git 2.39, gitrepository-layout(5).
"""

from wherry.source.inputs import InputKind
from wherry.source.vcs import Vcs, VcsAbsent


def ref_inputs(vcs: Vcs | VcsAbsent) -> list[tuple[str, InputKind]]:
    """Name the files and folders that decide which tag a commit is near to."""
    if not isinstance(vcs, Vcs):
        return []
    git = vcs.root / ".git"
    tags = git / "refs" / "tags"
    below = [tags, *tags.rglob("*")]
    return [
        (str(git / "packed-refs"), InputKind.FILE),
        *((str(path), InputKind.FILE) for path in below if path.is_file()),
        *((str(path), InputKind.TREE) for path in below if path.is_dir() or path == tags),
    ]
