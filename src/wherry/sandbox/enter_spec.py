"""What the launcher is asked for one more program in a container that runs: see `spec.py`."""

from typing import Literal, TypedDict

from wherry.sandbox.spec import Container


class Enter(TypedDict):
    """`enter`: one more program in a container that runs. The descriptors of its namespaces come through the line."""

    task: Literal["enter"]
    container: Container
    """As it was started, but for the program, its user, folder and environment."""
    handles: list[str]
    """What the descriptors are of, in their order: see `handle` in `LauncherEvent`."""
    groups: list[str]
    """Folders of its control groups."""
