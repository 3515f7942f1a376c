"""One image of a command line, as the pipeline is asked for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wherry.app.build.base_choice import BaseChooser
from wherry.app.build.config import config_of
from wherry.app.build.encoding import encoding_for
from wherry.app.build.go_work import GoRequest
from wherry.app.build.ko import DATA, data_of
from wherry.app.build.profile import check_linkage, with_profile
from wherry.app.build.programs import ChosenProgram
from wherry.app.build.published_values import public_variables
from wherry.app.published import default_name
from wherry.app.session import Session
from wherry.build.compile import GoFlags
from wherry.errors import InvalidUsage
from wherry.host.toolchain import kept_settings
from wherry.oci.reference import Reference
from wherry.plan.graph import AddedFile
from wherry.platform import LEVELS, Platform, buildable
from wherry.settings.options import BuildOptions
from wherry.settings.outputs import Output
from wherry.settings.values import Added


def request_of(  # noqa: PLR0913 - each is named
    bases: BaseChooser,
    above: BuildOptions,
    platforms: tuple[Platform, ...],
    chosen: ChosenProgram,
    *,
    stamp: bool,
    outputs: Sequence[Output],
    settled: bool = False,
) -> GoRequest:
    """Put the command line over what files say of one image, and a profile under both, unless all is settled."""
    session = bases.session
    below = chosen.options
    options = below.under(above)
    if not settled:
        options = with_profile(session, options, chosen)
    if above.platforms is None and below.platforms:
        platforms = below.platforms
    check_linkage(options, platforms)
    for platform in platforms:
        _check_platform(platform, {**kept_settings(session.environment, LEVELS), **session.environment})
    algorithm, level = encoding_for(options, outputs)
    data = tuple(data_of(chosen.package))
    base = bases.of(options, above, chosen.folder, chosen.declared)
    return GoRequest(
        package=chosen.package,
        names=tuple(str(Reference.parse(name)) for name in options.tags or (default_name(chosen.package),)),
        platforms=platforms,
        base=base.name,
        base_said=base.said,
        settings=base.settings,
        flags=_flags(options, above, chosen.file),
        go_version=options.go_version or "",
        go_environment=dict(options.go_env or ()),
        stamp=stamp,
        config=config_of(options, {"KO_DATA_PATH": DATA} if data else {}),
        added=(
            *(_added(file, chosen.folder) for file in base.files),
            *(_added(file, chosen.folder) for file in below.add or () if above.add is None),
            *(_added(file, session.cwd) for file in above.add or ()),
            *data,
        ),
        annotations=dict(options.annotations or ()),
        algorithm=algorithm,
        level=level,
        release=bool(options.release),
        profile=options.profile or (),
        cgo=options.cgo or "",
        no_inline=options.no_inline or (),
        debug_info=_debug_info(session, above, chosen),
    )


def _check_platform(platform: Platform, environment: Mapping[str, str]) -> None:
    """Refuse what no image is made for, before anything is compiled.

    Raises:
        InvalidUsage: the platform is another system's, or GOAMD64 and its kin say otherwise than its variant.
    """
    platform.go_levels(environment)
    if buildable(platform):
        return
    named = f"GOOS={platform.os} GOARCH={platform.architecture}"
    if platform.os == "windows":
        raise InvalidUsage(
            f"{platform}: wherry makes Linux images only; a Windows container needs a Windows base of its host's build",
            hint=f"for the program alone, run {named} go build; for an image, ko or docker build on nanoserver",
        )
    raise InvalidUsage(
        f"{platform}: wherry makes Linux images only", hint=f"for the program alone, run {named} go build"
    )


def _flags(options: BuildOptions, above: BuildOptions, file: str) -> GoFlags:
    fields = {"ldflags": "ldflags", "gcflags": "gcflags", "asmflags": "asmflags", "tags": "go_tags"}
    places = {
        name: f"{file}: {field.replace('_', '-')}"
        for name, field in fields.items()
        if file and getattr(above, field) is None
    }
    return GoFlags(
        places=tuple(places.items()),
        public=tuple(sorted(public_variables(options.ldflags or "", places.get("ldflags", "--ldflags")))),
        ldflags=options.ldflags or "",
        gcflags=options.gcflags or "",
        asmflags=options.asmflags or "",
        tags=options.go_tags or (),
        mod=options.mod or "",
        strip=options.strip is not False,
        strip_buildid=options.strip_buildid is True,
        trimpath=options.trimpath is not False,
        pie=options.pie is True,
    )


def _added(file: Added, folder: Path) -> AddedFile:
    source = str(folder / file.file)
    return AddedFile(source=source, path=file.path, mode=file.mode, uid=file.uid, gid=file.gid)


def _debug_info(session: Session, above: BuildOptions, chosen: ChosenProgram) -> Path | None:
    if above.debug_info:
        return session.cwd / above.debug_info
    return chosen.folder / chosen.options.debug_info if chosen.options.debug_info else None
