"""The base of a Go program's image: its name, and what it has in place of its defaults."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.build.go_work import AUTO
from wherry.app.session import Session
from wherry.base.certificates import ADDED_FOLDER, bundle_of
from wherry.base.settings import DEFAULTS, KEEPABLE, Account, BaseSettings
from wherry.bases import Bases
from wherry.counted import counted
from wherry.errors import InvalidUsage
from wherry.settings.base_table import BaseTable
from wherry.settings.options import BuildOptions
from wherry.settings.values import Added
from wherry.store.files import replacing

if TYPE_CHECKING:
    from wherry.app.certificates import Certificates

DECLARED = "declared"
"""The name of the base that wherry.toml declares."""
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class ChosenBase:
    """A base, as a build takes it."""

    name: str
    settings: BaseSettings = DEFAULTS
    said: str = ""
    """`declared`, where the table of wherry.toml makes it."""
    files: tuple[Added, ...] = ()
    """Of the table; relative paths start at its folder."""


class BaseChooser:
    """Chooses the bases of a call; an endpoint is asked once."""

    def __init__(self, session: Session, *, offline: bool = False) -> None:
        self.session, self._offline = session, offline
        self._known: dict[object, BaseSettings] = {}
        self._said_unused = False

    def of(self, options: BuildOptions, above: BuildOptions, folder: Path, declared: BaseTable | None) -> ChosenBase:
        """Choose for one image.

        Args:
            options: all that is said.
            above: what the command line says: its paths start at the session's folder.
            folder: where paths in wherry.toml start.
            declared: the table `[base]` of wherry.toml.

        Raises:
            InvalidUsage: options that do not fit the base.
            WherryError: a certificate or an endpoint is not what it has to be.
        """
        asked = options.base or (DECLARED if declared else "static")
        if asked == DECLARED:
            found = declared_base(declared, options.debian)
        else:
            if declared is not None:
                self._unused(declared, options, above)
            name = with_release(asked, options.debian)
            found = ChosenBase(_found(name, self.session.cwd if above.base else folder))
        own = Bases.is_named(found.name) or found.name == AUTO
        if not own and (options.ca_for or options.ca_only):
            raise InvalidUsage(
                f"--ca-for and --ca-only are for wherry's own bases; {found.name} is an image, which keeps its roots",
                hint=f"write a file by `wherry certs -o ca.pem`, and use --add ca.pem:{_BUNDLE}",
            )
        settings = self._certificates(options, above, folder, own=own)
        if settings.certificates and not own:
            found = replace(found, files=(*found.files, self._file_of(settings, found.name)))
        return replace(
            found,
            settings=replace(
                settings,
                keep=kept_groups(options.keep or (), found.name),
                users=found.settings.users,
                environment=found.settings.environment,
            ),
        )

    def _unused(self, declared: BaseTable, options: BuildOptions, above: BuildOptions) -> None:
        """Check a table that is not used all the same, and say once that it is not."""
        declared_base(declared)
        if above.base is None and not self._said_unused:
            self._said_unused = True
            self.session.note(
                f'warning: [base] of wherry.toml is not used: the file says base = "{options.base}" too; remove one'
            )

    def _file_of(self, settings: BaseSettings, base: str) -> Added:
        """Give added certificates as a file for an image that has roots: in a folder of which Go reads every file.

        It is not /etc/ssl/certs, which is a link in some images; a layer with that folder would take the link's place.
        Source: Go 1.26, crypto/x509/root_linux.go, `certDirectories`.
        """
        content = bundle_of(settings.added)
        mark = hashlib.sha256(content).hexdigest()
        kept = self.session.cache_folder / "certificates" / f"{mark}.pem"
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as out:
            out.write(content)
        path = f"/{ADDED_FOLDER}/added-{mark[:16]}.pem"
        count = counted(len(settings.added), "certificate")
        self.session.note(f"certificates: {count} added to those of {base}: {path}")
        return Added(str(kept), path, 0o644)

    def _certificates(self, options: BuildOptions, above: BuildOptions, folder: Path, *, own: bool) -> BaseSettings:
        if not options.ca and not options.ca_for and not options.ca_only:
            return DEFAULTS
        from wherry.app.certificates import choose_certificates

        place = self.session.cwd if above.ca is not None else folder
        files = tuple(place / file for file in options.ca or ())
        key = files, options.ca_for, options.ca_only
        if key not in self._known:
            found = choose_certificates(
                self.session,
                files=files,
                wanted=options.ca_for or (),
                only=bool(options.ca_only),
                offline=self._offline,
            )
            self._known[key] = found.settings
            self._tell(found.document, own=own)
        return self._known[key]

    def _tell(self, found: "Certificates", *, own: bool) -> None:
        count = len(found.roots)
        if own:
            self.session.note(f"certificates: {counted(count, 'root')}, {found.bytes:,} bytes (all: {found.before:,})")
        for warning in found.warnings:
            self.session.note(f"warning: {warning}")


def declared_base(table: BaseTable | None, debian: str | None = None) -> ChosenBase:
    """Give the base that wherry.toml declares.

    Raises:
        InvalidUsage: it declares none, or what can't be.
    """
    from wherry.base.deb.releases import DEFAULT_RELEASE, name_with

    if table is None:
        raise InvalidUsage(
            "base declared: wherry.toml has no [base]",
            hint='add a table [base] with packages = ["libsqlite3-0"]; `wherry deps IMAGE --emit base` proposes one',
        )
    name = name_with(debian or table.debian or DEFAULT_RELEASE, table.packages, table.without)
    environment: Mapping[str, str] = dict(table.env)
    settings = BaseSettings(users=tuple(map(Account.parse, table.users)), environment=environment)
    return ChosenBase(name, settings, DECLARED, table.files)


def kept_groups(groups: tuple[str, ...], base: str) -> tuple[str, ...]:
    """Read what `--keep` says for a base.

    Raises:
        InvalidUsage: there is no such group, or the base has no packages.
    """
    from wherry.base.deb.releases import is_deb_name

    words = tuple(sorted({word.strip() for text in groups for word in text.split(",")}))
    unknown = [word for word in words if word not in KEEPABLE]
    if unknown:
        raise InvalidUsage(f"--keep {unknown[0]}: no such group", hint=f"use {' or '.join(KEEPABLE)}")
    if words and not is_deb_name(base):
        raise InvalidUsage(
            f"--keep {','.join(words)}: base {base} has no files of Debian packages", hint="add --base deb:static"
        )
    return words


def with_release(base: str, debian: str | None) -> str:
    """Put the number of a Debian into the name of a base of its packages.

    Raises:
        InvalidUsage: the base is another, or names its Debian already.
    """
    if debian is None:
        return base
    if not base.startswith("deb:"):
        raise InvalidUsage(
            f"--debian {debian}: base {base} is not made of Debian packages", hint="add --base deb:static"
        )
    return f"deb{debian}:{base.removeprefix('deb:')}"


def _found(name: str, folder: Path) -> str:
    if Bases.is_named(name) or name == AUTO:
        return name
    path = folder / name
    return str(path) if path.exists() or (folder / name.partition(":")[0]).exists() else name
