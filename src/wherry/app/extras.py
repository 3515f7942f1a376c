"""What wherry can do only where an optional package is installed: numpy, of the extra `explain`."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from wherry.errors import HostUnable

_NUMPY = "numpy"


class ExplainMissing(HostUnable):
    """The extra `explain` is not installed."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs numpy, which is not installed: wherry was installed without its extra `explain`",
            hint="pipx inject wherry numpy, uv tool install --with numpy wherry, "
            "or pip install numpy in the environment that wherry is installed in",
        )


@contextmanager
def explaining(what: str) -> Iterator[None]:
    """Report that numpy is missing, where that is what stops what is done inside.

    Args:
        what: as the user knows it; it starts the message.

    Raises:
        ExplainMissing: numpy was asked for, and is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        known = missing(error, what)
        if known is None:
            raise
        raise known from error


def missing(error: Exception, what: str) -> ExplainMissing | None:
    """Translate the error of an import of numpy; None where it is another."""
    return ExplainMissing(what) if isinstance(error, ModuleNotFoundError) and error.name == _NUMPY else None


def need_explain(what: str) -> None:
    """Refuse before anything is done what would end without numpy.

    Raises:
        ExplainMissing: it is not there.
    """
    try:
        found = importlib.util.find_spec(_NUMPY)
    except ValueError:  # `sys.modules` says that there is none
        found = None
    if found is None:
        raise ExplainMissing(what)
