"""A watch that goes on: what happens to objects of a kind, over lost connections and restarts of the API server.

It begins with a list, then streams changes from the list's version. Where the stream ends, it is opened again from the
last version seen; where that version is no longer kept (410), the objects are listed again and what differs is given
as changes, so that a reader misses no state.

Sources: Kubernetes 1.34, "Kubernetes API Concepts": efficient detection of changes, bookmarks, 410 Gone.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_http import KubeStream

PATIENCE = 600.0
"""Seconds without any answer after which a watch gives up."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_GONE = 410


@dataclass(frozen=True, slots=True)
class KubeEvent:
    """What happened to an object."""

    kind: str
    """ADDED, MODIFIED, DELETED; SYNCED, without an object, once the first list is given."""
    document: Mapping[str, Any]


class KubeWatched(Protocol):
    """What a watch reads."""

    def listed(self) -> tuple[list[dict[str, Any]], str]:
        """List all objects, and give the list's version."""

    def streamed(self, version: str) -> KubeStream:
        """Open a stream of changes since a version."""


class KubeWatch:
    """Iterate over it to hear of changes; `stop` it from any thread."""

    def __init__(
        self,
        watched: KubeWatched,
        *,
        patience: float = PATIENCE,
        lost: Callable[[KubeRefused], None] | None = None,
        found: Callable[[], None] | None = None,
    ) -> None:
        """Take what is watched; nothing is asked before the first event is wanted.

        Args:
            watched: lists and streams.
            patience: seconds without an answer after which it gives up.
            lost: hears, once a time, that the API server does not answer.
            found: hears that it answers again.
        """
        self._watched, self._patience = watched, patience
        self._lost, self._found = lost, found
        self._stopped = threading.Event()
        self._stream: KubeStream | None = None
        self._known: dict[str, tuple[str, Mapping[str, Any]]] = {}
        """By uid: the version of each object, and what names it."""
        self._version, self._synced, self._away_since = "", False, 0.0

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        stream = self._stream
        if stream is not None:
            stream.close()

    def __iter__(self) -> Iterator[KubeEvent]:
        """Yield what there is, SYNCED, then each change.

        Raises:
            KubeRefused: the objects may not be watched, or no API server answered for too long.
        """
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                yield from self._once()
            except KubeRefused as error:
                self._failed(error)
            finally:
                if self._stream is not None:
                    self._stream.close()
                    self._stream = None
            pause = _FIRST_PAUSE if time.monotonic() - began > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
            self._stopped.wait(pause)

    def _once(self) -> Iterator[KubeEvent]:
        """List, where that is needed, and yield the changes of one stream."""
        if not self._version:
            documents, self._version = self._watched.listed()
            yield from self._difference(documents)
            if not self._synced:
                self._synced = True
                yield KubeEvent("SYNCED", {})
        self._stream = self._watched.streamed(self._version)
        if self._away_since and self._found is not None:
            self._found()
        self._away_since = 0.0
        if not self._stopped.is_set():
            yield from self._changes(self._stream)

    def _failed(self, error: KubeRefused) -> None:
        """Bear what may pass."""
        if error.gone:
            self._version = ""
            return
        if not error.passing:
            raise error
        now = time.monotonic()
        if not self._away_since:
            self._away_since = now
            if self._lost is not None:
                self._lost(error)
        if now - self._away_since > self._patience:
            raise error

    def _changes(self, stream: KubeStream) -> Iterator[KubeEvent]:
        """Yield changes, until the stream ends or says that its version is no longer kept."""
        for line in stream.lines():
            try:
                row = json.loads(line)
                kind, document = row["type"], row["object"]
                code, version = document.get("code"), (document.get("metadata") or {}).get("resourceVersion")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                return  # cut off in the middle of a line
            if kind == "ERROR":
                if code == _GONE:
                    self._version = ""
                return
            self._version = str(version or self._version)
            if kind == "BOOKMARK":
                continue
            self._note(kind, document)
            yield KubeEvent(kind, document)

    def _note(self, kind: str, document: Mapping[str, Any]) -> None:
        said = document["metadata"]
        identity = str(said.get("uid") or said.get("name"))
        if kind == "DELETED":
            self._known.pop(identity, None)
        else:
            self._known[identity] = (str(said.get("resourceVersion")), _names(document))

    def _difference(self, documents: list[dict[str, Any]]) -> Iterator[KubeEvent]:
        """Yield what a new list has that was not heard of."""
        before, self._known = self._known, {}
        for document in documents:
            said = document.get("metadata") or {}
            identity = str(said.get("uid") or said.get("name"))
            known = before.pop(identity, None)
            self._note("ADDED", document)
            if known is None:
                yield KubeEvent("ADDED", document)
            elif known[0] != str(said.get("resourceVersion")):
                yield KubeEvent("MODIFIED", document)
        for _, names in before.values():
            yield KubeEvent("DELETED", names)


def _names(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep what names an object, and what it was labelled."""
    said = document["metadata"]
    kept = ("name", "namespace", "uid", "labels", "annotations", "ownerReferences")
    return {"kind": document.get("kind"), "metadata": {key: said[key] for key in kept if key in said}}
