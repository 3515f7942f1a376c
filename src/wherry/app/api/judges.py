"""Verbs that read an image or a program and judge it: nothing is changed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wherry.app.api.calls import Cancel, session_of
from wherry.app.session import Session

if TYPE_CHECKING:
    from wherry.analysis.deps.document import DepsDocument
    from wherry.analysis.diff import DiffDocument
    from wherry.analysis.image.document import AnalyzeDocument
    from wherry.analysis.size import SizeDocument
    from wherry.app.check import Checked
    from wherry.app.images import OpenImage
    from wherry.app.leaks import ProgramLeaks
    from wherry.app.scan_result import Scan
    from wherry.app.traces import TraceOptions
    from wherry.app.tree import TreeNode


def open_image(name: str, *, session: Session | None = None, cancel: Cancel | None = None) -> "OpenImage":
    """Open an image in the local store, a layout directory, an archive or a registry.

    Args:
        name: a name or digest, a path, or a reference.
        session: see above.
        cancel: see above; it also stops later reads of the image.

    Returns:
        Documents, platforms and layer contents; each is read on demand.

    Raises:
        NotFound, RegistryError, InvalidReference: the image cannot be found.
    """
    from wherry.app.images import open_image as carried_out

    return carried_out(session_of(session, None, cancel), name)


def tree(name: str, *, session: Session | None = None, cancel: Cancel | None = None) -> "TreeNode":
    """Read the tree of an image's index, manifests, configs, layers and attachments, without reading layers.

    Args:
        name: an image, as for `open_image`.
        session: see above.
        cancel: see above.

    Raises:
        NotFound, RegistryError, InvalidReference: the image cannot be found.
    """
    from wherry.app.tree import tree as carried_out

    return carried_out(session_of(session, None, cancel), name)


def analyze(
    name: str,
    *,
    platform: str | None = None,
    base: str | None = None,
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "AnalyzeDocument":
    """Measure what each layer of an image adds and which bytes are wasted, with dive's figures.

    Args:
        name: an image, as for `open_image`; one in a registry is read there and not stored.
        platform: the platform to analyze of a multi-platform image; None: all.
        base: the image it is built on, to separate its layers; None: as far as the image records it.
        session: see above; its cache keeps the result for each layer, so that each is read once.
        cancel: see above.

    Returns:
        Sizes in bytes; `docs/reference/analyze.md` describes the document.

    Raises:
        NotFound, RegistryError, InvalidReference: the image cannot be found.
        WherryError: a layer does not match the image's documents.
    """
    from wherry.app.analyze import analyze as carried_out

    return carried_out(session_of(session, None, cancel), name, platform=platform, base=base)


def deps(
    name: str,
    *,
    platform: str | None = None,
    trace: "TraceOptions | None" = None,
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "DepsDocument":
    """Find what programs need at run time, and whether it is there: interpreters, libraries, versions, files.

    Args:
        name: an image, as for `open_image`, or an ELF file, which is checked against the files of this machine.
        platform: the platform to check of a multi-platform image; None: all.
        trace: how to run the image, to show what it opened, missed and never used; None: nothing is run.
        session: see above; its cache keeps an index of each layer.
        cancel: see above.

    Returns:
        Findings of severity `error` where a program cannot be loaded; `docs/reference/deps.md` describes the document.

    Raises:
        NotFound, RegistryError, InvalidReference: the image or file cannot be found.
        HostUnable, NotStarted: the image cannot be run or traced on this machine.
        WherryError: a layer does not match the image's documents.
    """
    if trace is not None:
        from wherry.app.deps import traced_deps

        return traced_deps(session_of(session, None, cancel), name, trace, platform=platform).document
    from wherry.app.deps import deps as carried_out

    return carried_out(session_of(session, None, cancel), name, platform=platform)


def size(  # noqa: PLR0913 - each is named
    name: str,
    *,
    platform: str | None = None,
    sections: bool = False,
    functions: bool = True,
    source: str | None = None,
    routes_to: str = "",
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "SizeDocument":
    """Measure a program or an image; attribute every byte of its Go programs to modules, packages and functions.

    Args:
        name: a file, or an image.
        platform: the platform to measure of a multi-platform image; None: all.
        sections: read section tables only, which takes milliseconds.
        functions: include functions.
        source: directory of the module's source, used to read imports; None: the session's directory, if it is that
            module.
        routes_to: a module or package; list every import path to it.
        session: see above.
        cancel: see above.

    Returns:
        Sizes in bytes; `docs/reference/size.md` describes the document.

    Raises:
        NotFound: the file or image does not exist, or contains no program.
        InvalidUsage: the source is needed and was not found.
    """
    from wherry.app.sizes import size as carried_out

    return carried_out(
        session_of(session, None, cancel),
        name,
        platform=platform,
        sections=sections,
        functions=functions,
        source=source,
        routes_to=routes_to,
    )


def diff(
    before: str,
    after: str,
    *,
    platform: str | None = None,
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "DiffDocument":
    """Compare two programs or images: images by platform, programs by module, package and function.

    Args:
        before: a program's file, or an image.
        after: the same.
        platform: the platform to compare of multi-platform images; None: all that both have.
        session: see above.
        cancel: see above.

    Returns:
        Sizes in bytes; `docs/reference/diff.md` describes the document.

    Raises:
        NotFound: one does not exist, or they have no platform in common.
    """
    from wherry.app.compare import diff as carried_out

    return carried_out(session_of(session, None, cancel), before, after, platform=platform)


def leaks(
    name: str,
    *,
    platform: str | None = None,
    find: Sequence[str] = (),
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "tuple[ProgramLeaks, ...]":
    """Find what the programs of a file or an image reveal about the machine that built them.

    Args:
        name: a program's file, or an image.
        platform: the platform to check of a multi-platform image; None: all.
        find: more texts to search for, of at least 4 characters, such as a host name.
        session: see above.
        cancel: see above.

    Returns:
        One value for each program, with findings; they never contain a whole secret.

    Raises:
        NotFound: the file or image does not exist, or contains no program.
    """
    from wherry.app.leaks import leaks as carried_out

    return carried_out(session_of(session, None, cancel), name, platform=platform, find=find)


def check(
    *names: str, against: str | None = None, session: Session | None = None, cancel: Cancel | None = None
) -> "Checked":
    """Check services or images against the budgets of the wherry.toml in the session's directory or its parents.

    Args:
        names: services or images; none: every service.
        against: the baseline for growth, an image or a figures file; None: the one in wherry.toml.
        session: see above.
        cancel: see above.

    Returns:
        Each budget with the measured value, in bytes.

    Raises:
        NotFound: there is no wherry.toml, or no such service or image.
        CannotTell, InvalidUsage: a budget cannot be checked.
    """
    from wherry.app.check import check as carried_out

    return carried_out(session_of(session, None, cancel), names, against=against)


def scan(
    name: str,
    *,
    databases: Sequence[str] = (),
    platform: str | None = None,
    offline: bool = False,
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "Scan":
    """Find known vulnerabilities of an image, a Go program or a go.mod, with the evidence for each.

    Args:
        name: an image, as for `open_image`, a program's file, a go.mod, or a directory with one.
        databases: OSV data: directories, archives or URLs of mirrors; empty: GOVULNDB of the session's environment.
        platform: of an image with several, the only one to scan; None: all.
        offline: whether no database may be fetched.
        session: see above.
        cancel: see above; it stops between images, and while a layer is read.

    Returns:
        Each program with its findings, and the programs that cannot be scanned.

    Raises:
        NoDatabase: no vulnerability database is on this machine, and none could be fetched.
        CannotScan: the program is packed, or has no readable build info.
        NotFound: the target does not exist, or was not built by Go.
    """
    from wherry.app.scan import scan as carried_out

    return carried_out(session_of(session, None, cancel), name, databases=databases, platform=platform, offline=offline)
