"""What a Kubernetes API server of a test keeps: objects by kind, namespace and name, and their history for watches."""

import copy
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]
Key = tuple[str, str, str]
"""Kind as `jobs.batch`, namespace (empty: none), name."""


class Conflict(Exception):
    """One of this name is there."""


@dataclass
class KubeObjects:
    """Objects, each change with a version; a test may change them while the server runs."""

    rows: dict[Key, Document] = field(default_factory=dict)
    history: list[tuple[int, Key, str, Document]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))
    oldest: int = 0
    """Watches from an earlier version are answered with 410."""
    _version: int = 1
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def version(self) -> int:
        """The version of the last change."""
        return self._version

    def get(self, kind: str, namespace: str, name: str) -> Document | None:
        """Give an object."""
        with self.changed:
            found = self.rows.get((kind, namespace, name))
            return copy.deepcopy(found) if found else None

    def create(self, kind: str, namespace: str, document: Document) -> Document:
        """Add an object.

        Raises:
            Conflict: one of this name is there.
        """
        with self.changed:
            said = document.setdefault("metadata", {})
            if not said.get("name"):
                said["name"] = f"{said['generateName']}{next(self._numbers):05}"
            if (kind, namespace, said["name"]) in self.rows:
                raise Conflict(said["name"])
            if namespace:
                said["namespace"] = namespace
            said.setdefault("uid", f"uid-{next(self._numbers)}")
            said.setdefault("creationTimestamp", now())
            return self.put(kind, document)

    def put(self, kind: str, document: Document) -> Document:
        """Set an object, there or not."""
        with self.changed:
            said = document["metadata"]
            key = (kind, said.get("namespace", ""), said["name"])
            self._note(key, "MODIFIED" if key in self.rows else "ADDED", document)
            self.rows[key] = document
            return copy.deepcopy(document)

    def change(self, kind: str, namespace: str, name: str, patch: Document | list[Document]) -> Document | None:
        """Merge into an object (RFC 7386), or do the operations of a list (RFC 6902); None: there is none.

        Raises:
            Conflict: the object has another version than the patch names, or a `test` fails.
        """
        with self.changed:
            found = self.rows.get((kind, namespace, name))
            if found is None:
                return None
            if isinstance(patch, list):
                return self.put(kind, operated(copy.deepcopy(found), patch))
            wanted = (patch.get("metadata") or {}).get("resourceVersion")
            if wanted and wanted != found["metadata"]["resourceVersion"]:
                raise Conflict(name)
            return self.put(kind, merged(copy.deepcopy(found), patch))

    def delete(self, kind: str, namespace: str, name: str) -> Document | None:
        """Remove an object, and what it owns."""
        with self.changed:
            found = self.rows.pop((kind, namespace, name), None)
            if found is None:
                return None
            self._note((kind, namespace, name), "DELETED", found)
            uid = found["metadata"].get("uid")
            for key, row in list(self.rows.items()):
                owners = row["metadata"].get("ownerReferences") or ()
                if uid and any(owner.get("uid") == uid for owner in owners):
                    self.delete(*key)
            return found

    def forget(self) -> None:
        """Keep no history: each watch that goes on is answered with 410."""
        with self.changed:
            self._version += 1
            self.oldest = self._version
            self.history.clear()
            self.changed.notify_all()

    def listed(self, kind: str, namespace: str, query: dict[str, str]) -> list[Document]:
        """Give the objects of a selection."""
        with self.changed:
            return [
                copy.deepcopy(row)
                for key, row in sorted(self.rows.items())
                if key[0] == kind and namespace in ("", key[1]) and chosen(row, query)
            ]

    def since(self, version: int, kind: str, namespace: str) -> list[tuple[int, str, Document]]:
        """Give the changes after a version."""
        return [
            (at, what, row)
            for at, key, what, row in self.history
            if at > version and key[0] == kind and namespace in ("", key[1])
        ]

    def _note(self, key: Key, what: str, document: Document) -> None:
        self._version += 1
        document["metadata"]["resourceVersion"] = str(self._version)
        self.history.append((self._version, key, what, copy.deepcopy(document)))
        self.changed.notify_all()


def chosen(document: Document, query: dict[str, str]) -> bool:
    """Tell whether an object is of a selection: `a=b`, `a`, `!a`; fields `metadata.name=x`."""
    labels = document["metadata"].get("labels") or {}
    for word in filter(None, query.get("labelSelector", "").split(",")):
        name, equal, value = word.removeprefix("!").partition("=")
        if word.startswith("!") and name in labels:
            return False
        if not word.startswith("!") and (name not in labels or (equal and labels[name] != value)):
            return False
    for word in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = word.partition("=")
        found: Any = document
        for part in path.split("."):
            found = (found or {}).get(part)
        if str(found or "") != value:
            return False
    return True


def merged(target: Any, patch: Any) -> Any:
    """Merge a patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    whole = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            whole.pop(key, None)
        else:
            whole[key] = merged(whole.get(key), value)
    return whole


def now() -> str:
    """Give the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def operated(document: Document, operations: list[Document]) -> Document:
    """Do `test`, `add` and `replace` of RFC 6902, as far as rows of lists stay where they are."""
    for one in operations:
        *way, last = one["path"].strip("/").split("/")
        at: Any = document
        for key in way:
            at = at[int(key)] if isinstance(at, list) else at[key]
        if one["op"] == "test":
            if at.get(last) != one["value"]:
                raise Conflict(one["path"])
        else:
            at[last] = one["value"]
    return document
