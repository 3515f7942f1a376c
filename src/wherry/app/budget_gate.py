"""The gate between a build and the session: an image over its budget is stored and named, and goes nowhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wherry.app.progress import Progress
from wherry.app.session import Session
from wherry.counted import counted
from wherry.errors import InvalidUsage, WherryError
from wherry.oci.descriptor import Descriptor
from wherry.settings.budgets import Budgets

if TYPE_CHECKING:
    from wherry.analysis.size import BudgetCheck
    from wherry.app.budgets import GrowthReference


@dataclass(frozen=True, slots=True)
class Budgeted:
    """What one image may weigh."""

    key: str
    """Its service, or the image's name: what figures are kept under."""
    budgets: Budgets
    folder: Path
    """Where `against` starts, if it is a path."""


class BudgetsBroken(WherryError):
    """An image weighs more than it may; it is stored under its names."""

    exit_code = 1

    def __init__(self, broken: "Sequence[BudgetCheck]", names: Sequence[str]) -> None:
        super().__init__(
            "an image is over its budget",
            hint=f"{', '.join(names)}: stored, but not pushed or exported; use --no-budgets to skip the check",
        )
        self.broken = tuple(broken)
        """The budgets that do not hold."""


class Weighable(Protocol):
    """An image that was built."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its tags."""

    @property
    def root(self) -> Descriptor:
        """Of the manifest, or of the index."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Budgets of a build, with what growth is counted from as it was before the build."""

    session: Session
    budgeted: tuple[Budgeted, ...]
    references: "tuple[GrowthReference | None, ...]"

    @classmethod
    def of(cls, session: Session, budgeted: tuple[Budgeted, ...]) -> "Gate":
        """Measure what growth is counted from; the build may give its name to another image.

        Raises:
            NotFound, InvalidUsage: it is not there, or nothing is named.
        """
        if not any(one.budgets for one in budgeted):
            return cls(session, (), ())
        from wherry.app.budgets import reference_of

        return cls(session, budgeted, tuple(reference_of(session, one) for one in budgeted))

    @property
    def counts_growth(self) -> bool:
        """Whether something outside of the build decides whether it passes."""
        return any(one.budgets.growth for one in self.budgeted)

    def judge(self, images: Sequence[Weighable], progress: Progress) -> "list[BudgetCheck]":
        """Hold images that were built to their budgets, in the order of those; tell what holds."""
        if not self.budgeted:
            return []
        from wherry.app.budgets import judge

        found: list[BudgetCheck] = []
        for image, wanted, reference in zip(images, self.budgeted, self.references, strict=True):
            if not wanted.budgets:
                continue
            checks = list(judge(self.session, str(image.root.digest), image.names[0], wanted.budgets, reference))
            found += checks
            if checks and all(one.ok for one in checks):
                progress.line(f"{image.names[0]}: {_held(checks)}")
        return found


def counted_from(budgeted: Iterable[Budgeted], against: str | None, cwd: Path) -> tuple[Budgeted, ...]:
    """Count growth from what the command line names, if it names something.

    Raises:
        InvalidUsage: it does, and no growth is limited.
    """
    found = tuple(budgeted)
    if not against:
        return found
    if not any(one.budgets.growth for one in found):
        raise InvalidUsage(
            f"--against {against}: no budget limits growth", hint='add growth-pulled = "2%" to [budgets] of wherry.toml'
        )
    return tuple(replace(one, budgets=replace(one.budgets, against=against), folder=cwd) for one in found)


def _held(checks: "Sequence[BudgetCheck]") -> str:
    tightest = max(checks, key=lambda one: one.actual / one.limit if one.limit else 1)
    used = f"{tightest.actual / tightest.limit:.0%}" if tightest.limit else "all"
    return f"{counted(len(checks), 'budget')} met; the tightest is {tightest.what}, {used} used ({tightest.platform})"
