"""The Python API: what `import wherry` offers. One verb a use case, with a session that can be left out.

A verb prints nothing, reads no environment and keeps nothing between calls but what is on the disk. Verbs may be
called from several threads, with one session or with many.

- `session`: where the store, the cache and the credentials are; None: `Session.of_user()`.
- `progress`: called with an `Event` for each thing that happens, from any thread.
- `cancel`: has `is_set()`, as `threading.Event` does; once it is set, programs are ended, the verb raises `Cancelled`,
  and nothing is left half done.

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
    from wherry.analysis.diff import DiffDocument
    from wherry.analysis.image.document import AnalyzeDocument
    from wherry.analysis.size import SizeDocument
    from wherry.app.build.options import DockerfileBuild, GoBuild
    from wherry.app.build.result import BuildResult
    from wherry.app.check import Checked
    from wherry.app.images import OpenImage
    from wherry.app.leaks import ProgramLeaks
    from wherry.app.transfer import Form, Loaded, NamedImage
    from wherry.app.tree import TreeNode
    from wherry.layer.compress import Encoding
    from wherry.settings.docker_config import Credential
    from wherry.store.files import ByteSink

Hears = Callable[[Event], None]
"""What is called with each event."""


class Cancel(Protocol):
    """What says that a verb is to stop; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Tell whether it is to stop."""


@dataclass(frozen=True)
class Logins:
    """Names and passwords by registry, given by the caller; no file and no helper program is asked."""

    by_registry: Mapping[str, tuple[str, str]] = field(repr=False)
    """Such as `{"localhost:5000": ("me", "secret")}`."""

    def credential(self, registry: str, repository: str) -> "Credential | None":  # noqa: ARG002 - the Protocol's signature
        """Give what to say to a registry; None to go without."""
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
    """Build images of a Go module or a Dockerfile into the local store, check their budgets, and deliver them.

    Args:
        wanted: what; everything it does not say is read from wherry.toml, or has a default.
        session: see above.
        progress: see above.
        cancel: see above.

    Returns:
        Names and digests of the images, sizes in bytes, and what was done in each step.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
        OverBudget: an image is over its budget; everything is stored, and nothing was delivered.
        WherryError: what else stopped it.
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
    """Push an image of the local store, a layout or an archive to registries; what is there is not sent again.

    Args:
        image: its name, digest or path.
        names: where to; none: its own name.
        platforms: the only ones to push, such as `linux/arm64`; empty: all.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        InvalidUsage: a name has no registry; nothing was pushed.
        NotFound: there is no such image, or it does not have these platforms.
        AccessDenied, RegistryError: a registry refused one; images before it are there.
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
    """Pull an image of a registry into the local store; a download that was cut is resumed.

    Args:
        name: such as `debian:12` or `localhost:5000/api@sha256:…`.
        tag: its name in the local store; empty: the same.
        platforms: the only ones to pull; empty: all.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        InvalidReference: the name is none.
        NotFound, AccessDenied, RegistryError: the registry does not have it, not for this user, or fails.
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
        platforms: the only ones to copy; empty: all.
        encoding: compresses the layers again, which changes the digest; None: they stay as they are.
        session: see above.
        progress: see above.
        cancel: see above.

    Raises:
        WherryError: what stopped it; no name resolves to half an image.
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
) -> "tuple[NamedImage, ...]":
    """Write images of the local store to an archive, a stream, or a layout folder that is there.

    Args:
        images: names or digests of the store.
        to: a folder gets a layout, another path an archive, a stream an archive.
        form: `oci`, or `docker` for what any `docker load` takes, of one platform.
        platform: of images with several, the one to save; empty: all.
        session: see above.

    Raises:
        NotFound: an image is not there; nothing was written.
        InvalidUsage: what does not fit into the form.
    """
    from wherry.app.transfer import save as carried_out

    return carried_out(session or Session.of_user(), images, to, form=form, platform=platform)


def load(path: Path, *, name: str = "", session: Session | None = None) -> "Loaded":
    """Bring the images of an archive or a layout folder into the local store.

    Args:
        path: a layout folder, an OCI archive, or what `docker save` writes; gzip and zstd are read too.
        name: of the one image in it; empty: what the archive says.
        session: see above.

    Raises:
        NotFound, InvalidDocument, InvalidUsage: it is not there, is no archive, or does not have one image to name.
    """
    from wherry.app.transfer import load as carried_out

    return carried_out(session or Session.of_user(), path, name=name)


def tags(repository: str, *, digests: bool = False, session: Session | None = None) -> dict[str, str]:
    """List the tags of a repository.

    Args:
        repository: such as `localhost:5000/api`.
        digests: whether each tag is resolved, which takes a request a tag; else digests are empty.
        session: see above.

    Raises:
        NotFound, AccessDenied, RegistryError: as the registry answers.
    """
    from wherry.app.transfer import tags as carried_out

    return carried_out(session or Session.of_user(), repository, digests=digests)


def open_image(name: str, *, session: Session | None = None) -> "OpenImage":
    """Find an image: of the local store, a layout folder, an archive or a registry.

    Args:
        name: a name or digest, a path, or a reference.
        session: see above.

    Returns:
        Its documents, its platforms and what its layers hold; each is read when it is asked for.

    Raises:
        NotFound, RegistryError, InvalidReference: there is none.
    """
    from wherry.app.images import open_image as carried_out

    return carried_out(session or Session.of_user(), name)


def tree(name: str, *, session: Session | None = None) -> "TreeNode":
    """Read the tree of an image's index, manifests, configs, layers and attachments; no layer is read.

    Args:
        name: an image, as `open_image` takes it.
        session: see above.

    Raises:
        NotFound, RegistryError, InvalidReference: there is no such image.
    """
    from wherry.app.tree import tree as carried_out

    return carried_out(session or Session.of_user(), name)


def analyze(
    name: str, *, platform: str | None = None, base: str | None = None, session: Session | None = None
) -> "AnalyzeDocument":
    """Find what each layer of an image adds, and which bytes are shipped in vain; dive's figures come with it.

    Args:
        name: an image, as `open_image` takes it; one in a registry is read there and not stored.
        platform: of an image with several, the only one; None: all.
        base: an image that it is built on, to tell its layers from those above; None: as far as the image tells.
        session: see above; its cache keeps what is known of each layer, so that it is read once.

    Returns:
        Sizes in bytes; `docs/reference/analyze.md` describes the document.

    Raises:
        NotFound, RegistryError, InvalidReference: there is no such image.
        WherryError: a layer is not what the image says.
    """
    from wherry.app.analyze import analyze as carried_out

    return carried_out(session or Session.of_user(), name, platform=platform, base=base)


def size(  # noqa: PLR0913 - each is named
    name: str,
    *,
    platform: str | None = None,
    sections: bool = False,
    functions: bool = True,
    source: str | None = None,
    routes_to: str = "",
    session: Session | None = None,
) -> "SizeDocument":
    """Measure a program or an image; attribute every byte of its Go programs to modules, packages and functions.

    Args:
        name: a file, or an image.
        platform: of an image with several, the only one to measure; None: all.
        sections: read section tables only, which takes milliseconds.
        functions: whether functions are wanted.
        source: the module's source, which tells what imports what; None: the session's folder, if it is that module.
        routes_to: a module or package; every import path to it is listed.
        session: see above.

    Returns:
        Sizes in bytes; `docs/reference/size.md` describes the document.

    Raises:
        NotFound: there is no such thing, or no program in it.
        InvalidUsage: the source is needed and is not there.
    """
    from wherry.app.sizes import size as carried_out

    return carried_out(
        session or Session.of_user(),
        name,
        platform=platform,
        sections=sections,
        functions=functions,
        source=source,
        routes_to=routes_to,
    )


def diff(before: str, after: str, *, platform: str | None = None, session: Session | None = None) -> "DiffDocument":
    """Compare two programs or images: images by platform, programs by module, package and function.

    Args:
        before: a program's file, or an image.
        after: the same.
        platform: of images with several, the only one to compare; None: all that both have.
        session: see above.

    Returns:
        Sizes in bytes; `docs/reference/diff.md` describes the document.

    Raises:
        NotFound: one is not there, or they have no platform in common.
    """
    from wherry.app.compare import diff as carried_out

    return carried_out(session or Session.of_user(), before, after, platform=platform)


def leaks(
    name: str, *, platform: str | None = None, find: Sequence[str] = (), session: Session | None = None
) -> "tuple[ProgramLeaks, ...]":
    """Find what the programs of a file or an image reveal of the machine that built them.

    Args:
        name: a program's file, or an image.
        platform: of an image with several, the only one; None: all.
        find: further texts to look for, of 4 letters at least, such as a host's name.
        session: see above.

    Returns:
        One value for each program, with findings; secrets are never in it whole.

    Raises:
        NotFound: there is no such thing, or no program in it.
    """
    from wherry.app.leaks import leaks as carried_out

    return carried_out(session or Session.of_user(), name, platform=platform, find=find)


def check(*names: str, against: str | None = None, session: Session | None = None) -> "Checked":
    """Hold services or images to the budgets of the wherry.toml in the session's folder or above.

    Args:
        names: services or images; none: every service.
        against: an image or a figures file that growth is counted from, in place of what wherry.toml says.
        session: see above.

    Returns:
        Each budget with what was measured, in bytes.

    Raises:
        NotFound: there is no wherry.toml, no such service or image.
        CannotTell, InvalidUsage: a budget can't be judged.
    """
    from wherry.app.check import check as carried_out

    return carried_out(session or Session.of_user(), names, against=against)


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
