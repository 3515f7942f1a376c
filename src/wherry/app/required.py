"""`[trust] require` of wherry.toml: images that have to be signed before they are pulled, run or built on.

What is verified is the digest that is used, so there is no gap between the check and the use. An image of the local
store with a registry in its name counts as that registry's: signatures are looked for in the store, then there.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.places import TOML, toml_folder
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import Reference, names_registry
from wherry.store.find import Located

if TYPE_CHECKING:
    from wherry.settings.trust import SignatureRule
    from wherry.trust.signature import WantedSigner


def require_signed(session: Session, located: Located) -> None:
    """Refuse an image that is not signed as the wherry.toml of the session's folder requires.

    Raises:
        NotVerified: it is not, or its registry would not say.
        WrongKey, InvalidKey, NotFound: the requirement itself cannot be read.
    """
    from wherry.registry.open import Mirrored
    from wherry.registry.repository import Repository

    folder = toml_folder(session.cwd, ())
    if folder is None:
        return
    remote = isinstance(located.source, Repository | Mirrored)
    if not remote and (located.source is not session.store or not names_registry(located.name)):
        return
    try:
        reference = Reference.parse(located.name, default_tag="")
    except InvalidUsage:
        return
    _verify(session, folder, reference, located.root, offline=False)


def deciding_files(*folders: Path) -> Iterator[Path]:
    """Name the files that decide whether anything is required: each wherry.toml above the folders, there or not."""
    for start in folders:
        for folder in (start, *start.parents):
            yield folder / TOML
            yield folder / "go.mod"


def requires_any(*folders: Path) -> bool:
    """Report whether a wherry.toml that counts for a folder requires signatures: what it gives is not replayed then."""
    from wherry.settings.wherry_toml import Settings

    found = {toml_folder(folder, ()) for folder in folders}
    texts = ((folder / TOML).read_text(errors="replace") for folder in found if folder is not None)
    return any(Settings.parse(text).trust.require for text in texts)


def base_verifier(
    session: Session, folders: Iterable[Path], *, offline: bool
) -> Callable[[Reference, Descriptor], None]:
    """Give what refuses bases that are not signed as the wherry.toml of any folder requires."""
    places = tuple(folders)

    def verify(reference: Reference, root: Descriptor) -> None:
        found = {toml_folder(place, ()) for place in places}
        for folder in sorted(folder for folder in found if folder is not None):
            _verify(session, folder, reference, root, offline=offline)

    return verify


def _verify(session: Session, folder: Path, reference: Reference, root: Descriptor, *, offline: bool) -> None:
    rule = _rule(folder, f"{reference.registry}/{reference.repository}", os.path.relpath(folder / TOML, session.cwd))
    if rule is None:
        return
    from wherry.app.extras import trusting
    from wherry.app.verifying import NotVerified, verify_located

    with trusting("a required signature"):
        wanted = _wanted(session, folder, rule)
        try:
            verify_located(session, Located(str(reference), session.store, root), wanted)
        except NotVerified:
            if offline:
                raise
        else:
            return
        place = session.registries.source(reference)
        verify_located(session, Located(str(reference), place, root), wanted)


def _rule(folder: Path, name: str, shown: str) -> "SignatureRule | None":
    from wherry.settings.wherry_toml import Settings

    return Settings.parse((folder / TOML).read_text(errors="replace"), shown).trust.rule_for(name)


def _wanted(session: Session, folder: Path, rule: "SignatureRule") -> "WantedSigner":
    from wherry.app.signers import wanted_signer
    from wherry.trust.signature import SignerNames

    names = SignerNames(
        keys=rule.keys,
        identity=rule.identity,
        pattern=rule.identity_pattern,
        issuer=rule.issuer,
        trusted_root=rule.trusted_root,
    )
    return wanted_signer(session, names, folder, rule.annotations)
