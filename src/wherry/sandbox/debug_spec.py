"""What the launcher is asked for `wherry debug`: a plain document, as those of `spec.py`."""

from typing import Literal, TypedDict


class DebugEntry(TypedDict):
    """`debug`: a program of ours in the namespaces of a process that runs, as its user, with nothing written there."""

    task: Literal["debug"]
    process: int
    started: int
    """When it was started, so that no other process of the same id is entered."""
    program: str
    """A static program on the host, which is executed from memory; empty: argv is looked up in the target."""
    names: list[str]
    """What the program can be called as; needed where there is no /proc."""
    tools: list[str]
    """Folders that are shown at /.wherry, joined, base first; empty: none."""
    argv: list[str]
    environment: dict[str, str]
    uid: int
    """As the target's user namespace numbers users."""
    gid: int
    groups: list[int]
    own_ids: bool
    """Whether users may be changed at all."""
    mounts: bool
    """Whether mount namespaces may be made and joined, and roots changed; else the root is ours already."""
    capabilities: list[int]
    """The most that the program may have."""
    bounded: bool
    """Whether the programs that it starts are bounded by them too."""
    filtered: bool
    """Whether the usual seccomp filter applies."""
    no_new_privileges: bool
    terminal: bool
