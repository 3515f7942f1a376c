"""`wherry build`, carried out and told: the second half, loaded once the words are understood."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.app.budget_gate import BudgetsBroken, Gate
from wherry.app.lockfile import LOCK
from wherry.app.published import OFFLINE
from wherry.bases import Bases
from wherry.build.values import Observed
from wherry.cli.deliver import deliver
from wherry.cli.memo import Memo, encoded, our_own_inputs, remember, status_of
from wherry.cli.release import EVERYWHERE, readable_everywhere
from wherry.cli.requests import TOML, Asked
from wherry.cli.telling import Teller
from wherry.cli.world import World
from wherry.pipeline import Built, Pipeline, Report
from wherry.registry.errors import NotTaken
from wherry.report.progress import progress_for
from wherry.settings.ko_yaml import FILE as KO_YAML
from wherry.source.inputs import Kind, record
from wherry.source.refs import ref_inputs
from wherry.source.vcs import Vcs

if TYPE_CHECKING:
    from wherry.analysis.size import BudgetCheck


def build(world: World, asked: Asked, call: str = "") -> int:
    """Build what was asked for and print it.

    Args:
        world: where.
        asked: what.
        call: the name of the call, if what it gives shall be remembered.
    """
    try:
        asked, report, checks = carry_out(world, asked)
    except BudgetsBroken as broken:
        if asked.as_json:
            world.say(broken.document)
        raise
    if not any(output.stdout for output in asked.outputs):
        for line in _printed(asked, report, checks, unchanged=report.unchanged):
            world.say(line)
    if call:
        _remember(world, call, asked, report, checks)
    return 0


def carry_out(world: World, asked: Asked, gate: Gate | None = None) -> tuple[Asked, Report, "Sequence[BudgetCheck]"]:
    """Build what was asked for, hold it to its budgets, put it where it shall go, and tell of it on stderr.

    Args:
        world: where.
        asked: what.
        gate: the budgets, where they were read before; a build may change what growth is counted from.

    Returns:
        What was done in the end (in another encoding, where a registry would not take the first), the report, and
        the budgets.

    Raises:
        BudgetsBroken: everything is stored and named, and nothing went anywhere.
    """
    refused = False
    gate = gate or Gate.of(world, asked.budgeted)
    with ExitStack() as stack:
        progress = stack.enter_context(progress_for(asked.progress, world.stderr, world.environment, world.clock))
        teller = Teller(progress, asked, stack)
        pipeline = Pipeline(
            store=world.store,
            cache=world.cache_folder,
            runner=world.runner,
            environment={**world.environment, **(OFFLINE if asked.policy.offline else {})},
            registries=lambda: world.registries,
            policy=asked.policy,
            warned=progress.warn,
            clock=world.clock,
            use_cache=asked.use_cache,
            begins=teller.begin,
            finished=teller.finished,
            said=teller.said,
        )
        report = pipeline.build(asked.requests)
        teller.end(report)
        if asked.size_record:
            _keep_records(world, report)
        checks = gate.judge(report.images, progress)
        broken = [one for one in checks if not one.ok]
        try:
            if not broken:
                deliver(world, asked, report.images, progress)
        except NotTaken as error:
            if not any(asked.releases):
                raise
            progress.warn(f"{error.message}; encoded with {' '.join(map(str, EVERYWHERE))} instead of zstd")
            refused = True
    if broken:
        names = [name for image in report.images for name in image.names]
        raise BudgetsBroken(broken, names, _printed(asked, report, checks, unchanged=report.unchanged)[0])
    if refused:
        return carry_out(world, readable_everywhere(asked), gate)
    return asked, report, checks


def _keep_records(world: World, report: Report) -> None:
    from wherry.app.owners import keep_records

    size = keep_records(world, [f"{image.names[0]}@{image.root.digest}" for image in report.images])
    world.note(f"  owners of variables kept: {size:,} bytes")


def _remember(world: World, call: str, asked: Asked, report: Report, checks: "Sequence[BudgetCheck]") -> None:
    observed = [outcome.observed for outcome in report.outcomes.values()]
    special = any(
        "{{" in request.flags.ldflags or request.base not in Bases.EMBEDDED or request.added
        for request in asked.requests
    )
    releases = [request.package.release for request in asked.requests]
    special |= any(releases) and not all(releases)
    counted = _counted_from(world, asked)
    special |= any(release.query != release.version for release in releases if release)
    if special or counted is None or None in observed or (isinstance(report.vcs, Vcs) and report.vcs.linked):
        return
    read = [entry for blob in observed if blob for entry in msgspec.msgpack.decode(blob, type=Observed).inputs]
    paths = [*our_own_inputs(), *ref_inputs(report.vcs), *_settings_files(world, asked), *counted.files]
    if isinstance(report.vcs, Vcs):
        paths.append((str(report.vcs.root / ".git" / "config"), Kind.FILE))
    inputs = {(entry.path, entry.kind): entry for entry in (*record(paths, read, started=report.began), *read)}
    remember(
        world,
        call,
        Memo(
            inputs=tuple(inputs.values()),
            status="" if all(releases) else status_of(report.vcs),
            names={
                **counted.names,
                **{name: str(image.root.digest) for image in report.images for name in image.request.names},
            },
            blobs=encoded([blob for image in report.images for blob in image.blobs]),
            printed=tuple(_printed(asked, report, checks, unchanged=True)),
            pushed=asked.push,
            noted=report.notices,
            quiet=asked.quiet or asked.progress == "quiet",
        ),
        report.vcs,
    )


@dataclass(frozen=True, slots=True)
class _CountedFrom:
    """What decides the figures that growth is counted from."""

    files: tuple[tuple[str, Kind], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Tags and the digests they lead to."""


def _counted_from(world: World, asked: Asked) -> _CountedFrom | None:
    """Name what growth is counted from; None where that is elsewhere, and could change unseen."""
    files, names, tags = [], {}, world.store.tags()
    for one in asked.budgeted:
        if not one.budgets.growth:
            continue
        from wherry.app.budgets import figures_file

        against = one.budgets.against
        if file := figures_file(one.folder, against):
            files.append((str(file), Kind.FILE))
        elif against in tags and not (one.folder / against).exists():
            names[against] = str(tags[against].digest)
        else:
            return None
    return _CountedFrom(tuple(files), names)


def _settings_files(world: World, asked: Asked) -> Iterator[tuple[str, Kind]]:
    for start in (world.cwd, *(request.package.folder for request in asked.requests)):
        here = Path(os.path.realpath(start))
        for folder in (here, *here.parents):
            yield from ((str(folder / name), Kind.FILE) for name in (TOML, "go.mod", KO_YAML, LOCK))
            if (folder / "go.mod").is_file():
                break
    yield from ((str(request.package.folder / "kodata"), Kind.TREE) for request in asked.requests)


def _printed(asked: Asked, report: Report, checks: "Sequence[BudgetCheck]", *, unchanged: bool) -> list[str]:
    if asked.as_json:
        document = {"version": 1, "unchanged": unchanged, "images": [_document(image) for image in report.images]}
        if checks:
            document["budgets"] = checks
        return [msgspec.json.encode(document).decode()]
    return [
        str(image.root.digest) if asked.quiet else f"{image.request.names[0]}@{image.root.digest}"
        for image in report.images
    ]


def _document(image: Built) -> Mapping[str, object]:
    return {
        "names": image.request.names,
        "digest": str(image.root.digest),
        "mediaType": image.root.media_type,
        "package": image.request.package.import_path,
        "base": image.request.base,
        "platforms": [
            {
                "platform": str(built.platform),
                "digest": str(built.image.descriptor.digest),
                "config": str(built.image.manifest.config.digest),
                "go": built.compiled.go,
                "program": {"digest": built.compiled.digest, "size": built.compiled.size},
                "pulled": sum(layer.size for layer in built.image.manifest.stack),
                "layers": [
                    {"digest": str(layer.digest), "mediaType": layer.media_type, "size": layer.size}
                    for layer in built.image.manifest.stack
                ],
                "cached": built.compile_outcome.cached,
            }
            for built in image.platforms
        ],
    }
