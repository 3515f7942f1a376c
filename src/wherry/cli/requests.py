"""What `wherry build` was asked for: the command line over wherry.toml, as requests to the pipeline."""

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from wherry.build.compile import GoFlags
from wherry.cli.ko import DATA, Naming, data_of, naming_of, options_for
from wherry.cli.published import default_name, find_published, names_published
from wherry.cli.release import encoding_for
from wherry.cli.world import World
from wherry.errors import InvalidUsage, NotFound
from wherry.oci.config import RuntimeConfig
from wherry.oci.reference import Reference, names_registry
from wherry.pipeline import Request
from wherry.plan.steps import AddedFile
from wherry.platform import Platform
from wherry.remote import Policy
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
from wherry.source.module import MainPackage, NoMainPackage, find_main

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


@dataclass(frozen=True, slots=True)
class _Chosen:
    package: MainPackage
    options: BuildOptions
    folder: Path
    """Where paths in wherry.toml start."""


def requests_of(world: World, paths: Sequence[str], options: Mapping[str, Any]) -> Asked:
    """Read a command line.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
    """
    if options["dockerfile"]:
        raise InvalidUsage(
            f"-f {options['dockerfile']}: building Dockerfiles is not in this version",
            hint="give the folder of a Go main package, such as ./cmd/api",
        )
    naming = naming_of(world, options)
    above = _spoken({**options, "names": ()} if naming else options)
    outputs = parse_outputs(options["outputs"])
    compression, level = encoding_of(outputs, above.compression, above.compression_level)
    above = replace(above, compression=compression, compression_level=level)
    if above.release and (compression is not None or level is not None):
        raise InvalidUsage("--release chooses the encoding, and --compression names one", hint="take one of them out")
    chosen = tuple(_chosen(world, paths, offline=options["offline"]))
    if len(chosen) > 1 and (above.tags or above.debug_info or options["iidfile"]):
        raise InvalidUsage(
            f"{len(chosen)} images are built; -t, --debug-info and --iidfile are for one",
            hint="build them one by one, or write the names into wherry.toml",
        )
    platforms = _here() if above.platforms is None else above.platforms
    make = partial(_request, world, above, platforms, stamp=not options["no_vcs"], outputs=outputs)
    requests = tuple(make(one) for one in chosen)
    if naming:
        requests, options = _named(requests, chosen, naming, options)
    _refuse_early(requests, outputs)
    _check_names(world, requests, outputs, options)
    return Asked(
        requests=requests,
        door=_door(world, chosen[0], asked=options["go_door"]) + _ko_words(requests, naming, options),
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
    )


def _named(
    requests: tuple[Request, ...], chosen: tuple[_Chosen, ...], naming: Naming, options: Mapping[str, Any]
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
    from wherry.cli.locking import lock_file, read_lock

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
    from wherry.cli.places import pushable

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


def _chosen(world: World, paths: Sequence[str], *, offline: bool) -> Iterator[_Chosen]:
    folder = _toml_folder(world.cwd, paths)
    if folder is None:
        for path in paths or (".",):
            package = _main(world, world.cwd, path, offline=offline)
            yield _Chosen(package, options_for(world, package), world.cwd)
        return
    from wherry.settings.wherry_toml import Settings

    file = folder / TOML
    settings = Settings.parse(file.read_text(errors="replace"), os.path.relpath(file, world.cwd))
    for path in paths or tuple(settings.services) or (".",):
        if path in settings.services and not (world.cwd / path / "go.mod").exists():
            options = settings.resolve(path)
            yield _Chosen(_main(world, folder, options.package or ".", offline=offline), options, folder)
            continue
        package = _main(world, world.cwd, path, offline=offline)
        names = settings.services_of(os.path.relpath(package.folder, os.path.realpath(folder)))
        yield from (_Chosen(package, settings.resolve(name), folder) for name in names)
        if not names:
            yield _Chosen(package, settings.build, folder)


def _toml_folder(cwd: Path, paths: Sequence[str]) -> Path | None:
    start = Path(os.path.realpath(cwd / (paths[0] if paths else ".")))
    if paths and not start.is_dir():
        start = Path(os.path.realpath(cwd))
    for folder in (start, *start.parents):
        if (folder / TOML).is_file():
            return folder
        if (folder / "go.mod").is_file():
            return None
    return None


def _main(world: World, start: Path, path: str, *, offline: bool) -> MainPackage:
    if "://" in path:
        raise InvalidUsage(
            f"{path}: an address is not what is built", hint="give a folder such as ./cmd/api, or PACKAGE@VERSION"
        )
    if names_published(start, path):
        return find_published(world, path, offline=offline)
    try:
        return find_main(start / path)
    except NoMainPackage as error:
        beside = "; the Dockerfile there can't be built by this version" * (start / path / "Dockerfile").is_file()
        raise NoMainPackage(error.message.replace(str(start / path), path) + beside, hint=error.hint) from error
    except NotFound as error:
        raise NotFound(error.message.replace(str(start / path), path), hint=error.hint) from error


def _door(world: World, first: _Chosen, *, asked: bool) -> str:
    if release := first.package.release:
        return f"{release.version}{f' ({release.query})' * (release.query != release.version)}, as published"
    if asked:
        return "Go module, as --go says"
    if first.options.front_door == "dockerfile":
        raise InvalidUsage(
            'wherry.toml says front-door = "dockerfile", which this version cannot build',
            hint='take the line out, or write front-door = "go"',
        )
    if first.options.front_door:
        return "Go module, as wherry.toml says"
    if any((folder / "Dockerfile").is_file() for folder in (first.package.folder, world.cwd)):
        return "Go module: there is a main package (the Dockerfile beside it is not read)"
    return "Go module: there is a main package"


def _request(
    world: World,
    above: BuildOptions,
    platforms: tuple[Platform, ...],
    chosen: _Chosen,
    *,
    stamp: bool,
    outputs: Sequence[Output],
) -> Request:
    below = chosen.options
    options = below.under(above)
    if above.platforms is None and below.platforms:
        platforms = below.platforms
    algorithm, level = encoding_for(options, outputs)
    data = tuple(data_of(chosen.package))
    return Request(
        package=chosen.package,
        names=tuple(str(Reference.parse(name)) for name in options.tags or (default_name(chosen.package),)),
        platforms=platforms,
        base=_base(options.base or "static", world.cwd if above.base else chosen.folder),
        flags=_flags(options),
        go_version=options.go_version or "",
        go_environment=dict(options.go_env or ()),
        stamp=stamp,
        config=_config(options, data=bool(data)),
        added=(
            *(_added(file, chosen.folder) for file in below.add or () if above.add is None),
            *(_added(file, world.cwd) for file in above.add or ()),
            *data,
        ),
        annotations=dict(options.annotations or ()),
        algorithm=algorithm,
        level=level,
        debug_info=_debug_info(world, above, chosen),
    )


def _flags(options: BuildOptions) -> GoFlags:
    return GoFlags(
        ldflags=options.ldflags or "",
        gcflags=options.gcflags or "",
        asmflags=options.asmflags or "",
        tags=options.go_tags or (),
        strip=options.strip is not False,
        strip_buildid=options.strip_buildid is True,
        trimpath=options.trimpath is not False,
    )


def _config(options: BuildOptions, *, data: bool) -> RuntimeConfig:
    env = {**({"KO_DATA_PATH": DATA} if data else {}), **dict(options.env or ())}
    return RuntimeConfig(
        user=options.user or "",
        exposed_ports={port: {} for port in options.expose} if options.expose else None,
        env=tuple(f"{name}={value}" for name, value in env.items()) or None,
        entrypoint=options.entrypoint,
        cmd=options.cmd,
        working_dir=options.workdir or "",
        labels=dict(options.labels) if options.labels else None,
    )


def _base(name: str, folder: Path) -> str:
    from wherry.bases import Bases

    if name in Bases.EMBEDDED:
        return name
    path = folder / name
    return str(path) if path.exists() or (folder / name.partition(":")[0]).exists() else name


def _added(file: Added, folder: Path) -> AddedFile:
    source = str(folder / file.file)
    return AddedFile(source=source, path=file.path, mode=file.mode, uid=file.uid, gid=file.gid)


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


def _debug_info(world: World, above: BuildOptions, chosen: _Chosen) -> Path | None:
    if above.debug_info:
        return world.cwd / above.debug_info
    return chosen.folder / chosen.options.debug_info if chosen.options.debug_info else None


def _path(world: World, text: str | None) -> Path | None:
    return world.cwd / text if text else None


def _here() -> tuple[Platform, ...]:
    return (Platform.of("linux", os.uname().machine),)
