"""`wherry build --on kubernetes`, carried out and printed."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from wherry.app.build.options import DockerfileBuild, GoBuild
from wherry.app.build.result import BuildResult
from wherry.app.on_kubernetes.build import DetachedRun, attach_to_run, build_on_kubernetes, printed_manifests
from wherry.app.on_kubernetes.ending import PlatformsDiffer
from wherry.cli.cluster_words import options_of
from wherry.cli.keep import keep_cluster_build, keep_failure
from wherry.cli.streams import streams_of
from wherry.cli.words import Voice, printed
from wherry.cli.world import World
from wherry.errors import InvalidUsage, WherryError

if TYPE_CHECKING:
    from wherry.app.on_kubernetes.options import ClusterOptions
    from wherry.trust.keys import Signer

Built = TypeVar("Built")


def build_there(world: World, wanted: GoBuild | DockerfileBuild, voice: Voice, there: Mapping[str, Any]) -> int:
    """Build in a cluster and print it; give the exit code."""
    options = options_of(there)
    if any(output.stdout for output in wanted.outputs):
        raise InvalidUsage("--output to stdout is for builds on this machine", hint="add dest=PATH")
    if there["print_only"]:
        return _print(world, wanted, voice, options)
    signer = _signer(world, there["sign"])
    result = _kept(
        world,
        voice,
        lambda: build_on_kubernetes(world, wanted, options, streams=streams_of(world), signer=signer),
    )
    if isinstance(result, DetachedRun):
        world.note(f"  pick it up: wherry build --namespace {result.namespace} --attach {result.name}")
        world.say(result.name)
        return 0
    return _say(world, result, voice)


def attach_there(world: World, voice: Voice, there: Mapping[str, Any]) -> int:
    """Pick up a build in a cluster, and print it; give the exit code."""
    options = options_of(there)
    signer = _signer(world, there["sign"])
    result = _kept(world, voice, lambda: attach_to_run(world, there["attach_name"], options, signer=signer))
    return _say(world, result, voice)


def _kept(world: World, voice: Voice, build: Callable[[], Built]) -> Built:
    """Build with progress on stderr, and leave the figures in the history."""
    began = world.clock()
    try:
        with world.reporter(voice.mode) as world.progress:
            result = build()
    except WherryError as error:
        keep_failure(world, error, began)
        if isinstance(error, PlatformsDiffer):
            _say_difference(world, error)
        raise
    if isinstance(result, BuildResult):
        keep_cluster_build(world, result, began)
    return result


def _say(world: World, result: BuildResult, voice: Voice) -> int:
    for line in printed(result, voice):
        world.say(line)
    return 0


def _say_difference(world: World, error: PlatformsDiffer) -> None:
    if error.compared is None:
        return
    from wherry.cli.rebuild import lines_of

    for line in lines_of(error.compared):
        world.note(line)


def _print(world: World, wanted: GoBuild | DockerfileBuild, voice: Voice, options: "ClusterOptions") -> int:
    import yaml

    with world.reporter(voice.mode) as world.progress:
        started, manifests = printed_manifests(world, wanted, options, streams=streams_of(world))
    if started.login:
        world.note(
            "  the registry needs a login, which is not printed: make a Secret of type kubernetes.io/dockerconfigjson "
            'and set push-secret = "NAME" below [kubernetes]'
        )
    world.note(f"  after it is applied: wherry build --attach {started.run.name} assembles the index and tags it")
    world.say(yaml.safe_dump_all(manifests, sort_keys=False, width=120).rstrip())
    return 0


def _signer(world: World, key: str | None) -> "Signer | None":
    if not key:
        return None
    from wherry.app.signing_keys import signer_of
    from wherry.cli.passwords import password_for

    return signer_of(world, key, password_for(world))
