"""What one COPY, ADD or RUN names: its sources, its mounts, its mode and its script.

Source: Dockerfile reference; BuildKit 0.34.
"""

import posixpath

from wherry.dockerfile import instructions as of
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.modes import changed_mode
from wherry.dockerfile.mounts import RunMount
from wherry.dockerfile.syntax import parse_heredoc
from wherry.plan.image_config import clean
from wherry.plan.ops import CopyFrom, CopySource, StepMount
from wherry.plan.stage_state import StageOrContext


def cache_name(mount: RunMount) -> str:
    """Name a cache: what begins with another owner or mode is another."""
    begins = [part for part in (mount.uid, mount.gid, mount.mode) if part is not None]
    name = mount.id or posixpath.normpath(mount.target)
    return f"{name} uid={mount.uid} gid={mount.gid} mode={mount.mode}" if begins else name


def secret_mount(mount: RunMount) -> StepMount:
    """Give the mount of a secret; without a target it is below /run/secrets."""
    name = mount.source or mount.id or posixpath.basename(mount.target)
    target = mount.target
    if mount.env is None and not target:
        target = f"/run/secrets/{posixpath.basename(name)}"
    return StepMount(
        "secret", target, name, required=mount.required, variable=mount.env, mode=mount.mode, uid=mount.uid,
        gid=mount.gid,
    )  # fmt: skip


def script_of(command: of.CommandLine) -> tuple[tuple[str, ...], StepMount | None]:
    """Give a RUN's words, its heredocs among them, and the file that one with a shebang is."""
    if not command.heredocs or not command.shell:
        return command.words, None
    line = command.words[0] if command.words else ""
    first = command.heredocs[0]
    if parse_heredoc(line) is None:
        return (line + "".join(f"\n{doc.content}{doc.name}" for doc in command.heredocs),), None
    if not first.text.startswith("#!"):
        return (first.text,), None
    place = f"/dev/pipes/{first.name}"
    return (place,), StepMount("content", place, content=first.text, mode=0o755)


def plain_source(source: str, place: StageOrContext) -> CopySource:
    """Give a source of COPY or ADD, relative to the root of where it is from."""
    path = clean(source)
    return CopySource(origin_of(place), path, contents=True, follow=True, wildcards=True)


def parents_source(source: str, place: StageOrContext) -> CopySource:
    """Give a source of COPY --parents: what is below its pivot keeps its path."""
    above, pivot, pattern = source.partition("/./")
    if not pivot:
        above, pattern = "/", source
    pattern = clean(pattern)
    plain = not any(letter in above + pattern for letter in "*?[")
    return CopySource(
        origin_of(place),
        clean(above),
        contents=True,
        follow=True,
        wildcards=True,
        only=(pattern.lstrip("/"),),
        required=(clean(posixpath.join(above, pattern.lstrip("/"))),) if plain else (),
    )


def origin_of(place: StageOrContext) -> CopyFrom:
    """Name where a source is from."""
    if place.context is not None:
        return CopyFrom("context", place.context)
    return CopyFrom("stack", str(len(place.stack)))


def is_url(source: str) -> bool:
    """Report whether ADD fetches a source by HTTP."""
    return source.startswith(("http://", "https://")) and not is_git(source)


def is_git(source: str) -> bool:
    """Report whether ADD clones a source."""
    address = source.partition("#")[0].partition("?")[0]
    if source.startswith(("git@", "git://", "ssh://")):
        return True
    return source.startswith(("http://", "https://")) and address.endswith(".git")


def check_mode(mode: str) -> None:
    """Refuse a mode of --chmod that chmod would refuse.

    Raises:
        DockerfileError: it is invalid.
    """
    if not mode:
        return
    problem = f"invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
    if mode[0].isdigit():
        if not all(letter in "01234567" for letter in mode) or int(mode, 8) > 0o7777:  # noqa: PLR2004 - all bits of a mode
            raise DockerfileError(problem)
        return
    try:
        changed_mode(0, mode, folder=False)
    except ValueError:
        raise DockerfileError(problem) from None
