"""What a build reports while it runs: the same events for both front ends.

A step that takes time is a step of the progress: compiling a program, COPY, ADD, WORKDIR and RUN.
"""

import threading

from wherry.app.build.result import BuildResult
from wherry.app.progress import Progress
from wherry.app.progress import ProgressStep as Shown
from wherry.build.solver import StepOutcome
from wherry.pipeline import Listener
from wherry.plan.graph import CompileOp, Step
from wherry.plan.ops import CopyOp, MkdirOp, RunOp

_SHOWN = (CompileOp, CopyOp, MkdirOp, RunOp)


class BuildProgress(Listener):
    """Reports the steps of a build."""

    def __init__(self, progress: Progress) -> None:
        """Take where they are reported."""
        self.progress = progress
        self._running: dict[str, Shown] = {}
        self._lock = threading.Lock()

    def warn(self, text: str) -> None:
        """Report what the user should act on."""
        self.progress.warn(text)

    def began(self, step: Step) -> None:
        """Report that a step is being done."""
        if not isinstance(step.action, _SHOWN):
            return
        label = label_of(step.name) if isinstance(step.action, RunOp) else ""
        running = self.progress.step(step.name, label=label)
        running.__enter__()
        with self._lock:
            self._running[step.name] = running

    def printed(self, step: str, text: str) -> None:
        """Pass on what a step's program prints."""
        with self._lock:
            running = self._running.get(step)
        for line in text.splitlines() or [text]:
            if running is not None:
                running.printed(line)
            else:
                self.progress.line(f"{label_of(step)} | {line}")

    def detail(self, step: str, text: str) -> None:
        """Show what a step does at the moment."""
        with self._lock:
            running = self._running.get(step)
        if running is not None:
            running.detail(text)

    def finished(self, outcome: StepOutcome) -> None:
        """Report what came of a step."""
        name = outcome.step.name
        with self._lock:
            running = self._running.pop(name, None)
        if running is not None:
            running.__exit__(None, None, None)
        elif outcome.cached and isinstance(outcome.step.action, CopyOp | MkdirOp | RunOp):
            self.progress.line(f"{name}  cached")

    def ended(self, result: BuildResult) -> None:
        """Report what a build gave."""
        for notice in result.notices:
            self.progress.line(notice)

    def close(self) -> None:
        """Report steps that did not end as failed."""
        with self._lock:
            left = list(self._running.values())
            self._running.clear()
        for running in left:
            running.__exit__(Exception, None, None)


def label_of(step: str) -> str:
    """Give the short name of a Dockerfile's step: its stage and number."""
    return step.partition("]")[0].lstrip("[")
