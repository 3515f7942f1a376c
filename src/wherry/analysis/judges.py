"""What is questionable in an image of one platform: a table of judges, each a function that gives findings.

To add a judge: write the function, and add it to `JUDGES`.

Source: OCI image-spec v1.1.1, config.md (User).
"""

from collections.abc import Callable, Iterator

from wherry.finding import Finding, Severity
from wherry.oci.image import Image


def judge(image: Image) -> Iterator[Finding]:
    """Give the findings of all judges, in the order of the table."""
    for one in JUDGES:
        yield from one(image)


def root_user(image: Image) -> Iterator[Finding]:
    """Find an image that has programs and runs them as root."""
    runtime = image.config.runtime
    user = runtime.user.partition(":")[0]
    if (runtime.entrypoint or runtime.cmd) and user in {"", "0", "root"}:
        yield Finding(
            rule="root-user",
            severity=Severity.WARNING,
            place=str(image.platform),
            message="the program runs as root",
            evidence=(f"config: User is {runtime.user!r}" if runtime.user else "config: no User",),
            remedy="set USER in the Dockerfile, or build with --user 65532:65532",
        )


JUDGES: tuple[Callable[[Image], Iterator[Finding]], ...] = (root_user,)
