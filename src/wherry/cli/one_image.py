"""One image of a command line, as the pipeline is asked for it."""

from collections.abc import Sequence
from pathlib import Path

from wherry.app.build.published_values import public_variables
from wherry.app.published import default_name
from wherry.build.compile import GoFlags
from wherry.cli.chosen import Chosen
from wherry.cli.ko import DATA, data_of
from wherry.cli.release import encoding_for
from wherry.cli.world import World
from wherry.oci.config import RuntimeConfig
from wherry.oci.reference import Reference
from wherry.pipeline import Request
from wherry.plan.steps import AddedFile
from wherry.platform import Platform
from wherry.settings.options import BuildOptions
from wherry.settings.outputs import Output
from wherry.settings.values import (
    Added,
)

TOML = "wherry.toml"


def request_of(
    world: World,
    above: BuildOptions,
    platforms: tuple[Platform, ...],
    chosen: Chosen,
    *,
    stamp: bool,
    outputs: Sequence[Output],
) -> Request:
    """Put the command line over what files say of one image."""
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
        public=tuple(sorted(public_variables(options.ldflags or "", "--ldflags"))),
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


def _debug_info(world: World, above: BuildOptions, chosen: Chosen) -> Path | None:
    if above.debug_info:
        return world.cwd / above.debug_info
    return chosen.folder / chosen.options.debug_info if chosen.options.debug_info else None
