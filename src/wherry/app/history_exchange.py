"""Histories of other machines: taken in from files, artifacts and lists of a cluster, and merged in both directions."""

from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from typing import Final

from wherry.app.cluster_figures import entries_of, is_list
from wherry.app.history import ImportedHistory, export_history
from wherry.app.history_artifact import merge_artifact, pull_history
from wherry.app.session import Session
from wherry.errors import InvalidDocument, NotFound
from wherry.history.database import HistoryDatabase
from wherry.history.exchange import MOST_BYTES, read
from wherry.oci.reference import SCHEME, names_registry
from wherry.store.files import read_regular, replacing
from wherry.store.locks import alone

_WHAT: Final = "give the output of `wherry history export`, or of `kubectl get pods,events -o json`"
_SMALLER: Final = "export less of it: `wherry history export --since 90d`"


def import_history(session: Session, database: HistoryDatabase, names: Sequence[str]) -> list[ImportedHistory]:
    """Take in histories of others: files, artifacts of registries, lists of pods and events; twice is no error.

    Args:
        session: who the user is.
        database: the own one.
        names: files, or references such as registry.example/team/api:history.

    Raises:
        NotFound: there is no such file or artifact.
        InvalidDocument: it is no history; nothing of it was taken.
        RegistryError, AccessDenied: a registry would not give it.
    """
    return [_imported(session, database, name) for name in names]


def _imported(session: Session, database: HistoryDatabase, name: str) -> ImportedHistory:
    if is_remote(session, name):
        found = pull_history(session, name)
    else:
        content = _content(session, name)
        try:
            if is_list(content):
                pods = list(entries_of(content, name, session.clock()))
                return ImportedHistory(name, len(pods), database.add(pods))
            found = read(BytesIO(content), name, session.clock())
        except InvalidDocument as error:
            error.hint = error.hint or _WHAT
            raise
    added = database.add(found.entries)
    return ImportedHistory(name, len(found.entries), added, found.ahead, found.future)


def _content(session: Session, name: str) -> bytes:
    path = session.cwd / name
    if path.is_dir():
        raise InvalidDocument(name, "is a directory", hint=_WHAT)
    with suppress(OSError):
        if (size := path.stat().st_size) > MOST_BYTES:
            most = MOST_BYTES >> 20
            raise InvalidDocument(name, f"has {size >> 20} MiB; at most {most} are read", hint=_SMALLER)
    content = read_regular(path, MOST_BYTES)
    if content is None:
        raise NotFound(f"{name}: no such file", hint="give the output of `wherry history export`, or a reference")
    return content


def merge_history(session: Session, database: HistoryDatabase, name: str) -> ImportedHistory:
    """Take in what a file or an artifact has, and write all there is back to it; it need not be there.

    Args:
        session: who the user is.
        database: the own one.
        name: a file, or a reference.

    Raises:
        InvalidDocument: it is no history; nothing was written.
        RegistryError, AccessDenied: a registry refuses.
    """
    if is_remote(session, name):
        return merge_artifact(session, database, name)
    path = session.cwd / name
    with alone(path.with_name(f".{path.name}.lock")):
        done = ImportedHistory(name, 0, 0)
        if path.exists():
            done = _imported(session, database, name)
        with replacing(path) as file:
            for line in export_history(session, database):
                file.write(line)
    return done


def is_remote(session: Session, name: str) -> bool:
    """Report whether a name is one of a registry, and not of a file."""
    if name.startswith(SCHEME):
        return True
    return names_registry(name) and not name.startswith((".", "/")) and not (session.cwd / name).exists()
