"""What a ko user brings along: KO_DOCKER_REPO and similar variables, `.ko.yaml`, `kodata/`, and ko's names of images.

Source: ko v0.18, docs/configuration.md, docs/features/static-assets.md and pkg/commands/options/publish.go (names).
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wherry.app.build.options import GoOptions
from wherry.app.session import Session
from wherry.errors import InvalidSettings, InvalidUsage, NotFound
from wherry.plan.graph import AddedFile
from wherry.settings.ko_yaml import FILE, KoBuild, KoConfig
from wherry.settings.options import BuildOptions
from wherry.settings.template import names, words_of
from wherry.settings.values import check_go_variable, parse_pair, parse_platforms
from wherry.source.module import MainPackage, package_names

LOCAL = "ko.local"
"""The repository name of the local Docker daemon."""
DATA = "/var/run/ko"
"""The path of `kodata/` in the image; KO_DATA_PATH says so to the program."""
_LATEST = "latest"
_KIND = "kind.local"
_MODES = frozenset({"readonly", "vendor", "mod"})
"""Values of Go's -mod."""


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
    without a name (`-t v1`) is a tag there, as in ko.

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
    if repo.startswith(_KIND):
        raise InvalidUsage(
            f"{repo}: wherry does not load images into kind", hint="load with -L, then: kind load docker-image NAME"
        )
    if wanted.style and not repo:
        raise InvalidUsage("-P, -B and --bare need a repository", hint="give --repo, or set KO_DOCKER_REPO")
    return KoNaming(repo.rstrip("/"), wanted.style, tuple(named) or (_LATEST,)) if repo else None


def options_for(session: Session, package: MainPackage, notice: Callable[[str], None]) -> BuildOptions:
    """Read what `.ko.yaml` and ko's variables say of a package; nothing where there are none.

    Args:
        session: where.
        package: the program.
        notice: is given a line for each key that is ignored.

    Raises:
        InvalidUsage: a template is none that wherry expands.
        InvalidSettings: the file says what it may not, or what we can't do; line and key are named.
    """
    found = _file(session, package)
    base = session.environment.get("KO_DEFAULTBASEIMAGE", "")
    platforms = session.environment.get("KO_DEFAULTPLATFORMS", "")
    if found is None:
        return BuildOptions(base=base or None, platforms=parse_platforms((platforms,)) if platforms else None)
    file, start, config = found
    for line in config.unknown:
        notice(line)
    config = replace(config, builds=tuple(_placed(session, build, start) for build in config.builds))
    # A program of another module has no folder that `dir` and `main` could name.
    folder = "" if package.dependency else os.path.relpath(package.folder, os.path.realpath(start))
    build = config.build_of(folder, package.import_path)
    flags = dict(_flags(build.flags, file))
    own = flags.pop("ldflags", None)
    ldflags = " ".join(build.ldflags) or own
    for value in (ldflags or "", *map(str, flags.values())):
        names(value, f"{file.name}: flags")
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
    top = package.sources / "kodata"
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
            if not path.exists():
                inside, aim = path.relative_to(package.sources), os.readlink(path)  # noqa: PTH115 - as it is written
                raise NotFound(
                    f"{inside}: broken link to {aim}; all of kodata/ is copied into the image",
                    hint=f"create {aim}, or delete the link",
                )
            yield AddedFile(source=str(path), path=f"{DATA}/{path.relative_to(top)}", mode=None)


def _file(session: Session, package: MainPackage) -> tuple[Path, Path, KoConfig] | None:
    """Give the file, the folder that its paths start from, and what it says."""
    named = session.environment.get("KO_CONFIG_PATH")
    places = [session.cwd / named] if named else [session.cwd, package.module]
    for place in places:
        file = place if named and place.is_file() else place / FILE
        if file.is_file():
            shown = os.path.relpath(file, session.cwd)
            start = session.cwd if named else file.parent
            return file, start, KoConfig.parse(file.read_text(errors="replace"), shown)
    if named:
        raise InvalidSettings(f"KO_CONFIG_PATH={named}: no such file, and no {FILE} in it", hint="unset it, or fix it")
    return None


def _placed(session: Session, build: KoBuild, start: Path) -> KoBuild:
    """Give an entry with the folder that it means.

    Raises:
        InvalidSettings: there is no main package there; ko stops at such an entry too.
    """
    from wherry.source.import_paths import find_by_import_path, is_import_path

    path = start / build.folder
    if path.is_file():
        return replace(build, folder=os.path.dirname(build.folder) or ".")  # noqa: PTH120 - relative, as it was
    if path.is_dir():
        if "main" not in package_names(path):
            raise InvalidSettings(
                f"{build.place}: {build.folder} has no main package",
                hint="name the directory of a main package with dir and main, or remove the entry",
            )
        return build
    if is_import_path(build.main):
        with suppress(NotFound):
            found = find_by_import_path(build.main, start, session.runner, session.environment)
            return replace(build, main=found.import_path)
    raise InvalidSettings(
        f"{build.place}: {build.folder}: no such directory in {start}",
        hint="paths of builds start there: write main as ./cmd/api, or as an import path of this module",
    )


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
    """Read `go build`'s flags as options of ours; an unknown one is refused, never ignored."""
    words = iter(flags)
    for word in words:
        flag, equals, value = word.lstrip("-").partition("=")
        if flag in {"v", "x"}:
            continue
        if flag == "trimpath":
            yield "trimpath", value != "false"
        elif "{{" in flag:
            raise InvalidSettings(
                f"{file.name}: flags: {word}: a template can be the value of a flag, not its name",
                hint="write the flag's name out, such as -tags={{.Env.TAGS}}",
            )
        elif flag in {"tags", "ldflags", "gcflags", "asmflags"}:
            value = value if equals else next(words, "")
            yield ("go_tags", words_of(value)) if flag == "tags" else (flag, value)
        elif flag == "mod" and (value := value if equals else next(words, "")) in _MODES:
            yield "mod", value
        else:
            raise InvalidSettings(
                f"{file.name}: flags: {word} is not supported",
                hint="set it in GOFLAGS under `env`, if Go accepts it there",
            )
