"""A wherry.toml for a module: what is found in it, and how that is written down."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.app.build.ko import options_for
from wherry.app.session import Session
from wherry.errors import CannotWrite, InvalidUsage, NotFound
from wherry.settings.options import BuildOptions
from wherry.settings.wherry_toml import FILE, Settings
from wherry.source.module import MainPackage, NoMainPackage, find_main
from wherry.store.files import replacing

_PASSED_OVER = frozenset({"vendor", "testdata", "node_modules"})
_MOST = 200
"""Main packages; a module with more is asked to name them itself."""
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Service:
    """One program that an image can be made of."""

    name: str
    package: str
    """Such as `./cmd/api`."""
    options: BuildOptions
    """What `.ko.yaml` says of it."""


@dataclass(frozen=True, slots=True)
class FoundHere:
    """A module, as far as wherry.toml is concerned with it."""

    module: Path
    services: tuple[Service, ...]
    notices: tuple[str, ...]


def found_here(session: Session) -> FoundHere:
    """Look for main packages in the current module.

    Raises:
        NotFound: this is not a module, or one without programs.
        InvalidUsage: it has too many programs.
        InvalidSettings: its `.ko.yaml` says what we can't do.
    """
    here = Path(os.path.realpath(session.cwd))
    module = next((folder for folder in (here, *here.parents) if (folder / "go.mod").is_file()), None)
    if module is None:
        raise NotFound(f"{session.cwd}: not in a Go module", hint="run it next to go.mod, or run `go mod init` first")
    packages = list(_mains(module))
    if not packages:
        raise NotFound(f"{module}: no main package found", hint="a main package starts with `package main`")
    if len(packages) > _MOST:
        raise InvalidUsage(
            f"{module}: {len(packages)} main packages", hint="write wherry.toml by hand, with the ones you ship"
        )
    services: list[Service] = []
    told: dict[str, None] = {}
    for package in packages:
        options = options_for(session, package, told.setdefault)
        name = _unused(package.name, [service.name for service in services])
        path = os.path.relpath(package.folder, module)
        services.append(Service(name, "." if path == "." else f"./{path}", options))
    return FoundHere(module, tuple(services), (*told, *_notices(module)))


def init(session: Session, *, force: bool = False) -> tuple[Path, FoundHere]:
    """Write a wherry.toml with a service for each main package of the session's module.

    Args:
        session: its folder is in the module.
        force: write over a file that is there.

    Raises:
        NotFound, InvalidUsage, InvalidSettings: as `found_here`.
        CannotWrite: there is a file.
    """
    found = found_here(session)
    file = found.module / FILE
    text = written(found)
    if file.exists() and not force:
        raise CannotWrite(
            f"{file}: already exists", hint="print the new one with --stdout, or overwrite it with --force"
        )
    with replacing(file) as out:
        out.write(text.encode())
    return file, found


def written(found: FoundHere) -> str:
    """Write a wherry.toml."""
    common = _common([dict(_keys(service.options)) for service in found.services])
    lines = ["# Built by `wherry build` without arguments; `wherry help wherry.toml` has all keys.", ""]
    if common:
        lines += ["[build]  # for every service; from .ko.yaml"]
        lines += [f"{key} = {value}" for key, value in common.items()]
        lines.append("")
    for service in found.services:
        lines += [f"[services.{_quoted_name(service.name)}]", f"package = {_text(service.package)}"]
        own = {key: value for key, value in _keys(service.options) if common.get(key) != value}
        lines += [f"{key} = {value}" for key, value in own.items()]
        lines += [f"# tags = [{_text(f'registry.example/{service.name.lower()}:dev')}]  # where --push sends it", ""]
    text = "\n".join(lines)
    Settings.parse(text)
    return text


def _mains(module: Path) -> Iterator[MainPackage]:
    for folder, folders, files in os.walk(module):
        inside = Path(folder) != module and "go.mod" in files
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER and name[0] not in "._")
        if inside:
            folders.clear()
            continue
        if any(name.endswith(".go") for name in files):
            try:
                yield find_main(Path(folder))
            except NoMainPackage:
                continue


def _unused(name: str, taken: Sequence[str]) -> str:
    plain = _NO_NAME.sub("-", name).strip("-.") or "app"
    count, chosen = 2, plain
    while chosen in taken:
        chosen, count = f"{plain}-{count}", count + 1
    return chosen


def _notices(module: Path) -> Iterator[str]:
    if (module / "Dockerfile").is_file():
        yield "the Dockerfile is ignored: add its files, users and ports to wherry.toml if needed"


def _keys(options: BuildOptions) -> Iterator[tuple[str, str]]:
    """Write what a .ko.yaml can say as wherry.toml has it."""
    if options.base:
        yield "base", _text(options.base)
    if options.platforms:
        yield "platforms", f"[{', '.join(_text(str(platform)) for platform in options.platforms)}]"
    if options.go_tags:
        yield "go-tags", f"[{', '.join(map(_text, options.go_tags))}]"
    for key in ("ldflags", "gcflags", "asmflags"):
        if value := getattr(options, key):
            yield key, _text(value)
    variables = dict(options.go_env or ())
    if options.mod:
        variables["GOFLAGS"] = f"{variables.get('GOFLAGS', '')} -mod={options.mod}".strip()
    if variables:
        yield "go-env", f"{{ {', '.join(f'{name} = {_text(value)}' for name, value in variables.items())} }}"
    if options.trimpath is False:
        yield "trimpath", "false"


def _common(all_keys: list[dict[str, str]]) -> dict[str, str]:
    first, rest = all_keys[0], all_keys[1:]
    return {key: value for key, value in first.items() if all(keys.get(key) == value for keys in rest)}


def _quoted_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    """Write a basic string of TOML v1.0.0."""
    import json

    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
