"""What needs an optional package: the extras `explain`, `trust`, `keyless`, `pkcs11` and `admission`."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from wherry.errors import HostUnable

_NUMPY = "numpy"
_EXTRAS = {"cryptography": "trust", "nacl": "trust", "sigstore": "keyless", "pkcs11": "pkcs11", "uvicorn": "admission"}
"""Extras by the module that is missing without them."""
_PACKAGES = {"nacl": "pynacl", "pkcs11": "python-pkcs11"}


class ExplainMissing(HostUnable):
    """The extra `explain` is not installed."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs numpy, which is not installed: wherry was installed without its extra `explain`",
            hint="pipx inject wherry numpy, uv tool install --with numpy wherry, "
            "or pip install numpy in the environment that wherry is installed in",
        )


class TrustMissing(HostUnable):
    """The extra `trust`, `keyless`, `pkcs11` or `admission` is not installed."""

    def __init__(self, what: str, module: str) -> None:
        package, extra = _PACKAGES.get(module, module), _EXTRAS[module]
        super().__init__(
            f"{what} needs {package}, which is not installed: wherry was installed without its extra `{extra}`",
            hint=f"pipx inject wherry 'wherry[{extra}]', uv tool install 'wherry[{extra}]', "
            f"or pip install 'wherry[{extra}]' in the environment that wherry is installed in",
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


trusting = explaining
"""The same for the extras `trust` and `keyless`."""


def missing(error: Exception, what: str) -> HostUnable | None:
    """Translate the error of an import of an extra's package; None where it is another."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    module = (error.name or "").partition(".")[0]
    if module in _EXTRAS:
        return TrustMissing(what, module)
    return ExplainMissing(what) if error.name == _NUMPY else None


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
