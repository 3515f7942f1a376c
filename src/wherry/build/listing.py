"""Which files a compile step reads: Go is asked at the same time as it compiles, or not at all.

Go need not be asked where, since the last time, only sources changed and none of them in its head
(`source/heads.py`): the list is the one of the step's record. What an edit changes after the look that decides so has
a time of change that `source/inputs.py` takes for a change during the build, since the look comes after its start.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from wherry.build.values import Observed, compiled_of
from wherry.plan.graph import Step, key_of
from wherry.source.heads import same_heads
from wherry.source.inputs import TICK, InputReader
from wherry.source.module import PackageListing
from wherry.store.results import StepRecord


def unchanged_listing(step: Step, known: StepRecord | None, before: Observed) -> PackageListing | None:
    """Give the list of a step's record, if Go would give the same now; else None.

    Args:
        step: a compile step.
        known: the record to compare with, which may be of another definition.
        before: what that record's step has read.
    """
    if known is None or not before.heads or known.definition != key_of(step.definition()):
        return None
    if not same_heads(InputReader().observe(before.inputs).changed, before.heads):
        return None
    paths = tuple((entry.path, entry.kind) for entry in before.inputs)
    return PackageListing("main", compiled_of(known.result).packages, uses_cgo=False, paths=paths)


class FileList:
    """The list of files, asked for while the program is compiled."""

    def __init__(self, known: PackageListing | None, ask: Callable[[], PackageListing]) -> None:
        """Take what `unchanged_listing` gave, and what asks Go where that is nothing."""
        self._known, self._ask = known, ask
        self._asked: Future[PackageListing] | None = None

    @contextmanager
    def asked(self, warm: Callable[[], None]) -> Iterator[None]:
        """Ask while the block runs, unless the list is known; its errors say more than the block's, and are raised.

        Args:
            warm: loads what is needed once the program is there; done at the same time.
        """
        with ThreadPoolExecutor(2) as pool:
            if self._known is None:
                self._asked = pool.submit(self._ask)
            warmed = pool.submit(warm)
            try:
                yield
            finally:
                warmed.result()
                if self._asked:
                    self._asked.result()

    @property
    def imports(self) -> Mapping[str, Sequence[str]] | None:
        """What each package imports, if Go has been asked and has answered."""
        done = self._asked is not None and self._asked.done() and not self._asked.exception()
        return self._asked.result().imports if self._asked and done else None

    def first(self) -> int:
        """Wait for a first list; give the time (nanoseconds) from when on what changes counts as an edit.

        It may fetch modules: a tick later they are older than the compiler's start, and trusted.
        """
        self.get()
        time.sleep(TICK / 1e9)
        return time.time_ns()

    def get(self, *, again: bool = False) -> PackageListing:
        """Give the list.

        Args:
            again: whether what was known does not count any more.
        """
        if self._asked:
            return self._asked.result()
        return self._ask() if self._known is None or again else self._known
