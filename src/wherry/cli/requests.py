"""What `wherry build` was asked for: the command line over wherry.toml, as requests to the pipeline."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from wherry.app.budget_gate import Budgeted, counted_from
from wherry.cli.chosen import Chosen, chosen_of, door_of
from wherry.cli.ko import DATA, Naming, naming_of
from wherry.cli.one_image import request_of
from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.oci.reference import Reference, names_registry
from wherry.pipeline import Request
from wherry.platform import Platform
from wherry.remote import Policy
from wherry.settings.budgets import Budgets
from wherry.settings.options import BuildOptions
from wherry.settings.outputs import Output, OutputType, encoding_of, parse_outputs
from wherry.settings.values import (
    Added,
    check_go_variable,
    check_user,
    check_workdir,
    parse_pair,
    parse_platforms,
    parse_ports,
)

TOML = "wherry.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A whole call of `wherry build`."""

    requests: tuple[Request, ...]
    door: str
    """Which front door was taken, and why."""
    outputs: tuple[Output, ...]
    metadata_file: Path | None
    iidfile: Path | None
    quiet: bool
    as_json: bool
    progress: str
    use_cache: bool
    explain: bool
    push: bool
    """Whether all names are pushed."""
    load: bool
    """Whether a daemon gets the image."""
    policy: Policy
    """How fresh bases have to be."""
    releases: tuple[bool, ...] = ()
    """Of each request, whether its encoding was chosen by `--release`."""
    budgeted: tuple[Budgeted, ...] = ()
    """What the image of each request may weigh."""
    size_record: bool = False
    """Whether the owners of variables are kept, for `size`."""


def requests_of(world: World, paths: Sequence[str], options: Mapping[str, Any]) -> Asked:
    """Read a command line.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
    """
    naming = naming_of(world, options)
    above = _spoken({**options, "names": ()} if naming else options)
    outputs = parse_outputs(options["outputs"])
    compression, level = encoding_of(outputs, above.compression, above.compression_level)
    above = replace(above, compression=compression, compression_level=level)
    if above.release and (compression is not None or level is not None):
        raise InvalidUsage("--release chooses the encoding, and --compression names one", hint="take one of them out")
    chosen = tuple(chosen_of(world, paths, offline=options["offline"]))
    if len(chosen) > 1 and (above.tags or above.debug_info or options["iidfile"]):
        raise InvalidUsage(
            f"{len(chosen)} images are built; -t, --debug-info and --iidfile are for one",
            hint="build them one by one, or write the names into wherry.toml",
        )
    platforms = _here() if above.platforms is None else above.platforms
    make = partial(request_of, world, above, platforms, stamp=not options["no_vcs"], outputs=outputs)
    requests = tuple(make(one) for one in chosen)
    if options["allow_secret_ldflags"]:
        requests = tuple(replace(one, flags=replace(one.flags, secrets_allowed=True)) for one in requests)
    if naming:
        requests, options = _named(requests, chosen, naming, options)
    _refuse_early(requests, outputs)
    _check_names(world, requests, outputs, options)
    return Asked(
        requests=requests,
        door=door_of(world, chosen[0], asked=options["go_door"]) + _ko_words(requests, naming, options),
        outputs=outputs,
        metadata_file=_path(world, options["metadata_file"]),
        iidfile=_path(world, options["iidfile"]),
        quiet=options["quiet"],
        as_json=options["as_json"],
        progress="quiet" if options["quiet"] and options["progress"] == "auto" else options["progress"],
        use_cache=not options["no_cache"],
        explain=options["explain"],
        push=options["push"],
        load=options["load"],
        policy=_policy(world, chosen[0].package.folder, options, outputs),
        releases=tuple(bool(one.options.under(above).release) for one in chosen),
        budgeted=counted_from(
            (_budgeted(*pair, options) for pair in zip(chosen, requests, strict=True)), options["against"], world.cwd
        ),
        size_record=options["size_record"],
    )


def _budgeted(chosen: Chosen, request: Request, options: Mapping[str, Any]) -> Budgeted:
    budgets = chosen.budgets if options["budgets"] else Budgets()
    return Budgeted(chosen.service or request.names[0], budgets, chosen.folder)


def _named(
    requests: tuple[Request, ...], chosen: tuple[Chosen, ...], naming: Naming, options: Mapping[str, Any]
) -> tuple[tuple[Request, ...], Mapping[str, Any]]:
    """Give images the names that a repository makes; without --repo, those that wherry.toml names keep theirs."""
    said = options["repo"] or options["local"]
    named = tuple(
        request if one.options.tags and not said else replace(request, names=naming.names(request.package.import_path))
        for request, one in zip(requests, chosen, strict=True)
    )
    if named == requests:
        return requests, options
    return named, {**options, "load" if naming.local else "push": True}


def _ko_words(requests: tuple[Request, ...], naming: Naming | None, options: Mapping[str, Any]) -> str:
    """Say what was done for ko's sake, where nobody asked for it in words."""
    words = ""
    if naming and not (options["repo"] or options["local"]):
        words += f"; KO_DOCKER_REPO is set: {'loaded' if naming.local else 'pushed'} as ko would, -t NAME keeps it here"
    if any(file.path.startswith(f"{DATA}/") for request in requests for file in request.added):
        words += f"; kodata/ goes to {DATA}"
    return words


def _policy(world: World, folder: Path, options: Mapping[str, Any], outputs: Sequence[Output]) -> Policy:
    from wherry.app.lockfile import lock_file, read_lock

    if options["pull"] and options["offline"]:
        raise InvalidUsage("--pull asks registries, --offline does not", hint="take one of them out")
    pushed = options["push"] or any(output.push for output in outputs)
    return Policy(
        offline=options["offline"],
        pull=options["pull"],
        locked={**read_lock(lock_file(world.cwd)), **read_lock(lock_file(folder))},
        lazy=pushed and not options["load"] and all(output.push for output in outputs),
    )


def _check_names(
    world: World, requests: Sequence[Request], outputs: Sequence[Output], options: Mapping[str, Any]
) -> None:
    """Refuse names that can't be pushed to before anything is built; let those of `--insecure` be insecure."""
    from wherry.app.places import pushable

    names = [name for request in requests for name in request.names] if options["push"] else []
    for output in outputs:
        if output.push:
            names += output.names or [name for request in requests for name in request.names]
        if output.insecure:
            world.insecure |= {Reference.parse(name).registry for name in output.names}
    for name in names:
        reference = pushable(name)
        if options["insecure"]:
            world.insecure.add(reference.registry)
    if options["insecure"]:
        remote = [request.base for request in requests if names_registry(request.base)]
        world.insecure |= {Reference.parse(base.removeprefix("docker://")).registry for base in remote}


def _refuse_early(requests: Sequence[Request], outputs: Sequence[Output]) -> None:
    for request in requests:
        if len(request.platforms) > 1 and any(output.type is OutputType.DOCKER and output.dest for output in outputs):
            raise InvalidUsage(
                f"an archive for Docker holds one platform, and {', '.join(map(str, request.platforms))} are asked for",
                hint="use type=oci, or build one platform with --platform",
            )


def _spoken(options: Mapping[str, Any]) -> BuildOptions:
    def pairs(name: str, what: str) -> tuple[tuple[str, str], ...] | None:
        return tuple(parse_pair(text, what) for text in options[name]) or None

    go_env = pairs("go_env", "--go-env")
    for name, _ in go_env or ():
        check_go_variable(name)
    return BuildOptions(
        platforms=parse_platforms(options["platforms"]) or None,
        base=options["base"],
        tags=options["names"] or None,
        labels=pairs("labels", "--label"),
        annotations=pairs("annotations", "--annotation"),
        env=pairs("env", "--env"),
        user=check_user(options["user"]) if options["user"] else None,
        workdir=check_workdir(options["workdir"]) if options["workdir"] else None,
        expose=tuple(port for text in options["expose"] for port in parse_ports(text)) or None,
        entrypoint=_words("--entrypoint", options["entrypoint"]),
        cmd=_words("--cmd", options["cmd"]),
        add=tuple(Added.parse(text) for text in options["add"]) or None,
        ldflags=options["ldflags"],
        gcflags=options["gcflags"],
        asmflags=options["asmflags"],
        go_tags=tuple(tag for text in options["go_tags"] for tag in text.replace(",", " ").split()) or None,
        go_env=go_env,
        go_version=options["go_version"],
        trimpath=options["trimpath"],
        strip=options["strip"],
        strip_buildid=options["strip_buildid"],
        debug_info=options["debug_info"],
        compression=options["compression"],
        compression_level=options["compression_level"],
        release=options["release"],
    )


def _words(what: str, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        words = json.loads(text) if text.lstrip().startswith("[") else shlex.split(text)
    except ValueError as error:
        raise InvalidUsage(
            f"{what} {text!r}: {error}", hint='write words, or a JSON list such as ["/app/api", "-v"]'
        ) from error
    if not all(isinstance(word, str) for word in words):
        raise InvalidUsage(f"{what} {text!r}: a word is no text", hint='write a JSON list such as ["/app/api", "-v"]')
    return tuple(words)


def _path(world: World, text: str | None) -> Path | None:
    return world.cwd / text if text else None


def _here() -> tuple[Platform, ...]:
    return (Platform.of("linux", os.uname().machine),)
