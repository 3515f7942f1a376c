"""Why steps of the last build of a Dockerfile were not cached."""

import os
from contextlib import closing
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.errors import NotFound
from wherry.store.results import Results

if TYPE_CHECKING:
    from wherry.app.build.step_notes import StepNote


def why(session: Session, step: str = "", *, context: str = ".", file: str = "") -> "dict[str, StepNote]":
    """Explain steps of the last build of a Dockerfile.

    Args:
        session: where the cache is.
        step: part of a step's name, such as `COPY go.mod`; empty: all.
        context: the folder that was built.
        file: the Dockerfile, as it was named to the build; empty: the context's own.

    Returns:
        What is remembered of each step, by its name, in their order.

    Raises:
        NotFound: no build is remembered, or it has no such step.
    """
    from wherry.app.build.step_notes import noted_steps

    folder = session.cwd / context
    name = file or os.path.relpath(folder / "Dockerfile", session.cwd)
    with closing(Results(session.cache_folder)) as results:
        steps = noted_steps(results, f"{os.path.realpath(folder)} {name}")
    if not steps:
        raise NotFound(f"{name}: no record of a build", hint="build it first, from this directory and with the same -f")
    found = {key: one for key, one in steps.items() if step.lower() in key.lower() and key.startswith("[")}
    if not found:
        raise NotFound(f"{step}: {name} has no such step", hint="`wherry why` lists them all")
    return found
