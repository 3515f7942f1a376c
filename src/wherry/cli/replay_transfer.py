"""What calls of `wherry build` gave, remembered so that they can be replayed where nothing changed."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wherry.app.build.build import FinishedBuild
from wherry.app.build.call import Call
from wherry.app.build.go_work import GoRequests
from wherry.app.build.options import DockerfileBuild
from wherry.app.lockfile import LOCK
from wherry.app.places import TOML
from wherry.base.settings import DEFAULTS
from wherry.bases import Bases
from wherry.build.values import Observed
from wherry.cli.replay_build import CallMemo, encoded, noted_of, our_own_inputs, remember, status_of, unchanged
from wherry.cli.words import Voice, printed
from wherry.cli.world import World
from wherry.report.plain import plain
from wherry.settings.ko_yaml import FILE as KO_YAML
from wherry.source.inputs import Input, InputKind, record
from wherry.source.refs import ref_inputs
from wherry.source.vcs import Vcs, VcsAbsent
from wherry.typed import from_msgpack

_NEVER = (
    "outputs", "metadata_file", "iidfile", "no_cache", "no_cache_filter", "load", "check", "debug_shell", "pull",
    "cache_to", "cache_from", "add", "prove", "sbom", "provenance",
)  # fmt: skip
"""Options that ask for more than the store, a registry and a line: such a call is never answered from before."""


def read_our_own(began: int) -> tuple[Input, ...]:
    """Hash our own code as far as it is loaded, since what it gives is remembered with it.

    Args:
        began: nanoseconds since the epoch, before anything was read.
    """
    return record(our_own_inputs(), (), started=began, threads=1)


def remember_go(
    world: World, key: str, voice: Voice, done: FinishedBuild, began: int, own: Sequence[Input] = ()
) -> None:
    """Remember what building Go modules gave, if the same words will mean the same as long as nothing changes.

    Args:
        world: where.
        key: the name of the call.
        voice: how it speaks.
        done: what it gave.
        began: nanoseconds since the epoch, before anything was read.
        own: our own code, as far as it was hashed.
    """
    memo = _memo_of(world, voice, done, began, own)
    if memo is not None:
        remember(world, key, memo, _checkout_of(done))


def remember_resolved(  # noqa: PLR0913 - each is named
    world: World, text: str, done: FinishedBuild, voice: Voice, began: int, names: Sequence[str], *, recursive: bool
) -> None:
    """Remember what putting images into manifests gave, as `remember_go` does.

    Args:
        world: where.
        text: what was printed.
        done: the build behind it.
        voice: how it speaks.
        began: nanoseconds since the epoch, before anything was read.
        names: files and folders of manifests.
        recursive: whether folders below were read too.
    """
    from wherry.app.manifest_files import read_paths
    from wherry.cli.replay_record import file_stamp, remember_module
    from wherry.source.stamps import settled

    memo = _memo_of(world, voice, done, began)
    read = [(str(path), file_stamp(str(path))) for path in read_paths(world, names, recursive=recursive)]
    if memo is None or any(stamp is None or settled(stamp) > began for _, stamp in read):
        return
    remember_module(world, memo, _checkout_of(done), noted_of(memo), printed=text, read=read)


def _checkout_of(done: FinishedBuild) -> Vcs | VcsAbsent:
    assert isinstance(done.built.trace, Vcs | VcsAbsent)  # noqa: S101 - a Go build's trace is one
    return done.built.trace


def _memo_of(world: World, voice: Voice, done: FinishedBuild, began: int, own: Sequence[Input] = ()) -> CallMemo | None:
    """Write down what a build of Go modules gave; None where the same words may mean something else unseen."""
    call, vcs, result = done.call, done.built.trace, done.result
    requests = call.request
    if not isinstance(requests, GoRequests) or not isinstance(vcs, Vcs | VcsAbsent):
        return None
    observed = [outcome.observed for outcome in done.built.outcomes.values()]
    special = any(
        "{{" in request.flags.ldflags
        or request.base not in Bases.EMBEDDED
        or request.added
        or request.settings != DEFAULTS
        for request in requests.images
    )
    releases = [request.package.release for request in requests.images]
    special |= any(releases) and not all(releases)
    counted = _counted_from(world, call)
    special |= any(release.query != release.version for release in releases if release)
    if special or counted is None or None in observed or (isinstance(vcs, Vcs) and vcs.linked):
        return None
    if call.modules:  # verified for each build: vendor/ has files that nothing compiles, and a tree head grows old
        return None
    read = [entry for blob in observed if blob for entry in from_msgpack(blob, Observed).inputs]
    paths = [*our_own_inputs(), *ref_inputs(vcs), *_settings_files(world, requests), *counted.files]
    if isinstance(vcs, Vcs):
        paths.append((str(vcs.root / ".git" / "config"), InputKind.FILE))
    inputs = {
        (entry.path, entry.kind): entry
        for entry in (*record(paths, (*read, *own), started=began, ended=time.time_ns()), *read)
    }
    return CallMemo(
        inputs=tuple(inputs.values()),
        status="" if all(releases) else status_of(vcs),
        names={**counted.names, **{name: str(image.root.digest) for image in result.images for name in image.names}},
        blobs=encoded([blob for image in result.images for blob in image.blobs]),
        printed=tuple(printed(result.again(), voice)),
        pushed=call.delivery.push,
        noted=result.notices,
        quiet=voice.mode == "quiet",
        kept=world.replayed[1],
    )


@dataclass(frozen=True, slots=True)
class _CountedFrom:
    """What decides the figures that growth is counted from."""

    files: tuple[tuple[str, InputKind], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Tags and the digests they resolve to."""


def _counted_from(world: World, call: Call) -> _CountedFrom | None:
    """Name what growth is counted from; None where that is elsewhere, and could change unseen."""
    files, names, tags = [], {}, world.store.tags()
    for one in call.budgeted:
        if not one.budgets.growth:
            continue
        from wherry.app.budgets import figures_file

        against = one.budgets.against
        if file := figures_file(one.folder, against):
            files.append((str(file), InputKind.FILE))
        elif against in tags and not (one.folder / against).exists():
            names[against] = str(tags[against].digest)
        else:
            return None
    return _CountedFrom(tuple(files), names)


def _settings_files(world: World, requests: GoRequests) -> Iterator[tuple[str, InputKind]]:
    for start in (world.cwd, *(request.package.folder for request in requests.images)):
        here = Path(os.path.realpath(start))
        for folder in (here, *here.parents):
            yield from ((str(folder / name), InputKind.FILE) for name in (TOML, "go.mod", KO_YAML, LOCK))
            if (folder / "go.mod").is_file():
                break
    yield from ((str(request.package.folder / "kodata"), InputKind.TREE) for request in requests.images)


def remember_dockerfile(world: World, wanted: DockerfileBuild, voice: Voice, done: FinishedBuild, began: float) -> None:
    """Remember what building a Dockerfile gave, if the same words will mean the same as long as nothing changes.

    Args:
        world: where.
        wanted: what was asked for.
        voice: how it speaks.
        done: what it gave.
        began: seconds since the epoch, before anything was read.
    """
    from wherry.app.build.addresses import LAYOUT
    from wherry.app.build.dockerfile_work import Trace
    from wherry.app.required import deciding_files, requires_any
    from wherry.cli.replay_record import RecordedCall, remember
    from wherry.plan.ops import CopyOp

    report, source, result = done.built.trace, done.source, done.result
    if not isinstance(report, Trace) or source is None or not world.call or done.gate.counts_growth:
        return
    if requires_any(world.cwd, source.folder) or done.call.modules:
        return
    if any(getattr(wanted, name) for name in _NEVER) or voice.explain or voice.progress == "json":
        return
    kinds = {
        taking.origin.kind
        for step in report.planned.plan.steps
        if isinstance(step.action, CopyOp)
        for taking in step.action.takings
    }
    if kinds & {"http", "git"} or not source.local or any(one.memory is None for one in report.contexts.values()):
        return
    layouts = [Path(value.removeprefix(LAYOUT)) for value in done.images if value.startswith(LAYOUT)]
    paths = [*source.read, *(folder / "index.json" for folder in layouts)]
    paths += [context.folder / ".dockerignore" for context in report.contexts.values()]
    paths += deciding_files(world.cwd, source.folder)
    paths += [above / LOCK for folder in (world.cwd, source.folder) for above in (folder, *folder.parents)]
    if not wanted.file:  # then the folder has to say that this front end is meant
        paths += [source.read[0].parent, source.read[0].with_name("wherry.toml")]
    bases = {} if wanted.offline else report.asked
    (image,) = result.images
    given = RecordedCall(
        began=began,
        paths=tuple(map(str, paths)),
        looked=tuple(context.looked for context in report.contexts.values()),
        blobs=tuple(
            blob for one in image.images for blob in (one.descriptor, one.manifest.config, *one.manifest.stack)
        ),
        asked={**bases, **(dict.fromkeys(image.names, image.root) if wanted.push else {})},
        printed="".join(f"{line}\n" for line in printed(result.again(), voice)),
        noted="" if voice.mode == "quiet" else _noted(unchanged(result.looked_at), done.warned),
    )
    remember(world, given)


def _noted(line: str, warned: Sequence[str]) -> str:
    """Write what goes to stderr: that nothing changed, and what was warned of all the same."""
    return "".join(f"  {plain(text)}\n" for text in (line, *warned))
