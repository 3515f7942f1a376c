"""The Python API: `import wherry`. One function for each use case; the session is optional.

A function prints nothing, reads no environment variables and keeps no state except on disk. Functions may be called
from several threads, with one session or with many.

- `session`: where the store, the cache and the credentials are; None: `Session.of_user()`.
- `progress`: called with an `Event` for each thing that happens, from any thread.
- `cancel`: has `is_set()`, as `threading.Event` does. Once it is set, programs are ended, reading stops, the function
  raises `Cancelled`, and nothing is left half done. The analysis of one program is finished first.

Every error is a `WherryError`, with `message`, `hint` and the command line's `exit_code`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wherry.app.progress import Calls, Event, EventKind, Reporter
from wherry.app.session import Session
from wherry.errors import Cancelled
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.analysis.deps.document import DepsDocument
    from wherry.analysis.diff import DiffDocument
    from wherry.analysis.image.document import AnalyzeDocument
    from wherry.analysis.size import SizeDocument
    from wherry.app.archives import Form, Loaded
    from wherry.app.build.options import DockerfileBuild, GoBuild
    from wherry.app.build.result import BuildResult
    from wherry.app.check import Checked
    from wherry.app.images import OpenImage
    from wherry.app.leaks import ProgramLeaks
    from wherry.app.transfer import NamedImage
    from wherry.app.tree import TreeNode
    from wherry.layer.compress import Encoding
    from wherry.settings.docker_config import Credential
    from wherry.store.files import ByteSink

Hears = Callable[[Event], None]
"""What is called with each event."""


class Cancel(Protocol):
    """A request to stop; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Report whether to stop."""


@dataclass(frozen=True)
class Logins:
    """User names and passwords by registry, given by the caller; no file and no helper program is used."""

    by_registry: Mapping[str, tuple[str, str]] = field(repr=False)
    """Such as `{"localhost:5000": ("me", "secret")}`."""

    def credential(self, registry: str, repository: str) -> "Credential | None":  # noqa: ARG002 - the Protocol's signature
        """Give the credentials for a registry; None for anonymous access."""
        from wherry.settings.docker_config import Credential

        given = self.by_registry.get(registry)
        return Credential(*given) if given else None


def build(
    wanted: "GoBuild | DockerfileBuild",
    *,
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "BuildResult":
    """Build images of a Go module or a Dockerfile into the local store, check budgets, and deliver the images.

    Args:
        wanted: the build; an option that is None comes from wherry.toml, or has a default.
        session: see above.
        progress: see above.
        cancel: see above.

    Returns:
        Names and digests of the images, sizes in bytes, and the steps with their results.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: the build cannot start; the hint says what to change.
        OverBudget: an image exceeds a budget; it is in the local store, but was not delivered.
        WherryError: any other failure.
    """
    from wherry.app.build.build import build as carried_out

    return carried_out(_session(session, progress, cancel), wanted)


def push(
    image: str,
    *names: str,
    platforms: Sequence[str] = (),
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "tuple[NamedImage, ...]":
    """Push an image from the local store, a layout or an archive to registries; existing blobs are not sent again.

    Args:
        image: its name, digest or path.
        names: destinations; none: the image's own name.
        platforms: the platforms to push, such as `linux/arm64`; empty: all.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        InvalidUsage: a name has no registry; nothing was pushed.
        NotFound: the image does not exist, or does not have these platforms.
        AccessDenied, RegistryError: a registry refused a push; earlier pushes are complete.
    """
    from wherry.app.transfer import push as carried_out

    own = _session(session, progress, cancel)
    return carried_out(own, image, names, platforms=_platforms(platforms), progress=own.progress)


def pull(
    name: str,
    *,
    tag: str = "",
    platforms: Sequence[str] = (),
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "NamedImage":
    """Pull an image from a registry into the local store; an interrupted download is resumed.

    Args:
        name: the image, such as `debian:12` or `localhost:5000/api@sha256:…`.
        tag: name in the local store; empty: the same name.
        platforms: the platforms to pull; empty: all.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        InvalidReference: the name is invalid.
        NotFound, AccessDenied, RegistryError: the image does not exist, access is denied, or the registry fails.
    """
    from wherry.app.transfer import pull as carried_out

    own = _session(session, progress, cancel)
    return carried_out(own, name, tag=tag, platforms=_platforms(platforms), progress=own.progress)


def copy(  # noqa: PLR0913 - each is named
    source: str,
    target: str,
    *,
    platforms: Sequence[str] = (),
    encoding: "Encoding | None" = None,
    session: Session | None = None,
    progress: Hears | None = None,
    cancel: Cancel | None = None,
) -> "NamedImage":
    """Copy an image between registries, the local store, layout folders and archives.

    Args:
        source: a name (`localhost:5000/api:dev`, `store:api:dev`), a layout (`oci:DIR:NAME`, `./DIR`) or an archive.
        target: the same.
        platforms: the platforms to copy; empty: all.
        encoding: compress the layers again, which changes the digest; None: leave them unchanged.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        WherryError: the copy failed; no name points to an incomplete image.
    """
    from wherry.app.transfer import copy as carried_out

    own = _session(session, progress, cancel)
    return carried_out(own, source, target, platforms=_platforms(platforms), encoding=encoding, progress=own.progress)


def save(
    images: Sequence[str],
    to: "Path | ByteSink",
    *,
    form: "Form" = "oci",
    platform: str = "",
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> "tuple[NamedImage, ...]":
    """Write images from the local store to an archive, a stream, or an existing layout directory.

    Args:
        images: names or digests in the store.
        to: a directory gets a layout, any other path or a stream gets an archive.
        form: `oci`, or `docker` for any `docker load`, with one platform.
        platform: the platform to save of a multi-platform image; empty: all.
        session: see above.
        cancel: see above.

    Raises:
        NotFound: an image does not exist; nothing was written.
        InvalidUsage: the images do not fit into the form.
    """
    from wherry.app.archives import save as carried_out

    return carried_out(_session(session, None, cancel), images, to, form=form, platform=platform)


def load(path: Path, *, name: str = "", session: Session | None = None, cancel: Cancel | None = None) -> "Loaded":
    """Load the images of an archive or a layout directory into the local store.

    Args:
        path: a layout directory, an OCI archive, or output of `docker save`; gzip and zstd are decompressed.
        name: name for the only image in it; empty: the name in the archive.
        session: see above.
        cancel: see above.

    Raises:
        NotFound, InvalidDocument, InvalidUsage: the path does not exist, is not an archive, or `name` is given for
            several images.
    """
    from wherry.app.archives import load as carried_out

    return carried_out(_session(session, None, cancel), path, name=name)


def tags(
    repository: str, *, digests: bool = False, session: Session | None = None, cancel: Cancel | None = None
) -> dict[str, str]:
    """List the tags of a repository.

    Args:
        repository: such as `localhost:5000/api`.
        digests: resolve each tag to its digest, with one request for each; else digests are empty.
        session: see above.
        cancel: see above.

    Raises:
        NotFound, AccessDenied, RegistryError: the registry's answer.
    """
    from wherry.app.transfer import tags as carried_out

    return carried_out(_session(session, None, cancel), repository, digests=digests)


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

    return carried_out(_session(session, None, cancel), name)


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

    return carried_out(_session(session, None, cancel), name)


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

    return carried_out(_session(session, None, cancel), name, platform=platform, base=base)


def deps(
    name: str, *, platform: str | None = None, session: Session | None = None, cancel: Cancel | None = None
) -> "DepsDocument":
    """Find what programs need at run time, and whether it is there: interpreters, libraries, versions, files.

    Args:
        name: an image, as for `open_image`, or an ELF file, which is checked against the files of this machine.
        platform: the platform to check of a multi-platform image; None: all.
        session: see above; its cache keeps an index of each layer.
        cancel: see above.

    Returns:
        Findings of severity `error` where a program cannot be loaded; `docs/reference/deps.md` describes the document.

    Raises:
        NotFound, RegistryError, InvalidReference: the image or file cannot be found.
        WherryError: a layer does not match the image's documents.
    """
    from wherry.app.deps import deps as carried_out

    return carried_out(_session(session, None, cancel), name, platform=platform)


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
        _session(session, None, cancel),
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

    return carried_out(_session(session, None, cancel), before, after, platform=platform)


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

    return carried_out(_session(session, None, cancel), name, platform=platform, find=find)


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

    return carried_out(_session(session, None, cancel), names, against=against)


def _platforms(texts: Sequence[str]) -> tuple[Platform, ...]:
    return tuple(map(Platform.parse, texts))


def _session(session: Session | None, progress: Hears | None, cancel: Cancel | None) -> Session:
    own = session or Session.of_user()
    if progress is None and cancel is None:
        return own
    reports = Reporter(Calls(_hearing(progress, cancel)))
    return own.derived(progress=reports, cancelled=cancel.is_set if cancel else None)


def _hearing(progress: Hears | None, cancel: Cancel | None) -> Hears:
    """Make what hears events: it passes them on, and stops a use case that is to be cancelled."""

    def hear(event: Event) -> None:
        if cancel is not None and event.kind not in _ENDS and cancel.is_set():
            raise Cancelled
        if progress is not None:
            progress(event)

    return hear


_ENDS = frozenset({EventKind.DONE, EventKind.FAILED, EventKind.WARNING})
"""What happens when a step is over: to raise there would hide why it ended."""
