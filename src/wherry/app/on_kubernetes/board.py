"""What is shown of a build in a cluster: one step a platform, that says what its pod does."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from wherry.app.progress import Progress, ProgressStep
from wherry.cluster.build_documents import TaskResult
from wherry.cluster.build_pods import PodTrouble
from wherry.cluster.build_run import ClusterRun, RunTask
from wherry.errors import WherryError


class _NotBuilt(WherryError):
    """Ends the line of a platform that was not built."""


class TaskBoard:
    """One line a platform; safe to call from any thread."""

    def __init__(self, progress: Progress, run: ClusterRun) -> None:
        self._progress = progress
        self._steps = [progress.step(task_name(run, task), label=_label(run, task)) for task in run.tasks]
        self._open: dict[int, ExitStack] = {}
        self._words: dict[int, str] = {}
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        for number, step in enumerate(self._steps):
            stack = ExitStack()
            stack.enter_context(step)
            self._open[number] = stack
            self.says(number, "queued")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stack in self._open.values():
            stack.__exit__(kind, error, trace)
        self._open.clear()

    def says(self, number: int, words: str) -> None:
        """Say what a platform's pod does, unless that was said last."""
        if number in self._open and self._words.get(number) != words:
            self._words[number] = words
            self._steps[number].detail(words)
            self._steps[number].printed(words)

    def printed(self, number: int, line: str) -> None:
        """Pass on what the pod prints."""
        if number in self._open:
            self._steps[number].printed(line)

    def done(self, number: int, result: TaskResult, node: str) -> None:
        """End the line of a platform that is built and pushed."""
        stack = self._open.pop(number, None)
        if stack is None:
            return
        step: ProgressStep = self._steps[number]
        words = [f"{result.digest[:19]}…", f"{result.pulled:,} bytes pulled", result.go, f"{result.seconds:.1f} s"]
        step.done("  ".join(["pushed", *filter(None, words), *([f"on {node}"] if node else [])]))
        stack.close()

    def failed(self, number: int) -> None:
        """End the line of a platform that can't be built."""
        stack = self._open.pop(number, None)
        if stack is not None:
            stack.__exit__(_NotBuilt, _NotBuilt("not built"), None)

    def warn(self, where: str, trouble: PodTrouble) -> None:
        """Say what the reader should act on, once."""
        text = f"{where}: {trouble.message.partition(chr(10))[0]}"
        if trouble.message not in self._warned:
            self._warned.add(trouble.message)
            self._progress.warn(f"{text}; {trouble.hint}" if trouble.hint else text)


def task_name(run: ClusterRun, task: RunTask) -> str:
    """Name a task for people: image and platform, and which of two copies it is."""
    image = f"{run.images[task.image].title} " if len(run.images) > 1 else ""
    return f"{image}{task.platform}{', second time' if task.copy else ''}"


def _label(run: ClusterRun, task: RunTask) -> str:
    image = f"{run.images[task.image].title}/" if len(run.images) > 1 else ""
    return f"{image}{task.platform.removeprefix('linux/')}{'#2' if task.copy else ''}"
