"""Manifests with references to programs, to manifests with images: what `resolve`, `apply` and `create` do."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from wherry.app.build.build import FinishedBuild, Listening, carry_out
from wherry.app.build.call import Call, Streams
from wherry.app.build.deliver import published_reference
from wherry.app.build.go import go_call, joined_calls
from wherry.app.build.go_work import GoRequest, GoRequests
from wherry.app.build.ko import LOCAL, KoNaming, naming_of
from wherry.app.build.options import GoBuild, check_conflicts
from wherry.app.build.result import BuiltImage
from wherry.app.manifest_files import manifest_texts
from wherry.app.session import Session
from wherry.cluster.manifests import Found, joined, references, replaced, selected
from wherry.errors import InvalidUsage, WherryError


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    text: str
    found: tuple[Found, ...]


def resolve(  # noqa: PLR0913 - each is named
    session: Session,
    names: Sequence[str],
    build: GoBuild,
    *,
    listening: Listening,
    selector: str = "",
    recursive: bool = False,
    stdin: Callable[[], str] = str,
    built: Callable[[FinishedBuild], object] = lambda _: None,
) -> str:
    """Build and push every program that manifests name, and put the images in.

    Args:
        session: where paths start, and where images are stored.
        names: files, folders, or `-` for `stdin`.
        build: how each program is built.
        listening: makes what hears of the build.
        selector: labels that documents must have, such as `app=api`; empty: any.
        recursive: whether folders below are read too.
        stdin: gives the text of `-`.
        built: is given the build, where there is one and a registry has its images.

    Raises:
        WherryError: what stopped it; images that were pushed before are there.
    """
    files = [_read(name, text, selector) for name, text in manifest_texts(session, names, stdin, recursive=recursive)]
    wanted = {found.text: (file.name, found) for file in files for found in file.found}
    images = _images(session, wanted, build, listening, built) if wanted else {}
    return joined([replaced(file.text, file.found, images) for file in files])


def _read(name: str, text: str, selector: str) -> _File:
    text = selected(text, selector, name) if selector else text
    return _File(name, text, references(text, name))


def _images(
    session: Session,
    wanted: Mapping[str, tuple[str, Found]],
    build: GoBuild,
    listening: Listening,
    heard: Callable[[FinishedBuild], object],
) -> dict[str, str]:
    check_conflicts(build)
    naming = naming_of(session, build)
    calls = {text: _call(session, text, where, build) for text, where in wanted.items()}
    _check_names(calls, wanted, naming)
    whole = joined_calls(calls.values())
    delivery = replace(whole.delivery, load=False, push=build.push is not False and not (naming and naming.local))
    done = carry_out(session, replace(whole, delivery=delivery), Streams(), listening)
    built = {image.package: image for image in done.result.images}
    if delivery.push:
        heard(done)
    loaded = _loaded(session, naming, built.values()) if naming and naming.local else {}
    return {
        text: loaded.get(path) or published_reference(built[path], tag_only=build.tag_only)
        for text, call in calls.items()
        for path in [_requests(call)[0].package.import_path]
    }


def _requests(call: Call) -> tuple[GoRequest, ...]:
    assert isinstance(call.request, GoRequests)  # noqa: S101 - manifests name programs
    return call.request.images


def _call(session: Session, text: str, where: tuple[str, Found], build: GoBuild) -> Call:
    scheme, _, name = text.partition("://")
    file, found = where
    try:
        path = text if scheme == "ko" and not name.startswith(".") else name
        call = go_call(session, replace(build, packages=(path,)))
    except WherryError as error:
        error.message = f"{file}:{found.line}:{found.column}: {text}: {error.message}"
        raise
    if len(_requests(call)) > 1:
        services = ", ".join(request.names[0] for request in _requests(call))
        raise InvalidUsage(
            f"{file}:{found.line}:{found.column}: {text}: several services build this package: {services}",
            hint="give the service: wherry://NAME",
        )
    return call


def _check_names(calls: Mapping[str, Call], wanted: Mapping[str, tuple[str, Found]], naming: KoNaming | None) -> None:
    """Refuse to build what could not be pushed."""
    if naming:
        return
    from wherry.app.places import pushable

    for text, call in calls.items():
        try:
            pushable(_requests(call)[0].names[0])
        except WherryError as error:
            file, found = wanted[text]
            raise InvalidUsage(
                f"{file}:{found.line}:{found.column}: {text}: no repository to push to is set",
                hint="give --repo REGISTRY/PATH, set KO_DOCKER_REPO, or set tags of the service in wherry.toml",
            ) from error


def _loaded(session: Session, naming: KoNaming, images: Iterable[BuiltImage]) -> dict[str, str]:
    """Load images into the Docker here, under a tag that is their digest: a daemon knows no other."""
    from wherry.app.network import docker_config
    from wherry.daemon.find import find_daemon
    from wherry.daemon.give import give
    from wherry.host.kernel import Kernel

    daemon = find_daemon(session.runner, session.environment, docker_config(session).parent)
    names = {}
    for image in images:
        path = image.package
        names[path] = f"{naming.repository(path).removeprefix(f'{LOCAL}/')}:{image.root.digest.encoded}"
        give(daemon, session.store, {f"{LOCAL}/{names[path]}": image.root}, Kernel.of_host().platform)
        names[path] = f"{LOCAL}/{names[path]}"
    return names
