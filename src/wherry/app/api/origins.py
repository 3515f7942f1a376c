"""Verbs that say where a program's parts come from."""

from typing import TYPE_CHECKING

from wherry.app.api.calls import Cancel, session_of
from wherry.app.session import Session

if TYPE_CHECKING:
    from wherry.trust.verify_modules import ModulesDocument


def verify_modules(
    folder: str = ".", *, offline: bool = False, session: Session | None = None, cancel: Cancel | None = None
) -> "ModulesDocument":
    """Verify a Go module's dependencies: module cache and vendor/ against go.sum, go.sum against the checksum database.

    Args:
        folder: a directory of the module or the workspace.
        offline: ask and download nothing; use what earlier runs and Go kept.
        session: see above; its environment has GOPROXY, GOSUMDB, GOPRIVATE and the like, its cache keeps the answers.
        cancel: see above.

    Returns:
        `ok` is true where nothing is wrong and nothing was left unverified; `docs/how-to/modules.md` has the rest.

    Raises:
        NotFound: there is no go.mod.
        WherryError: a file is malformed, or there is no Go.
    """
    from wherry.app.modules import ModulesOptions
    from wherry.app.modules import verify_modules as carried_out

    return carried_out(session_of(session, None, cancel), ModulesOptions(folder=folder, offline=offline))
