"""Where a Dockerfile and its contexts come from: folders, standard input, archives, URLs."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wherry.app.build.addresses import DOCKER, LAYOUT, REMOTE
from wherry.app.session import Session
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.ignore import read_ignore_file
from wherry.errors import InvalidUsage, NotFound
from wherry.oci.reference import familiar
from wherry.source.git_address import without_credentials

if TYPE_CHECKING:
    from wherry.build.context import LocalContext
    from wherry.trust.provenance import BuildMaterial

_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A Dockerfile, and what it is built with."""

    name: str
    """As the user knows it."""
    text: str
    context: "Callable[[], LocalContext] | None"
    title: str
    """The default name of the image."""
    cache_scope: str
    """What is being built, so that a miss is compared with the last build of the same."""
    read: tuple[Path, ...] = ()
    """Files that say what is built, or would if they were there."""
    settings: Path | None = None
    """The wherry.toml of a context that is a folder here, whether it is there or not."""
    local: bool = False
    """Whether it is a folder of this machine, so that what changes has another stamp."""
    folder: Path = Path()
    """The context, where it is a folder."""
    commit: "BuildMaterial | None" = None
    """What the context is, where it was fetched from a repository."""


@contextmanager
def source_of(session: Session, place: str, file: str, stdin: "Callable[[], IO[bytes]]") -> Iterator[Source]:
    """Open a Dockerfile and its context.

    Args:
        session: where.
        place: the context: a folder, a URL, or `-` for standard input.
        file: the Dockerfile; `-` is standard input, empty the one in the context.
        stdin: opens standard input.

    Raises:
        InvalidUsage, NotFound: they are not available.
    """
    with ExitStack() as stack:
        if place == "-":
            if file == "-":
                raise InvalidUsage(
                    "-: stdin cannot be both the Dockerfile and the context", hint="give one of the two as a path"
                )
            yield _from_input(session, file, stack, stdin)
            return
        commit = None
        if place.startswith(REMOTE):
            folder, commit = _remote(session, place, stack)
            title = place.rstrip("/").rpartition("/")[2].partition("#")[0].removesuffix(".git")
        else:
            folder = session.cwd / place
            title = Path(os.path.realpath(folder)).name
        if not folder.is_dir():
            raise NotFound(f"{place}: no such directory", hint="give the build context directory")
        found = _in_folder(session, folder, file, title, stdin, local=not place.startswith(REMOTE))
        yield replace(found, commit=commit)


@contextmanager
def open_source(session: Session, place: str, file: str, stdin: "Callable[[], IO[bytes]]") -> Iterator[Source]:
    """Open a Dockerfile and its context as `source_of` does; what is wrong with it is shown with its lines.

    Raises:
        InvalidUsage, NotFound, DockerfileError: with what to write instead.
    """
    with source_of(session, place, file, stdin) as source:
        try:
            yield source
        except DockerfileError as error:
            shown = error.shown(source.name, without_credentials(source.text))
            shown.exit_code = error.exit_code
            raise shown from error


def _context(folder: Path, ignored: tuple[str, ...] = (), memory: Path | None = None) -> "LocalContext":
    from wherry.build.context import LocalContext

    return LocalContext(folder, ignored, memory)


def _in_folder(
    session: Session, folder: Path, file: str, title: str, stdin: "Callable[[], IO[bytes]]", *, local: bool
) -> Source:
    if file == "-":
        text, name, beside = stdin().read().decode("utf-8", "surrogateescape"), "-", None
    else:
        path = (session.cwd / file if local else folder / file) if file else _usual(folder)
        name = file or os.path.relpath(path, session.cwd) if local else file or "Dockerfile"
        text, beside = _read(path, name), path
    cache_scope = f"{os.path.realpath(folder)} {name}"
    memory = _memory(session, folder) if local else None
    files = _ignore_files(folder, beside)
    settings = folder / "wherry.toml" if local else None
    read = (*((beside,) if beside else ()), *files, *((settings,) if settings else ()))
    return Source(
        name,
        text,
        lambda: _context(folder, _patterns(files), memory),
        title,
        cache_scope,
        read,
        settings,
        local,
        folder,
    )


def _usual(folder: Path) -> Path:
    lower = folder / "dockerfile"
    return lower if lower.is_file() and not (folder / "Dockerfile").is_file() else folder / "Dockerfile"


def _ignore_files(folder: Path, dockerfile: Path | None) -> tuple[Path, ...]:
    """Name the files that may say what is left out, the strongest first: the Dockerfile's own, then the context's."""
    own = (dockerfile.with_name(f"{dockerfile.name}.dockerignore"),) if dockerfile else ()
    return (*own, folder / ".dockerignore")


def _patterns(files: Sequence[Path]) -> tuple[str, ...]:
    for file in files:
        if file.is_file():
            return tuple(read_ignore_file(file.read_text("utf-8", "surrogateescape")))
    return ()


def _from_input(session: Session, file: str, stack: ExitStack, stdin: "Callable[[], IO[bytes]]") -> Source:
    content = stdin().read()
    folder = _scratch(session, stack)
    archive = folder / "context.tar"
    archive.write_bytes(content)
    from wherry.build.archives import is_archive

    if not is_archive(archive):
        text = content.decode("utf-8", "surrogateescape")
        return Source("-", text, None, "image", "standard input")
    inner = folder / "context"
    _unpack(archive, inner)
    return _in_folder(session, inner, file, "image", stdin, local=False)


def _remote(session: Session, address: str, stack: ExitStack) -> "tuple[Path, BuildMaterial | None]":
    """Fetch a context; give its folder, and the commit that it is, if it is one."""
    from wherry.app.build.machine import outside_of
    from wherry.build.git import Credentials
    from wherry.plan.stage_sources import is_git

    outside = outside_of(session, Credentials(own=True))
    if is_git(address):
        shown = without_credentials(address)
        used = "those in the URL" if shown != address else "your git credentials (configuration, helpers, keys)"
        session.note(f"context {shown}: fetched with {used} if needed; submodules without credentials")
        fetched = outside.git(address, "", keep_git_dir=False)
        from wherry.trust.provenance import BuildMaterial

        url = shown.partition("#")[0]
        return fetched.folder / fetched.name, BuildMaterial.of_commit(url, fetched.digest.split()[1], "")
    fetched = outside.http(address, "")
    from wherry.build.archives import is_archive

    folder = _scratch(session, stack) / "context"
    file = fetched.folder / fetched.name
    if is_archive(file):
        _unpack(file, folder)
    else:
        from shutil import copyfile

        folder.mkdir()
        copyfile(file, folder / "Dockerfile")
    return folder, None


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a context for ourselves: owners don't count, devices are left out."""
    from wherry.build.archives import open_archive
    from wherry.layer.unpack import unpack

    folder.mkdir()
    with open_archive(archive) as entries:
        unpack(entries, folder)


def ignored_by(source: Source) -> tuple[str, ...]:
    """Read the patterns that say what of a context is left out."""
    return _patterns([file for file in source.read if file.name.endswith(".dockerignore")])


def arguments_of(session: Session, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Read `--build-arg NAME=VALUE`, or NAME for what the environment has."""
    for text in texts:
        name, equals, value = text.partition("=")
        if equals:
            yield name, value
        elif name in session.environment:
            yield name, session.environment[name]


def named_contexts(
    session: Session, texts: Sequence[str], stack: ExitStack
) -> tuple[dict[str, str], dict[str, str], "dict[str, Callable[[], LocalContext]]"]:
    """Read `--build-context NAME=VALUE`.

    Returns:
        By familiar name: what kind it is (`image` or `files`), what image it is, and how its folder is opened.

    Raises:
        InvalidUsage, NotFound: one is invalid.
    """
    kinds: dict[str, str] = {}
    images: dict[str, str] = {}
    folders: dict[str, Callable[[], LocalContext]] = {}
    for text in texts:
        given, equals, value = text.partition("=")
        if not equals or not given or not value:
            raise InvalidUsage(f"--build-context {text}: expected NAME=VALUE", hint="write it as NAME=VALUE")
        name = familiar(given.lower()) if given == given.lower() else given
        if value.startswith(LAYOUT):
            path = value.removeprefix(LAYOUT)
            kinds[name], images[name] = "image", f"{LAYOUT}{path if path.startswith('/') else session.cwd / path}"
        elif value.startswith(DOCKER):
            kinds[name], images[name] = "image", value
        else:
            kinds[name] = "files"
            folders[name] = _opener(session, value, stack)
    return kinds, images, folders


def _opener(session: Session, value: str, stack: ExitStack) -> "Callable[[], LocalContext]":
    if value.startswith(REMOTE):
        return lambda: _context(_remote(session, value, stack)[0])
    folder = session.cwd / value
    if not folder.is_dir():
        raise NotFound(
            f"--build-context {value}: no such directory",
            hint="give a directory, oci-layout://PATH, docker-image://NAME or a URL",
        )
    return lambda: _context(folder, _patterns(_ignore_files(folder, None)), _memory(session, folder))


def _read(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise NotFound(f"{name}: {error.strerror}", hint="give the Dockerfile with -f FILE") from error
    if len(content) > _LARGEST:
        raise InvalidUsage(f"{name}: more than {_LARGEST >> 20} MB", hint="give a Dockerfile with -f FILE")
    return content.decode("utf-8", "surrogateescape")


def _scratch(session: Session, stack: ExitStack) -> Path:
    import shutil
    from tempfile import mkdtemp

    session.cache_folder.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="context-", dir=session.cache_folder))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _memory(session: Session, folder: Path) -> Path:
    """Say where hashes of a folder's files are kept between builds."""
    import hashlib

    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    return session.cache_folder / "contexts" / f"{name}.sqlite"
