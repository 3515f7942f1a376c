"""`wherry build`, carried out and told: the second half, loaded once the words are understood."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from wherry.bases import Bases
from wherry.build.engine import Outcome
from wherry.build.values import Compiled, Observed, compiled_of
from wherry.cli.memo import Memo, encoded, our_own_inputs, remember, status_of
from wherry.cli.published import OFFLINE
from wherry.cli.release import EVERYWHERE, SMALLEST, readable_everywhere, why_not_zstd
from wherry.cli.requests import TOML, Asked
from wherry.cli.world import World
from wherry.oci.descriptor import Descriptor
from wherry.pipeline import Built, BuiltPlatform, Pipeline, Report
from wherry.plan.steps import Compile
from wherry.registry.errors import NotTaken
from wherry.report.progress import Progress, Step, progress_for
from wherry.report.terminal import size
from wherry.settings.outputs import Output, OutputType
from wherry.source.inputs import Kind, record
from wherry.source.refs import ref_inputs
from wherry.source.vcs import Vcs

if TYPE_CHECKING:
    from wherry.image.export import Form


def build(world: World, asked: Asked, call: str = "") -> int:
    """Build what was asked for and print it.

    Args:
        world: where.
        asked: what.
        call: the name of the call, if what it gives shall be remembered.
    """
    asked, report = carry_out(world, asked)
    if not any(output.stdout for output in asked.outputs):
        for line in _printed(asked, report, unchanged=report.unchanged):
            world.say(line)
    if call:
        _remember(world, call, asked, report)
    return 0


def carry_out(world: World, asked: Asked) -> tuple[Asked, Report]:
    """Build what was asked for, put it where it shall go, and tell of it on stderr.

    Returns:
        What was done in the end (in another encoding, where a registry would not take the first), and the report.
    """
    refused = False
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
        try:
            _write(world, asked, report, progress)
        except NotTaken as error:
            if not any(asked.releases):
                raise
            progress.warn(f"{error.message}; encoded with {' '.join(map(str, EVERYWHERE))} instead of zstd")
            refused = True
    if refused:
        return carry_out(world, readable_everywhere(asked))
    return asked, report


def _write(world: World, asked: Asked, report: Report, progress: Progress) -> None:
    images = [(image, [built.image for built in image.platforms]) for image in report.images]
    if asked.load or any(output.loads for output in asked.outputs):
        _load(world, progress, {name: image.root for image in report.images for name in image.request.names})
    if asked.push:
        _push(world, progress, {name: image.root for image in report.images for name in image.request.names})
    for output in asked.outputs:
        if output.loads:
            continue
        if output.type is OutputType.IMAGE:
            _store_or_push(world, output, report, progress)
            continue
        from wherry.image.export import export

        roots = {name: image.root for image in report.images for name in output.names or image.request.names}
        place = world.binary_out if output.stdout else world.cwd / output.dest
        lost = export(_form(output), roots, world.store, place, tar=output.tar, split=output.platform_split)
        for line in lost:
            progress.warn(line)
        progress.line(f"wrote {output.type} to {'stdout' if output.stdout else output.dest}")
    if asked.metadata_file:
        from wherry.image.metadata import metadata_of, write_metadata

        described = {
            image.request.package.name: metadata_of(image.root, within, image.request.names) for image, within in images
        }
        write_metadata(asked.metadata_file, described if len(described) > 1 else next(iter(described.values())))
    if asked.iidfile:
        from wherry.image.metadata import write_image_id

        for image, within in images:
            write_image_id(asked.iidfile, image.root, within)


def _form(output: Output) -> "Form":
    return cast("Form", output.type.value)


def _push(world: World, progress: Progress, images: Mapping[str, Descriptor]) -> None:
    from wherry.cli.shipping import push

    push(world, progress, world.store, images)


def _load(world: World, progress: Progress, images: Mapping[str, Descriptor]) -> None:
    from wherry.cli.network import docker_config
    from wherry.daemon.find import find_daemon
    from wherry.daemon.give import give
    from wherry.host.kernel import Kernel

    daemon = find_daemon(world.runner, world.environment, docker_config(world).parent)
    with progress.step(f"load into {daemon.name}") as step:
        for given in give(daemon, world.store, images, Kernel.of_host().platform):
            for notice in given.notices:
                progress.line(notice)
            step.detail(given.names[0])
        step.done(", ".join(images))


def _store_or_push(world: World, output: Output, report: Report, progress: Progress) -> None:
    images = {name: image.root for image in report.images for name in output.names or image.request.names}
    for name, root in images.items():
        world.store.tag(name, root)
    if output.push:
        _push(world, progress, images)


def _remember(world: World, call: str, asked: Asked, report: Report) -> None:
    observed = [outcome.observed for outcome in report.outcomes.values()]
    special = any(
        "{{" in request.flags.ldflags or request.base not in Bases.EMBEDDED or request.added
        for request in asked.requests
    )
    releases = [request.package.release for request in asked.requests]
    special |= any(releases) and not all(releases)
    special |= any(release.query != release.version for release in releases if release)
    if special or None in observed or (isinstance(report.vcs, Vcs) and report.vcs.linked):
        return
    read = [entry for blob in observed if blob for entry in msgspec.msgpack.decode(blob, type=Observed).inputs]
    paths = [*our_own_inputs(), *ref_inputs(report.vcs), *_settings_files(world, asked)]
    if isinstance(report.vcs, Vcs):
        paths.append((str(report.vcs.root / ".git" / "config"), Kind.FILE))
    inputs = {(entry.path, entry.kind): entry for entry in (*record(paths, read, started=report.began), *read)}
    remember(
        world,
        call,
        Memo(
            inputs=tuple(inputs.values()),
            status="" if all(releases) else status_of(report.vcs),
            names={name: str(image.root.digest) for image in report.images for name in image.request.names},
            blobs=encoded([blob for image in report.images for blob in image.blobs]),
            printed=tuple(_printed(asked, report, unchanged=True)),
            pushed=asked.push,
            noted=report.notices,
        ),
    )


def _settings_files(world: World, asked: Asked) -> Iterator[tuple[str, Kind]]:
    for start in (world.cwd, *(request.package.folder for request in asked.requests)):
        here = Path(os.path.realpath(start))
        for folder in (here, *here.parents):
            yield str(folder / TOML), Kind.FILE
            yield str(folder / "go.mod"), Kind.FILE
            if (folder / "go.mod").is_file():
                break


_REASONS = 3
"""How many reasons of one step are told; the first say most."""


class Teller:
    """Says on stderr what a build does, step by step or in one line where nothing changed."""

    def __init__(self, progress: Progress, asked: Asked, stack: ExitStack) -> None:
        self._progress = progress
        self._asked = asked
        self._stack = stack
        self._told: set[str] = set()
        self._running: Step | None = None

    def begin(self) -> None:
        """Tell which front door was taken, and that work begins."""
        for request in self._asked.requests:
            self._progress.line(f"{request.package.import_path}  {self._asked.door}")
        count = len(self._asked.requests) * len(self._asked.requests[0].platforms)
        self._running = self._stack.enter_context(self._progress.step("building"))
        if count > 1:
            self._running.detail(f"{count} programs")

    def said(self, step: str, text: str) -> None:
        """Pass on what the compiler had to say."""
        for line in text.splitlines():
            self._progress.line(f"  {step}: {line}")

    def finished(self, outcome: Outcome) -> None:
        """Tell of a program that was compiled, and, asked for it, of each step and why it was done."""
        if self._asked.explain:
            self._progress.line(_explained(outcome))
        if not isinstance(outcome.step.action, Compile):
            return
        compiled = compiled_of(outcome.result)
        package = "@".join(filter(None, map(compiled.recipe.get, ("module.package", "module.version"))))
        program = f"{compiled.go.replace('go', 'go ', 1)} ({compiled.origin})  {package}"
        self._once(f"{program}  {_traits(compiled)}")
        if self._running and not outcome.cached:
            self._running.detail(f"{outcome.step.action.platform} compiled in {outcome.seconds:.1f} s")

    def end(self, report: Report) -> None:
        """Tell what came out."""
        for notice in report.notices:
            self._once(notice)
        if report.unchanged:
            self._progress.line(f"nothing changed ({report.looked_at} files looked at)")
            return
        if any(self._asked.releases):
            self._once(_released(self._asked))
        for image in report.images:
            self._once(_based(image))
            for platform in image.platforms:
                self._progress.line(_figures(platform))
        if self._running:
            self._running.done(f"stored in {report.seconds:.1f} s")

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._progress.line(line)


def _explained(outcome: Outcome) -> str:
    if outcome.cached:
        return f"{outcome.step.name}: cached"
    shown = outcome.reasons[:_REASONS]
    more = f" (and {len(outcome.reasons) - len(shown)} more)" if len(outcome.reasons) > len(shown) else ""
    return f"{outcome.step.name}: {'; '.join(shown)}{more}  {outcome.seconds:.2f} s"


def _traits(compiled: Compiled) -> str:
    flags = compiled.recipe["go.flags"]
    linked = f"needs {', '.join(compiled.libraries) or compiled.interpreter}" if compiled.interpreter else "static"
    traits = [
        "trimmed" if "-trimpath" in flags else "with paths",
        "stripped" if "-s" in flags.split() or "-ldflags=-s" in flags else "with symbols",
        linked,
    ]
    if compiled.recipe["go.buildvcs"] == "true":
        traits.append("records its commit")
    return ", ".join(traits)


def _released(asked: Asked) -> str:
    reason = why_not_zstd(asked.outputs)
    if reason:
        return f"release: {' '.join(map(str, EVERYWHERE))}, since {reason}"
    return f"release: {' '.join(map(str, SMALLEST))}, which Docker before 23 and containerd before 1.5 can't unpack"


def _based(image: Built) -> str:
    name = image.request.base
    words = Bases.EMBEDDED.get(name, "")
    first = image.platforms[0]
    below = first.image.manifest.stack[: len(first.image.manifest.stack) - len(first.own)]
    pulled = size(sum(layer.size for layer in below))
    return f"base {name}  {words + f' ({pulled} pulled; embedded)' if words else f'{pulled} pulled'}"


def _figures(built: BuiltPlatform) -> str:
    compiled = built.compile_outcome
    how = "cached" if compiled.cached else f"compiled in {compiled.seconds:.1f} s"
    unpacked = sum(layer.size for layer in built.own)
    pulled = sum(layer.size for layer in built.image.manifest.stack)
    return f"{built.platform}  {how}  {size(unpacked)} unpacked above the base  {size(pulled)} pulled"


def _printed(asked: Asked, report: Report, *, unchanged: bool) -> list[str]:
    if asked.as_json:
        document = {"version": 1, "unchanged": unchanged, "images": [_document(image) for image in report.images]}
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
