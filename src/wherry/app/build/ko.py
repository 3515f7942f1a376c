"""What a ko user brings along: KO_DOCKER_REPO and its kin, `.ko.yaml`, `kodata/`, and ko's names of images.

Source: ko v0.18, docs/configuration.md, docs/features/static-assets.md and pkg/commands/options/publish.go (names).
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.app.build.options import GoOptions
from wherry.app.session import Session
from wherry.errors import InvalidSettings, InvalidUsage
from wherry.plan.graph import AddedFile
from wherry.settings.ko_yaml import FILE, KoConfig
from wherry.settings.options import BuildOptions
from wherry.settings.values import check_go_variable, parse_pair, parse_platforms
from wherry.source.module import MainPackage

LOCAL = "ko.local"
"""The repository that is no registry: the Docker that is here."""
DATA = "/var/run/ko"
"""Where `kodata/` lies in the image; KO_DATA_PATH says so to the program."""
_LATEST = "latest"


@dataclass(frozen=True, slots=True)
class KoNaming:
    """What images are called in a registry."""

    repo: str
    style: str
    """`preserve`, `base`, `bare`; empty: the program's name and a hash of its import path."""
    tags: tuple[str, ...] = (_LATEST,)

    @property
    def local(self) -> bool:
        """Whether images go to a daemon and not to a registry."""
        return self.repo == LOCAL

    def repository(self, import_path: str) -> str:
        """Name the repository of a package."""
        path = import_path.lower()
        last = path.rpartition("/")[2]
        match self.style:
            case "preserve":
                return f"{self.repo}/{path}"
            case "base":
                return f"{self.repo}/{last}"
            case "bare":
                return self.repo
        # The hash keeps apart what has one last word; it guards nothing.
        return f"{self.repo}/{last}-{hashlib.md5(import_path.encode(), usedforsecurity=False).hexdigest()}"

    def names(self, import_path: str) -> tuple[str, ...]:
        """Name the images of a package, one a tag."""
        return tuple(f"{self.repository(import_path)}:{tag}" for tag in self.tags)


def naming_of(session: Session, wanted: GoOptions) -> KoNaming | None:
    """Read how images are named if no -t is given.

    `--repo` and `--local` say so; KO_DOCKER_REPO does where the call names no image and no other place for it. A tag
    without a name (`-t v1`) is a tag there, as it is for ko.

    Raises:
        InvalidUsage: words for names, and no repository for them.
    """
    named = wanted.tags or ()
    bare = all(":" not in name and "/" not in name for name in named)
    repo = LOCAL if wanted.local else wanted.repo
    if repo and not bare:
        raise InvalidUsage(
            f"-t {named[0]}: --repo sets the image name", hint="give only a tag, such as -t v1, or remove --repo"
        )
    elsewhere = wanted.outputs or wanted.load or not bare
    repo = repo or ("" if elsewhere else session.environment.get("KO_DOCKER_REPO", ""))
    if wanted.style and not repo:
        raise InvalidUsage("-P, -B and --bare need a repository", hint="give --repo, or set KO_DOCKER_REPO")
    return KoNaming(repo.rstrip("/"), wanted.style, tuple(named) or (_LATEST,)) if repo else None


def options_for(session: Session, package: MainPackage) -> BuildOptions:
    """Read what `.ko.yaml` and ko's variables say of a package; nothing where there are none.

    Raises:
        InvalidSettings: the file says what it may not, or what we can't do; line and key are named.
    """
    found = _file(session, package)
    base = session.environment.get("KO_DEFAULTBASEIMAGE", "")
    platforms = session.environment.get("KO_DEFAULTPLATFORMS", "")
    if found is None:
        return BuildOptions(base=base or None, platforms=parse_platforms((platforms,)) if platforms else None)
    file, config = found
    build = config.build_of(os.path.relpath(package.folder, os.path.realpath(file.parent)))
    flags = dict(_flags(build.flags, file))
    ldflags = " ".join(build.ldflags) or flags.pop("ldflags", None)
    spoken = [platforms] if platforms else list(config.platforms)
    return BuildOptions(
        base=config.bases.get(package.import_path) or base or config.base or None,
        platforms=parse_platforms(spoken) if spoken else None,
        go_env=tuple(_variables(build.env, file)) or None,
        ldflags=ldflags,
        **flags,
    )


def data_of(package: MainPackage) -> Iterator[AddedFile]:
    """List the files of `kodata/` next to a package, following links as ko does."""
    top = package.folder / "kodata"
    if package.release or not top.is_dir():
        return
    seen: set[str] = set()
    for folder, folders, files in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in sorted(files):
            path = Path(folder) / name
            yield AddedFile(source=str(path), path=f"{DATA}/{path.relative_to(top)}", mode=None)


def _file(session: Session, package: MainPackage) -> tuple[Path, KoConfig] | None:
    named = session.environment.get("KO_CONFIG_PATH")
    places = [session.cwd / named] if named else [session.cwd, package.module]
    for place in places:
        file = place if named and place.is_file() else place / FILE
        if file.is_file():
            shown = os.path.relpath(file, session.cwd)
            return file, KoConfig.parse(file.read_text(errors="replace"), shown)
    return None


def _variables(env: tuple[str, ...], file: Path) -> Iterator[tuple[str, str]]:
    for text in env:
        name, value = parse_pair(text, FILE)
        if not name.startswith(("GO", "CGO_", "CC", "CXX")):
            raise InvalidSettings(
                f"{file.name}: env: {name}: only Go variables (GO*, CGO_*) are allowed",
                hint=f"export {name} in the shell before running wherry",
            )
        yield check_go_variable(name), value


def _flags(flags: tuple[str, ...], file: Path) -> Iterator[tuple[str, Any]]:
    """Read `go build`'s flags as options of ours; one that is none is refused, never passed over."""
    words = iter(flags)
    for word in words:
        flag, equals, value = word.lstrip("-").partition("=")
        if flag in {"v", "x"}:
            continue
        if flag == "trimpath":
            yield "trimpath", value != "false"
        elif flag in {"tags", "ldflags", "gcflags", "asmflags"}:
            value = value if equals else next(words, "")
            yield ("go_tags", tuple(value.replace(",", " ").split())) if flag == "tags" else (flag, value)
        else:
            raise InvalidSettings(
                f"{file.name}: flags: {word} is not supported",
                hint="set it in GOFLAGS under `env`, if Go accepts it there",
            )
