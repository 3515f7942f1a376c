"""Manifests with references to programs, to manifests with images: what `resolve`, `apply` and `create` share."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wherry.cli.building import carry_out
from wherry.cli.ko import LOCAL, Naming, naming_of
from wherry.cli.requests import Asked, requests_of
from wherry.cli.world import World
from wherry.cluster.manifests import Found, joined, references, replaced, selected
from wherry.errors import InvalidUsage, NotFound, WherryError
from wherry.oci.reference import Reference
from wherry.pipeline import Built
from wherry.store.files import read_regular

_ENDINGS = (".yaml", ".yml", ".json")
_LARGEST = 64 << 20
_OF_A_BUILD: Mapping[str, object] = {
    "dockerfile": None,
    "go_door": False,
    "debug_info": None,
    "size_record": False,
    "outputs": (),
    "metadata_file": None,
    "iidfile": None,
    "quiet": False,
    "as_json": False,
    "push": False,
    "load": False,
    "budgets": True,
    "against": None,
}
"""What `wherry build` can be told, and a manifest can't."""


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    text: str
    found: tuple[Found, ...]


def resolved(world: World, names: Sequence[str], options: Mapping[str, Any]) -> str:
    """Build and push every program that manifests name, and put the images in.

    Args:
        world: where.
        names: files, folders, or `-` for stdin.
        options: of a build, and of how manifests are read.

    Raises:
        WherryError: whatever stopped it; nothing was printed.
    """
    files = [
        _read(name, text, options["selector"]) for name, text in _texts(world, names, recursive=options["recursive"])
    ]
    wanted = {found.text: (file.name, found) for file in files for found in file.found}
    images = _images(world, wanted, {**_OF_A_BUILD, **options}) if wanted else {}
    return joined([replaced(file.text, file.found, images) for file in files])


def _read(name: str, text: str, selector: str) -> _File:
    text = selected(text, selector, name) if selector else text
    return _File(name, text, references(text, name))


def _texts(world: World, names: Sequence[str], *, recursive: bool) -> Iterator[tuple[str, str]]:
    for name in names:
        if name == "-":
            yield "stdin", world.stdin.read()
            continue
        path = world.cwd / name
        if path.is_dir():
            found = sorted(path.rglob("*") if recursive else path.iterdir())
            inside = [file for file in found if file.suffix in _ENDINGS and file.is_file()]
            if not inside:
                raise NotFound(f"{name}: no manifest in it", hint="name a folder with .yaml or .json files, or use -R")
            for file in inside:
                yield os.path.relpath(file, world.cwd), _text(file)
        else:
            yield name, _text(path)


def _text(file: Path) -> str:
    content = read_regular(file.resolve(), _LARGEST)
    if content is None:
        raise NotFound(f"{file}: not there", hint="name a manifest, a folder of them, or - for stdin")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidUsage(f"{file}: byte {error.start} is no UTF-8", hint="write manifests in UTF-8") from error


def _images(world: World, wanted: Mapping[str, tuple[str, Found]], options: Mapping[str, Any]) -> dict[str, str]:
    naming = naming_of(world, options)
    asked = {text: _asked(world, text, where, options) for text, where in wanted.items()}
    requests = {request.package.import_path: request for one in asked.values() for request in one.requests}
    _check_names(asked, wanted, naming)
    first = next(iter(asked.values()))
    budgeted = {
        request.package.import_path: budget
        for one in asked.values()
        for request, budget in zip(one.requests, one.budgeted, strict=True)
    }
    whole = replace(
        first,
        requests=tuple(requests.values()),
        budgeted=tuple(budgeted.values()),
        load=False,
        push=not (naming and naming.local),
    )
    _, report, _ = carry_out(world, whole)
    built = {image.request.package.import_path: image for image in report.images}
    loaded = _loaded(world, naming, built.values()) if naming and naming.local else {}
    return {
        text: loaded.get(path) or _shown(built[path])
        for text, one in asked.items()
        for path in [one.requests[0].package.import_path]
    }


def _asked(world: World, text: str, where: tuple[str, Found], options: Mapping[str, Any]) -> Asked:
    scheme, _, name = text.partition("://")
    file, found = where
    try:
        path = _path(world, name) if scheme == "ko" and not name.startswith(".") else name
        asked = requests_of(world, (path,), options)
    except WherryError as error:
        error.message = f"{file}:{found.line}:{found.column}: {text}: {error.message}"
        raise
    if len(asked.requests) > 1:
        services = ", ".join(request.names[0] for request in asked.requests)
        raise InvalidUsage(
            f"{file}:{found.line}:{found.column}: {text}: several services are made of it: {services}",
            hint="name the service: wherry://NAME",
        )
    return asked


def _path(world: World, import_path: str) -> str:
    from wherry.source.import_paths import folder_of

    return os.path.relpath(folder_of(import_path, world.cwd), world.cwd)


def _check_names(asked: Mapping[str, Asked], wanted: Mapping[str, tuple[str, Found]], naming: Naming | None) -> None:
    """Refuse to build what could not be pushed."""
    if naming:
        return
    from wherry.app.places import pushable

    for text, one in asked.items():
        try:
            pushable(one.requests[0].names[0])
        except WherryError as error:
            file, found = wanted[text]
            raise InvalidUsage(
                f"{file}:{found.line}:{found.column}: {text}: nobody says which repository it is pushed to",
                hint="give --repo REGISTRY/PATH, set KO_DOCKER_REPO, or give the service tags in wherry.toml",
            ) from error


def _shown(image: Built) -> str:
    """Write an image as a manifest names it: a tag that says nothing is left out."""
    reference = Reference.parse(image.request.names[0])
    tag = f":{reference.tag}" if reference.tag != "latest" else ""
    return f"{reference.registry}/{reference.repository}{tag}@{image.root.digest}"


def _loaded(world: World, naming: Naming, images: Any) -> dict[str, str]:
    """Load images into the Docker here, under a tag that is their digest: a daemon knows no other."""
    from wherry.app.network import docker_config
    from wherry.daemon.find import find_daemon
    from wherry.daemon.give import give
    from wherry.host.kernel import Kernel

    daemon = find_daemon(world.runner, world.environment, docker_config(world).parent)
    names = {}
    for image in images:
        path = image.request.package.import_path
        names[path] = f"{naming.repository(path).removeprefix(f'{LOCAL}/')}:{image.root.digest.encoded}"
        give(daemon, world.store, {f"{LOCAL}/{names[path]}": image.root}, Kernel.of_host().platform)
        names[path] = f"{LOCAL}/{names[path]}"
    return names
