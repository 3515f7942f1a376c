"""PACKAGE@VERSION on the command line or in wherry.toml: found through Go, and remembered for `--offline`."""

from pathlib import Path

from wherry.app.session import Session
from wherry.errors import HostUnable
from wherry.source.module import MainPackage
from wherry.source.published import PublishedModules, is_exact, is_published, parse_published
from wherry.store.results import Results

FOLDER = "published"
"""Below the cache: the modules that published programs are built from."""
OFFLINE = {"GOPROXY": "off"}
"""The value of GOPROXY that forbids network access."""


def find_published(session: Session, text: str, *, offline: bool) -> MainPackage:
    """Find the program that a text names.

    `latest`, a branch and the like mean what they meant last where `--offline` forbids to ask.

    Raises:
        InvalidUsage, NotFound, NoMainPackage, HostUnable, PackageBroken: as `PublishedModules.find`.
    """
    path, version = parse_published(text)
    results = Results(session.cache_folder)
    fact = f"go package {text}"
    try:
        last = "" if is_exact(version) else results.fact(fact) or ""
        environment = {**session.environment, **(OFFLINE if offline else {})}
        modules = PublishedModules(session.cache_folder / FOLDER, session.runner, environment)
        if offline and last:
            return modules.find(f"{path}@{last}")
        try:
            package = modules.find(text)
        except HostUnable as error:
            if last:
                error.hint = f"use --offline to build {last} again, the last resolved {version}"
            raise
        if package.release and package.release.version not in {version, last}:
            results.put_fact(fact, package.release.version)
        return package
    finally:
        results.close()


def names_published(folder: Path, text: str) -> bool:
    """Report whether a text names a published package: it has an @, and no such folder is there."""
    return is_published(text) and not (folder / text).is_dir()


def default_name(package: MainPackage) -> str:
    """Name an image after its program; a published one has its version as tag."""
    name = package.name.lower()
    if package.release is None:
        return name
    return f"{name}:{package.release.version.replace('+', '_')[:128]}"
