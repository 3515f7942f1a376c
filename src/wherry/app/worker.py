"""What a pod does of a build on Kubernetes: one platform of one image, from an artifact to a manifest in a registry.

The result is a value; who runs a pod writes it into the termination message. Sources are at fault where the same
sources fail again elsewhere; everything else may be tried again (`worker_faults.py`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wherry.app.build.build import build
from wherry.app.build.options import CommonOptions, DockerfileBuild, GoBuild
from wherry.app.build.result import BuildResult, BuiltPlatform
from wherry.app.build_artifact import FetchedArtifact, fetch_artifact
from wherry.app.gathered import OUTPUT
from wherry.app.session import Session
from wherry.cluster.build_documents import VERSION, BuildTask, RecipeBuild, StepCounts, TaskResult
from wherry.errors import CannotWrite, InvalidDocument
from wherry.platform import Platform
from wherry.settings.outputs import Output, OutputType
from wherry.store.disk import DiskStore
from wherry.typed import from_plain

if TYPE_CHECKING:
    from wherry.app.go_build_cache import CarriedGoCache

_TRANSPORT: Final = frozenset({
    "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOVCS", "GOTOOLCHAIN",
})  # fmt: skip
"""Variables that say how modules come here, and not what is built: a pod's own stand above the recipe's."""
_KIBIBYTE: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTask:
    """A task, with all that it needs."""

    artifact: FetchedArtifact
    number: int
    task: BuildTask
    build: RecipeBuild


class _AskedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What an output says of the image itself."""

    rewrite_timestamp: bool = False
    compression: str | None = None
    compression_level: int | None = None


def open_task(session: Session, reference: str, number: int) -> PodTask:
    """Fetch the recipe of an artifact, and find a task in it.

    Args:
        session: who the pod is in registries.
        reference: `REPOSITORY@sha256:…`.
        number: the completion index.

    Raises:
        InvalidUsage, InvalidDocument: it is no such artifact, or has no such task.
        NotFound, AccessDenied, RegistryError: as the registry answers.
    """
    artifact = fetch_artifact(session, reference)
    task = artifact.recipe.task(number, reference)
    return PodTask(artifact=artifact, number=number, task=task, build=artifact.recipe.builds[task.build])


def do_task(session: Session, pod: PodTask, folder: Path) -> TaskResult:
    """Build a platform, and push it under the task's tag.

    Args:
        session: where to keep blobs and caches, and who the pod is in registries.
        pod: the task.
        folder: where sources are unpacked; it must be empty, or not be there.

    Raises:
        WherryError: whatever stopped it; there is no half-pushed tag.
    """
    began = session.clock()
    place = folder / ("again/elsewhere" if pod.task.copy else "sources")
    top = _unpacked(session, pod, place)
    inner = _session_of(session, pod, top, place)
    wanted = _wanted(pod, place)
    caches = _caches(inner, pod)
    caches.bring()
    result = build(inner, wanted)
    caches.carry()
    return _result_of(pod, result, inner.store, session.clock() - began)


def _unpacked(session: Session, pod: PodTask, place: Path) -> Path:
    """Unpack what a build reads; give the folder that it is built in."""
    if place.exists() and any(place.iterdir()):
        raise CannotWrite(f"{place}: is not empty", hint="use an empty directory; in a pod, an emptyDir")
    with session.progress.step("unpack the sources") as step:
        for number in dict.fromkeys((*pod.build.contexts, *pod.build.named.values())):
            session.checkpoint()
            pod.artifact.unpack_into(session, number, place / str(number), git=pod.build.kind != "go")
        top = place / str(pod.build.contexts[0])
        if pod.build.checkout:
            _add_checkout(session, pod, top, place)
        step.done(str(top))
    here = top / pod.build.folder
    if not Path(os.path.realpath(here)).is_relative_to(os.path.realpath(top)):
        raise InvalidDocument("the recipe", f"{pod.build.folder!r} leads out of its context")
    here.mkdir(parents=True, exist_ok=True)
    return here


def _add_checkout(session: Session, pod: PodTask, top: Path, place: Path) -> None:
    checkout = pod.build.checkout
    assert checkout is not None  # noqa: S101 - the caller asked
    root = top / checkout.path
    if not Path(os.path.realpath(root)).is_relative_to(os.path.realpath(top)):
        raise InvalidDocument("the recipe", f"{checkout.path!r} leads out of its context")
    root.mkdir(parents=True, exist_ok=True)
    git = place / "git" if checkout.linked else root / ".git"
    if git.is_symlink() or git.exists():
        raise InvalidDocument("the recipe", f"{checkout.path!r} has a .git already")
    pod.artifact.unpack_into(session, checkout.layer, git)
    _make_harmless(git)
    if checkout.linked:
        (root / ".git").write_text(f"gitdir: {git}\n")


def _make_harmless(git: Path) -> None:
    """Take from a repository of a stranger what makes git start programs: its configuration is ours."""
    import shutil

    remote, hashes = "", False
    config = git / "config"
    if config.is_file() and not config.is_symlink():
        lines = config.read_text(errors="replace").splitlines()
        hashes = any(line.strip() == "objectformat = sha256" for line in lines)
        remote = next((line.partition("=")[2].strip() for line in lines if line.strip().startswith("url =")), "")
    from wherry.source.vcs import public_url

    remote = public_url(remote)
    for name in ("config", "config.worktree", "commondir", "gitdir"):
        (git / name).unlink(missing_ok=True)
    for name in ("hooks", "modules", "worktrees"):
        shutil.rmtree(git / name, ignore_errors=True)
    for name in ("refs/heads", "refs/tags", "objects/pack"):
        (git / name).mkdir(parents=True, exist_ok=True)  # without files in them they did not come along
    (git / "objects" / "info" / "alternates").unlink(missing_ok=True)
    form = "[extensions]\n\tobjectformat = sha256\n" if hashes else ""
    url = f'[remote "origin"]\n\turl = {remote}\n' if remote else ""
    config.write_text(f"[core]\n\trepositoryformatversion = {1 if hashes else 0}\n\tbare = false\n{form}{url}")


def _session_of(session: Session, pod: PodTask, here: Path, place: Path) -> Session:
    """Give a session in the sources; a second copy has caches of its own, which are empty."""
    own = session.environment
    environment = {**own, **pod.build.environment, **{name: own[name] for name in _TRANSPORT if own.get(name)}}
    if pod.artifact.recipe.epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = str(pod.artifact.recipe.epoch)
    store, cache = session.store_folder, session.cache_folder
    if pod.task.copy:
        store, cache = place.parent / "store", place.parent / "cache"
        environment |= {"GOCACHE": str(place.parent / "go-build"), "GOMODCACHE": str(place.parent / "modules")}
    return Session(
        store=store,
        cache=cache,
        cwd=here,
        environment=environment,
        home=session.home,
        keyring=session.keyring,
        insecure=frozenset(session.insecure),
        progress=session.progress,
        clock=session.clock,
        cancelled=session.cancelled,
        unpack_limit=session.unpack_limit,
        min_free=session.min_free,
        patience=session.patience,
    )


def _wanted(pod: PodTask, place: Path) -> GoBuild | DockerfileBuild:
    shape: type[CommonOptions] = GoBuild if pod.build.kind == "go" else DockerfileBuild
    try:
        options = dict(pod.build.options)
        asked = from_plain(options.pop(OUTPUT, {}), _AskedOutput)
        wanted = from_plain(options, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidDocument("the recipe", f"options of {pod.build.name}: {error}") from error
    assert isinstance(wanted, (GoBuild, DockerfileBuild))  # noqa: S101 - one of the two shapes
    changes: dict[str, Any] = {
        "tags": (f"{pod.build.repository}:{pod.task.tag}",),
        "platforms": (Platform.parse(pod.task.platform),),
        "push": None,
        "load": False,
        "budgets": False,  # whoever asked judges the whole image
        "outputs": (
            Output(
                type=OutputType.IMAGE,
                dest="",
                push=True,
                compression=asked.compression,
                compression_level=asked.compression_level,
                rewrite_timestamp=asked.rewrite_timestamp,
            ),
        ),
    }
    if isinstance(wanted, DockerfileBuild):
        named = tuple(f"{name}={place / str(number)}" for name, number in pod.build.named.items())
        changes |= {"build_contexts": (*wanted.build_contexts, *named), "secrets": (), "agents": ()}
        if not pod.task.copy:
            changes |= {"cache_from": cache_names(pod.build.cache_from, pod.task.platform)}
            changes |= {"cache_to": cache_names(pod.build.cache_to, pod.task.platform)}
    return replace(wanted, **changes)


def cache_names(texts: tuple[str, ...], platform: str) -> tuple[str, ...]:
    """Name the caches of a platform: pods that build side by side must not write one tag."""
    return tuple(_of_platform(text, platform) for text in texts)


def _of_platform(text: str, platform: str) -> str:
    from wherry.oci.reference import Reference

    fields = text.split(",") if "=" in text else [f"ref={text}"]
    place = next((number for number, one in enumerate(fields) if one.startswith("ref=")), None)
    if place is None:
        return text
    found = Reference.parse(fields[place].removeprefix("ref="))
    if found.digest:
        return text
    fields[place] = f"ref={found.name}:{found.tag[:100]}-{platform.replace('/', '-')}"
    return ",".join(fields) if "=" in text else f"type=registry,{fields[place]}"


def _caches(session: Session, pod: PodTask) -> "CarriedGoCache":
    from wherry.app.go_build_cache import CarriedGoCache

    go = pod.build.kind == "go" and not pod.task.copy
    return CarriedGoCache(
        session,
        bring_from=cache_names(pod.build.cache_from, pod.task.platform) if go else (),
        carry_to=cache_names(pod.build.cache_to, pod.task.platform) if go else (),
    )


def _result_of(pod: PodTask, result: BuildResult, store: DiskStore, seconds: float) -> TaskResult:
    image = result.images[0]
    built = image.platforms[0]
    ran = sum(not step.cached for step in result.steps)
    return TaskResult(
        version=VERSION,
        ok=True,
        task=pod.number,
        platform=pod.task.platform,
        digest=image.digest,
        size=image.root.size,
        pulled=built.pulled,
        unpacked=_unpacked_bytes(built, store),
        seconds=round(max(seconds, 0.0), 3),
        peak=peak_memory(),
        go=built.program.go if built.program else "",
        steps=StepCounts(cached=len(result.steps) - ran, ran=ran),
    )


def _unpacked_bytes(built: BuiltPlatform, store: DiskStore) -> int:
    """Count the bytes of all layers, unpacked; 0 where a layer of the base is in its registry only."""
    from wherry.layer.decompress import open_layer
    from wherry.layer.tar import CHUNK

    own: Mapping[str, int] = {layer.blob.digest: layer.size for layer in built.own}
    total = 0
    for layer, diff_id in zip(built.image.manifest.stack, built.image.config.diff_ids, strict=True):
        if layer.digest in own:
            total += own[layer.digest]
            continue
        if not store.has(layer) or store.elsewhere.places(layer.digest):
            return 0
        stream = open_layer(store, layer, diff_id)
        while chunk := stream.read(CHUNK):
            total += len(chunk)
    return total


def peak_memory() -> int:
    """Give the memory of the largest process of this one and of those that it started, in bytes."""
    import resource

    used = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(used) * _KIBIBYTE
