"""`wherry build -f Dockerfile`: what was asked for, carried out and told."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from wherry.app.budget_gate import BudgetsBroken, Gate, budgeted_dockerfile
from wherry.app.build.published_values import ALLOWED, refuse_published
from wherry.app.progress import Progress
from wherry.build.engine import Outcome
from wherry.cli.caching import bring, bring_mounts, carrier, packer
from wherry.cli.deliver import deliver
from wherry.cli.secrets import agents_of, secrets_of
from wherry.cli.staging import Source, arguments_of, named_contexts, source_of
from wherry.cli.world import World
from wherry.dockerfile.checks import CHECK, CHECK_ARGUMENT
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.instructions import Dockerfile
from wherry.dockerfile.mounts import parse_size
from wherry.dockerfile.parser import parse
from wherry.dockerfile.syntax import directive_of
from wherry.dockerfiles import LAYOUT, DockerfileBuilder, StageReport
from wherry.errors import InvalidUsage
from wherry.layer.compress import Encoding
from wherry.oci.reference import Reference
from wherry.plan.from_dockerfile import Packing, Planned, Request
from wherry.plan.stage import Wishes
from wherry.plan.stage_steps import Execute, Finish, Furnish, Gather, PackTree
from wherry.plan.steps import Step
from wherry.platform import Platform
from wherry.remote import Policy
from wherry.report.progress import progress_for
from wherry.report.terminal import size
from wherry.settings.outputs import Output, encoding_of, parse_outputs
from wherry.settings.values import parse_epoch, parse_pair, parse_platforms
from wherry.source.git_address import without_credentials

_FRONTENDS = re.compile(
    r"(docker\.io/)?docker/dockerfile(-upstream)?(:1(\.\d+){0,2}|:latest|:labs|:1-labs|:1\.\d+-labs)?(@.*)?"
)
_NEVER = (
    "outputs", "metadata_file", "iidfile", "no_cache", "no_cache_filter", "explain", "load", "check", "debug_shell",
    "pull", "cache_to", "cache_from",
)  # fmt: skip
"""Options that ask for more than the store, a registry and a line: such a call is never answered from before."""
_NAME = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where a user wants the image; see `deliver.Wanted`."""

    load: bool
    push: bool
    outputs: tuple[Output, ...]
    metadata_file: Path | None
    iidfile: Path | None


@dataclass(frozen=True, slots=True)
class Told:
    """What was read of a call."""

    file: Dockerfile
    source: Source
    outputs: tuple[Output, ...]
    contexts: Mapping[str, str]
    images: Mapping[str, str]
    began: float
    """When, in seconds since the epoch."""


def build(world: World, paths: Sequence[str], options: Mapping[str, Any]) -> int:
    """Build a Dockerfile and print the image.

    Args:
        world: where.
        paths: the context.
        options: all that was said.
    """
    began = world.clock()
    with ExitStack() as stack:
        source = stack.enter_context(source_of(world, paths, options))
        try:
            if options["check"]:
                from wherry.cli.linting import check

                return check(world, source, options)
            return _build(world, source, options, stack, began)
        except DockerfileError as error:
            shown = error.shown(source.name, without_credentials(source.text))
            shown.exit_code = error.exit_code
            raise shown from error


def _build(world: World, source: Source, options: Mapping[str, Any], stack: ExitStack, began: float) -> int:
    from wherry.cli.machine import machine_of

    _check_frontend(source)
    outputs = parse_outputs(options["outputs"])
    file = parse(source.text)
    if CHECK in source.text or any(text.startswith(CHECK_ARGUMENT) for text in options["build_args"]):
        from wherry.cli.linting import refuse

        refuse(world, source, options)
    contexts, images, folders = named_contexts(world, options["build_contexts"], stack)
    told = Told(file, source, outputs, contexts, images, began)
    request = _request(world, options, told)
    names = _names(options["names"], source)
    asked = Asked(
        load=options["load"],
        push=options["push"],
        outputs=outputs,
        metadata_file=world.cwd / options["metadata_file"] if options["metadata_file"] else None,
        iidfile=world.cwd / options["iidfile"] if options["iidfile"] else None,
    )
    mode = "quiet" if options["quiet"] and options["progress"] == "auto" else options["progress"]
    progress = stack.enter_context(progress_for(mode, world.stderr, world.environment, world.clock))
    teller = Teller(progress, explain=options["explain"])
    gate = Gate.of(world, budgeted_dockerfile(world, source.settings, options, names[0]))
    if options["insecure"]:
        world.insecure |= {Reference.parse(name).registry for name in names}
    builder = DockerfileBuilder(
        store=world.store,
        cache=world.cache_folder,
        machine=machine_of(
            world,
            isolation=options["isolation"],
            secrets=secrets_of(world, options["secrets"]),
            agents=agents_of(world, options["agents"], stack),
            debug_shell=options["debug_shell"],
            notice=progress.warn,
        ),
        contexts={**folders, **({"": source.context} if source.context else {})},
        registries=lambda: world.registries,
        policy=Policy(offline=options["offline"], pull=options["pull"]),
        warned=progress.warn,
        clock=world.clock,
        threads=len(os.sched_getaffinity(0)),
        use_cache=not options["no_cache"],
        began=teller.began,
        finished=teller.finished,
        said=teller.said,
        begins=teller.begins,
        judge=partial(refuse_published, allowed=ALLOWED in options["allow"], warn=progress.warn),
        bring=lambda results: bring(world, options["cache_from"], results, progress),
        carry=carrier(world, options["cache_to"], progress),
        caches=packer(options["cache_to"]),
    )
    bring_mounts(world, options["cache_from"], builder.machine.crew, progress)
    try:
        report = builder.build(request, names, names[0])
    finally:
        teller.close()
    teller.end(report)
    checks = gate.judge([report.image], progress)
    if broken := [one for one in checks if not one.ok]:
        raise BudgetsBroken(broken, report.image.names)
    deliver(world, asked, [report.image], progress)
    if not any(output.stdout for output in outputs):
        world.say(_printed(report, options))
    if (
        world.call
        and not any(options[name] for name in _NEVER)
        and options["progress"] != "json"
        and not gate.counts_growth
    ):
        _remember(world, told, report, options)
    return 0


def _remember(world: World, told: Told, report: StageReport, options: Mapping[str, Any]) -> None:
    """Keep what this call gave, if the same words will mean the same as long as nothing changes."""
    from wherry.cli.recall import Given, remember

    kinds = {
        taking.origin.kind
        for step in report.planned.plan.steps
        if isinstance(step.action, Gather)
        for taking in step.action.takings
    }
    if kinds & {"http", "git"} or not told.source.local or any(one.memory is None for one in report.contexts.values()):
        return
    layouts = [Path(value.removeprefix(LAYOUT)) for value in told.images.values() if value.startswith(LAYOUT)]
    paths = [*told.source.read, *(folder / "index.json" for folder in layouts)]
    paths += [context.folder / ".dockerignore" for context in report.contexts.values()]
    if not options["dockerfile"]:  # then the folder has to say that this front door is meant
        paths += [told.source.read[0].parent, told.source.read[0].with_name("wherry.toml")]
    bases = {} if options["offline"] else report.asked
    quiet = options["quiet"] or options["progress"] == "quiet"
    images = report.image.images
    given = Given(
        began=told.began,
        paths=tuple(map(str, paths)),
        looked=tuple(context.looked for context in report.contexts.values()),
        blobs=tuple(blob for one in images for blob in (one.descriptor, one.manifest.config, *one.manifest.stack)),
        asked={**bases, **(dict.fromkeys(report.image.names, report.image.root) if options["push"] else {})},
        printed=_printed(report, options, unchanged=True) + "\n",
        noted="" if quiet else f"  nothing changed ({report.looked_at} files looked at)\n",
    )
    remember(world, given)


def _check_frontend(source: Source) -> None:
    frontend = directive_of("syntax", source.text)
    if frontend and not _FRONTENDS.fullmatch(frontend):
        raise InvalidUsage(
            f"{source.name}: # syntax={frontend} asks for another frontend than Docker's, and only that is understood",
            hint="take the line out, or build it with docker buildx",
        )


def _request(world: World, options: Mapping[str, Any], told: Told) -> Request:
    arguments = dict(arguments_of(world, options["build_args"]))
    epoch = parse_epoch(arguments.get("SOURCE_DATE_EPOCH") or world.environment.get("SOURCE_DATE_EPOCH", ""))
    if epoch is not None:
        arguments["SOURCE_DATE_EPOCH"] = str(epoch)
    here = Platform.of("linux", os.uname().machine)
    platforms = _as_asked(options["platforms"]) or (here,)
    algorithm, level = encoding_of(told.outputs, options["compression"], options["compression_level"])
    encoding = Encoding.default(algorithm or "gzip") if level is None else Encoding(algorithm or "gzip", level)
    if options["release"]:
        encoding = Encoding("zstd", 19)
    return Request(
        file=told.file,
        contexts=told.contexts,
        context_images=told.images,
        platforms=platforms,
        build_platform=here,
        implicit=not options["platforms"],
        target=options["target"],
        wishes=Wishes(
            arguments=arguments,
            network=options["network"],
            hosts=tuple(_host(text) for text in options["hosts"]),
            limits=tuple(_limit(text) for text in options["limits"]),
            shm=parse_size(options["shm_size"]) if options["shm_size"] else 0,
            insecure="security.insecure" in options["allow"],
            epoch=epoch,
        ),
        labels=dict(parse_pair(text, "--label") for text in options["labels"]),
        annotations=tuple(parse_pair(text, "--annotation") for text in options["annotations"]),
        packing=Packing(
            algorithm=encoding.algorithm,
            level=encoding.level,
            encoder=encoding.encoder,
            rewrite=any(output.rewrite_timestamp for output in told.outputs),
        ),
        no_cache=frozenset(name.strip() for text in options["no_cache_filter"] for name in text.split(",")),
        slot=told.source.slot,
    )


def _as_asked(texts: Sequence[str]) -> tuple[Platform, ...]:
    """Read platforms in the order they were given, which is that of the index."""
    words = [word.strip() for text in texts for word in text.split(",")]
    if "all" in words:
        return parse_platforms(texts)
    return tuple(dict.fromkeys(map(Platform.parse, words)))


def _host(text: str) -> tuple[str, str]:
    mark = "=" if "=" in text else ":"
    name, found, address = text.partition(mark)
    if not found or not name or not address:
        raise InvalidUsage(f"--add-host {text}: no name and address", hint="write it as NAME:IP")
    return name, address.strip("[]")


def _limit(text: str) -> tuple[str, int, int]:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    numbers = [int(value) if re.fullmatch(r"-?\d+", value) else None for value in (soft, hard or soft)]
    if None in numbers or not name:
        raise InvalidUsage(f"--ulimit {text}: no limit", hint="write it as nofile=1024 or nofile=1024:2048")
    return name, numbers[0] or 0, numbers[1] or 0


def _names(names: Sequence[str], source: Source) -> tuple[str, ...]:
    for name in names:
        Reference.parse(name)
    return tuple(names) or (_NAME.sub("-", source.title.lower()).strip("-._") or "image",)


def _printed(report: StageReport, options: Mapping[str, Any], *, unchanged: bool = False) -> str:
    image = report.image
    if not options["as_json"]:
        return str(image.root.digest) if options["quiet"] else f"{image.names[0]}@{image.root.digest}"
    document = {
        "version": 1,
        "unchanged": unchanged or report.unchanged,
        "images": [
            {
                "names": image.names,
                "digest": str(image.root.digest),
                "mediaType": image.root.media_type,
                "platforms": [
                    {
                        "platform": str(one.platform),
                        "digest": str(one.descriptor.digest),
                        "config": str(one.manifest.config.digest),
                        "pulled": sum(layer.size for layer in one.manifest.stack),
                    }
                    for one in image.images
                ],
            }
        ],
        "steps": [
            {
                "name": name,
                "cached": unchanged or outcome.cached,
                "seconds": 0.0 if unchanged else round(outcome.seconds, 3),
                "reasons": () if unchanged else outcome.reasons,
            }
            for name, outcome in report.outcomes.items()
        ],
    }
    return msgspec.json.encode(document).decode()


def _label(step: str) -> str:
    return step.partition("]")[0].lstrip("[")


class Teller:
    """Says on stderr what a build does."""

    def __init__(self, progress: Progress, *, explain: bool) -> None:
        self._progress = progress
        self._explain = explain
        self._running: dict[str, Any] = {}
        self._planned: Planned | None = None

    def begins(self, planned: Planned) -> None:
        """Take what will be done."""
        self._planned = planned

    def began(self, step: Step) -> None:
        """Tell that a step is being done."""
        if isinstance(step.action, Gather | Furnish | Execute):
            label = _label(step.name) if isinstance(step.action, Execute) else ""
            running = self._progress.step(step.name, label=label)
            self._running[step.name] = running.__enter__()

    def said(self, step: str, line: str) -> None:
        """Pass on what a step prints."""
        running = self._running.get(step)
        if running is not None:
            running.printed(line)
        else:
            self._progress.line(f"{_label(step)} | {line}")

    def finished(self, outcome: Outcome) -> None:
        """Tell what came of a step."""
        name = outcome.step.name
        running = self._running.pop(name, None)
        if running is not None:
            running.__exit__(None, None, None)
        elif outcome.cached and isinstance(outcome.step.action, Gather | Furnish | Execute):
            self._progress.line(f"{name}  cached")
        if self._explain and not isinstance(outcome.step.action, Finish | PackTree) and not outcome.cached:
            self._progress.line(f"  {name.partition(']')[2].strip() or name} missed: {'; '.join(outcome.reasons)}")

    def close(self) -> None:
        """Tell of what did not end well."""
        for running in self._running.values():
            running.__exit__(Exception, None, None)
        self._running.clear()

    def end(self, report: StageReport) -> None:
        """Tell what came out."""
        if report.unchanged:
            self._progress.line(f"nothing changed ({report.looked_at} files looked at)")
            return
        for one in report.image.images:
            pulled = sum(layer.size for layer in one.manifest.stack)
            self._progress.line(f"{one.platform}  {len(one.manifest.stack)} layers  {size(pulled)} pulled")
        self._progress.line(f"stored in {report.seconds:.1f} s")
