"""Which `# syntax=` names Docker's own frontend, whatever registry has it, and which another one.

Source: Dockerfile reference, "syntax"; docs.docker.com, "Custom Dockerfile syntax", for the official images.
"""

import re

from wherry.dockerfile.errors import DockerfileError, Lines
from wherry.dockerfile.syntax import directive_of

_DOCKERS = re.compile(r"(?:[^@\s]+/)?docker/dockerfile(?:-upstream)?(?::[\w.-]+)?(?:@[\w.+:-]+)?")
"""Any tag, any digest, and any registry or folder before it: mirrors keep the name."""


def refuse_other(text: str) -> None:
    """Refuse a file that asks for another frontend: another language, which is not understood here.

    Raises:
        DockerfileError: with the line.
    """
    frontend = directive_of("syntax", text)
    if not frontend or _DOCKERS.fullmatch(frontend):
        return
    lines = text.split("\n")
    line = next((number for number, one in enumerate(lines, 1) if frontend in one), 1)
    raise DockerfileError(
        f"syntax={frontend} is another frontend; docker/dockerfile and its mirrors are understood",
        Lines(line, line),
        hint="remove the line if the file is an ordinary Dockerfile, or build it with docker buildx",
    )
