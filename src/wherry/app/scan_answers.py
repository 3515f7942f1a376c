"""What a database says of programs, kept by the digests of both: in another image neither is read again."""

import hashlib
from typing import Final

from msgspec.structs import replace

from wherry import __version__
from wherry.app.scan_images import FOLDER, kept_file, read_kept, write_kept
from wherry.app.scan_result import ScannedSubject
from wherry.app.session import Session
from wherry.app.vulnerability_data import OpenDatabase
from wherry.digest import Digest

_FORM: Final = 1
"""Raised when the same program and database may give another answer."""


class KeptAnswers:
    """Answers of one database; `in` tells whether there is one for a program."""

    def __init__(self, session: Session, database: OpenDatabase) -> None:
        self._folder = session.cache_folder / FOLDER
        self._database = hashlib.sha256(f"{_FORM} {__version__} {database.digest}".encode()).hexdigest()[:32]
        self._found: dict[Digest, ScannedSubject | None] = {}

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, Digest) and self.of(digest) is not None

    def of(self, digest: Digest) -> ScannedSubject | None:
        """Give what was found before; None where nothing is kept."""
        if digest not in self._found:
            place = kept_file(self._folder, "answer", f"{digest}-{self._database}")
            self._found[digest] = read_kept(place, ScannedSubject)
        return self._found[digest]

    def keep(self, digest: Digest, subject: ScannedSubject) -> None:
        """Keep what was found, without the names that one image has for it."""
        place = kept_file(self._folder, "answer", f"{digest}-{self._database}")
        write_kept(place, replace(subject, name="", path="", platform=""))
