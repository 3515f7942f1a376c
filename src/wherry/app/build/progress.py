"""What a build reports while it runs: the same events for both front ends.

A step that takes time is a step of the progress: compiling a program, COPY, ADD, WORKDIR and RUN.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from wherry.app.build.result import BuildResult
from wherry.app.progress import Progress, moving_of
from wherry.app.progress import ProgressStep as Shown
from wherry.build.solver import StepOutcome
from wherry.counted import Moved, counted
from wherry.pipeline import Listener
from wherry.plan.graph import CompileOp, Plan, Step
from wherry.plan.ops import CopyOp, MkdirOp, RunOp

_SHOWN = (CompileOp, CopyOp, MkdirOp, RunOp)


class BuildProgress(Listener):
    """Reports the steps of a build."""

    def __init__(self, progress: Progress) -> None:
        """Take where they are reported."""
        self.progress = progress
        self._running: dict[str, Shown] = {}
        self._to_do = _StepsToDo()
        self._lock = threading.Lock()

    def warn(self, text: str) -> None:
        """Report what the user should act on."""
        self.progress.warn(text)

    def begins(self, plan: Plan) -> None:
        """Report that steps begin to be done."""
        self._to_do = _StepsToDo(plan.steps)

    def began(self, step: Step) -> None:
        """Report that a step is being done."""
        self.progress.waiting(self._to_do.begun(step.name))
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

    def moving(self, name: str) -> AbstractContextManager[Moved]:
        """Show bytes on their way."""
        return moving_of(self.progress)(name)

    def detail(self, step: str, text: str) -> None:
        """Show what a step does at the moment."""
        with self._lock:
            running = self._running.get(step)
        if running is not None:
            running.detail(text)

    def finished(self, outcome: StepOutcome) -> None:
        """Report what came of a step."""
        name = outcome.step.name
        self.progress.waiting(self._to_do.done(name))
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


class _StepsToDo:
    """Keeps in mind which steps of a plan are done, and which of those at work the others wait for."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self._needs = {step.name: step.needs for step in steps}
        self._left = set(self._needs)
        self._begun: dict[str, None] = {}
        self._turn = threading.Lock()

    def begun(self, name: str) -> str:
        """Note that a step is at work; say how things are."""
        with self._turn:
            self._begun[name] = None
            return self._said()

    def done(self, name: str) -> str:
        """Note that a step is done; say how things are."""
        with self._turn:
            self._left.discard(name)
            self._begun.pop(name, None)
            return self._said()

    def _said(self) -> str:
        waiting = [name for name in self._left if name not in self._begun]
        if not waiting or not self._begun:
            return ""
        blockers = Counter(need for name in waiting for need in self._below(name) if need in self._begun)
        first = max(self._begun, key=lambda name: blockers[name])  # of equals, the one that began first
        count, wait = len(self._needs), "wait" if blockers[first] > 1 else "waits"
        return f"{count - len(self._left)} of {counted(count, 'step')} done, {blockers[first]} {wait} for {first}"

    def _below(self, name: str) -> Iterator[str]:
        """Give all that a step needs, directly or not, and is not done."""
        waiting, seen = [name], {name}
        while waiting:
            for need in self._needs.get(waiting.pop(), ()):
                if need in self._left and need not in seen:
                    seen.add(need)
                    waiting.append(need)
                    yield need


def label_of(step: str) -> str:
    """Give the short name of a Dockerfile's step: its stage and number."""
    return step.partition("]")[0].lstrip("[")
