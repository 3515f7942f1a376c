"""The launcher's three descriptors, and how it talks to its caller."""

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import LauncherEvent

JOB, LINE, FRAMES = 3, 4, 5
"""The job comes on the first; signals come and events go on the second; a layer's frames come on the third."""

STREAMS = (0, 1, 2)

FAILED = 125
"""The exit code of a process of ours that failed; what went wrong went up the line before."""


def tell(event: "LauncherEvent") -> None:
    """Say something to the caller; one that is gone hears nothing."""
    try:
        os.write(LINE, marshal.dumps(event))  # type: ignore[arg-type] # a TypedDict is a dict
    except OSError:
        return


def describe(error: OSError) -> str:
    """Say what an error is about and what it is."""
    name = f"{os.fsdecode(error.filename)}: " if error.filename and not isinstance(error.filename, int) else ""
    return f"{name}{error.strerror or error}"
