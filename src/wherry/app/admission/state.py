"""What a server judges by: its configuration, policies and keys, read together, and replaced together."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.admission.configuration import (
    AdmissionMode,
    AdmissionRule,
    AdmissionSettings,
    ImageSelector,
    TlsSettings,
    exempt_namespace,
    parse_configuration,
)
from wherry.app.policy_file import parse_policy
from wherry.app.session import Session
from wherry.errors import InvalidSettings, NotFound
from wherry.store.files import read_regular
from wherry.trust.policy import ConditionKind, ImagePolicy

if TYPE_CHECKING:
    from wherry.trust.signature import SignerNames, WantedSigner

_LARGEST = 1 << 20
_SIGNERS = frozenset({ConditionKind.SIGNED_BY, ConditionKind.ATTESTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionSource:
    """Where a configuration comes from: a file, or a policy and a mode."""

    configuration: str = ""
    policy: str = ""
    mode: str = AdmissionMode.ENFORCE.value
    exempt: tuple[str, ...] = ()
    tls: TlsSettings | None = None
    """In the place of what the file says."""


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy with all that it names, read."""

    name: str
    folder: Path
    policy: ImagePolicy
    digest: str
    """Of its text, keys and trusted roots: verdicts are kept by that."""
    signers: "Mapping[SignerNames, WantedSigner]"

    @property
    def kinds(self) -> frozenset[ConditionKind]:
        """What it asks."""
        return frozenset(one.kind for one in self.policy.conditions())


@dataclass(frozen=True, slots=True)
class AdmissionState:
    """All that a verdict depends on besides the image."""

    settings: AdmissionSettings
    policies: Mapping[str, LoadedPolicy]
    """By file name, as rules have it."""
    files: Mapping[Path, object]
    """What was read, each with a mark of how it was just before."""


def load_state(session: Session, source: AdmissionSource) -> AdmissionState:
    """Read a configuration, and all that it names.

    Raises:
        NotFound: a file is not there.
        InvalidSettings: something is wrong; line and key are named.
        WherryError: a key cannot be read.
    """
    files: dict[Path, object] = {}
    settings, folder = _settings(session, source, files)
    policies = {name: _policy(session, folder / name, name, files) for name in {rule.policy for rule in settings.rules}}
    return AdmissionState(settings, policies, files)


def _settings(session: Session, source: AdmissionSource, files: dict[Path, object]) -> tuple[AdmissionSettings, Path]:
    exempt = tuple(map(exempt_namespace, source.exempt))
    if source.configuration:
        path = session.cwd / source.configuration
        settings = parse_configuration(
            _read(path, source.configuration, files).decode(errors="replace"), source.configuration
        )
        folder = path.parent
    else:
        rule = AdmissionRule(ImageSelector(), source.policy, AdmissionMode(source.mode))
        settings, folder = AdmissionSettings((rule,)), session.cwd
    from dataclasses import replace

    settings = replace(settings, exemptions=(*settings.exemptions, *exempt), tls=source.tls or settings.tls)
    return settings, folder


def _policy(session: Session, path: Path, name: str, files: dict[Path, object]) -> LoadedPolicy:
    from wherry.app.signers import wanted_signer

    text = _read(path, name, files)
    policy = parse_policy(text.decode(errors="replace"), name)
    digest = hashlib.sha256(text)
    signers = {}
    for one in policy.conditions():
        if one.kind is ConditionKind.REPRODUCED:
            raise InvalidSettings(
                f"{name}: line {one.line}: a webhook cannot rebuild images",
                hint='attest the rebuild, and ask for that: attested = { type = "…", keys = ["a.pub"] }',
            )
        if one.kind in _SIGNERS and one.signers not in signers:
            for file in _files_of(one.signers, path.parent):
                digest.update(_read(file, str(file), files))
            wanted = signers[one.signers] = wanted_signer(session, one.signers, path.parent)
            for key in wanted.keys:  # also those that no file holds
                digest.update(key.pem.encode())
    return LoadedPolicy(name, path.parent, policy, digest.hexdigest(), signers)


def _files_of(names: "SignerNames", folder: Path) -> Iterator[Path]:
    yield from (folder / key for key in names.keys if "://" not in key)
    if names.trusted_root:
        yield folder / names.trusted_root


def _read(path: Path, name: str, files: dict[Path, object]) -> bytes:
    files[path] = mark_of(path)
    content = read_regular(path.resolve(), _LARGEST)
    if content is None:
        raise NotFound(f"{name}: not found", hint="give the path of a file; `wherry help admission` explains them")
    return content


def mark_of(path: Path) -> object:
    """Say what a file is now; one that a mount of a ConfigMap replaces has another inode."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns
