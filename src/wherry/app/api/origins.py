"""Verbs that say where a program's parts come from."""

from typing import TYPE_CHECKING

from wherry.app.api.calls import Cancel, session_of
from wherry.app.session import Session

if TYPE_CHECKING:
    from wherry.trust.sbom import Attachment
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


def sbom(
    name: str,
    kind: str = "spdx",
    *,
    platform: str | None = None,
    files: bool = True,
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "Attachment":
    """Write what an image is made of; the same image gives the same bytes.

    Args:
        name: an image, as for `open_image`.
        kind: `spdx` (2.3) or `cyclonedx` (1.6), both as JSON.
        platform: the platform to describe; None: all, and of an index one document about the index.
        files: whether the image's files are listed.
        session: see above; licenses are read of the module cache of its environment's Go.
        cancel: see above.

    Returns:
        `content` is the document, `media_type` its media type, `predicate_type` that of an in-toto statement.

    Raises:
        NotFound, RegistryError, InvalidReference: the image cannot be found.
        ValueError: there is no such kind.
        WherryError: a layer does not match the image's documents.
    """
    from wherry.app.sbom import SbomOptions
    from wherry.app.sbom import sbom as carried_out
    from wherry.trust.sbom import SbomFormat

    options = SbomOptions(platform=platform, files=files)
    return carried_out(session_of(session, None, cancel), name, SbomFormat(kind), options)
