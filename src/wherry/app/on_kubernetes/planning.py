"""Which images a build in a cluster makes, of which platforms, under which names: found out before anything runs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from wherry.app.build.call import Call, Streams
from wherry.app.build.options import DockerfileBuild, GoBuild, check_conflicts
from wherry.app.session import Session
from wherry.cluster.build_run import RunImage
from wherry.errors import InvalidUsage
from wherry.oci.reference import Reference
from wherry.platform import Platform, order

if TYPE_CHECKING:
    from wherry.app.build.go_work import GoRequest

Build = TypeVar("Build", GoBuild, DockerfileBuild)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImage:
    """An image that is to be built in a cluster."""

    image: RunImage
    wanted: GoBuild | DockerfileBuild
    """Asks for this image alone, and for nothing that is done with it afterwards."""
    platforms: tuple[Platform, ...]
    """In the order of the index."""
    call: Call
    """What it would be here."""
    sandboxed: bool = False
    """Whether its steps need a user namespace, as those of a Dockerfile do."""


def planned_images(
    session: Session, wanted: GoBuild | DockerfileBuild, stack: ExitStack, streams: Streams
) -> tuple[PlannedImage, ...]:
    """Read what a call asks for, as a build on this machine reads it.

    Args:
        session: where.
        wanted: what.
        stack: keeps open what the images are read from.
        streams: what `-` stands for.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
    """
    if wanted.push is False:
        raise InvalidUsage(
            "--no-push: a build on a cluster ends in a registry", hint="remove it, or build without --on"
        )
    check_conflicts(wanted)
    wanted = replace(wanted, push=True)
    found = (
        tuple(_of_go(session, wanted))
        if isinstance(wanted, GoBuild)
        else (_of_dockerfile(session, wanted, stack, streams),)
    )
    names: dict[str, str] = {}
    for one in found:
        for name in one.image.names:
            if names.setdefault(name, one.image.title) != one.image.title:
                raise InvalidUsage(f"{name} would be the name of two images", hint="give each its own tags, or --repo")
    return found


def _of_go(session: Session, wanted: GoBuild) -> Iterator[PlannedImage]:
    from wherry.app.build.go import go_call
    from wherry.app.build.go_work import GoRequests

    words = wanted.packages or tuple(_words_here(session, wanted))
    if len(words) > 1 and (wanted.tags and not wanted.repo and not session.environment.get("KO_DOCKER_REPO")):
        raise InvalidUsage(
            f"-t needs a single image, but {len(words)} are built", hint="use --repo, or set tags in wherry.toml"
        )
    for word in words:
        alone = replace(wanted, packages=(word,))
        call = go_call(session, alone)
        assert isinstance(call.request, GoRequests)  # noqa: S101 - a call for Go makes no other
        if len(call.request.images) > 1:
            raise InvalidUsage(f"{word}: several services of wherry.toml are built from it", hint="name one of them")
        yield _go_image(call, call.request.images[0], alone)


def _words_here(session: Session, wanted: GoBuild) -> Iterator[str]:
    """Name what a call without a path builds: the services of wherry.toml, or the program here."""
    from wherry.app.build.programs import chosen_of

    for chosen in chosen_of(session, (), offline=wanted.offline, profile=wanted.profile):
        yield chosen.service or "."


def _go_image(call: Call, request: "GoRequest", wanted: GoBuild) -> PlannedImage:
    _refuse_all(request.platforms)
    image = RunImage(
        names=tuple(f"{one.name}:{one.tag}" for one in map(Reference.parse, request.names)),
        repository=Reference.parse(request.names[0]).name,
        title=request.package.name,
        annotations=dict(request.annotations),
        package=request.package.import_path,
        base=request.base,
    )
    return PlannedImage(image=image, wanted=_alone(wanted), platforms=order(request.platforms), call=call)


def _of_dockerfile(session: Session, wanted: DockerfileBuild, stack: ExitStack, streams: Streams) -> PlannedImage:
    from wherry.app.build.dockerfile import dockerfile_call
    from wherry.app.build.dockerfile_work import DockerfileRequest
    from wherry.app.build.sources import open_source
    from wherry.app.lint import refuse
    from wherry.app.pod_security import needs_namespace

    source = stack.enter_context(open_source(session, wanted.context, wanted.file, streams.stdin))
    refuse(session, source, wanted)
    call = stack.enter_context(dockerfile_call(session, wanted, source, streams, session.progress)).call
    request = call.request
    assert isinstance(request, DockerfileRequest)  # noqa: S101 - a call for a Dockerfile makes no other
    platforms = request.plan.platforms
    _refuse_all(platforms)
    names = tuple(f"{one.name}:{one.tag}" for one in map(Reference.parse, request.names))
    image = RunImage(
        names=names, repository=Reference.parse(names[0]).name, title=_title(names[0]),
        annotations=dict(request.plan.annotations),
    )  # fmt: skip
    return PlannedImage(
        image=image,
        wanted=_alone(wanted),
        platforms=platforms,
        call=call,
        sandboxed=needs_namespace(source.text, wanted.target),
    )


def _alone(wanted: Build) -> Build:
    return replace(wanted, prove=False, load=False, budgets=False, against="")


def _title(name: str) -> str:
    return os.path.basename(Reference.parse(name).repository)  # noqa: PTH119 - of a repository, not of a file


def _refuse_all(platforms: Sequence[Platform]) -> None:
    if any(platform.every for platform in platforms):
        raise InvalidUsage(
            "--platform all: a cluster has to know the platforms before it starts",
            hint="name them: --platform linux/amd64,linux/arm64",
        )
