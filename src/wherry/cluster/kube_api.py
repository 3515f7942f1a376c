"""A Kubernetes API server: objects read, listed, written and watched, logs, rights, and streams of containers.

Sources: Kubernetes 1.34 API reference; "Kubernetes API Concepts"; client-go, tools/remotecommand
(`v5.channel.k8s.io`: the first byte of a message is its stream).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_http import KubeAddress, KubeHttp, KubeRequest, KubeStream
from wherry.cluster.kube_resources import ACCESS_REVIEWS, PODS, KubeResource
from wherry.cluster.kube_watch import PATIENCE, KubeWatch
from wherry.cluster.websocket import WebSocket

_PROTOCOLS = "v5.channel.k8s.io, v4.channel.k8s.io"
_PAGE = 500
_WATCH_SECONDS = 290
_SPARE = 30.0
"""Seconds that a stream may be silent beyond what the server was asked for."""
Document = dict[str, Any]
Documents = list[Document]
PatchKind = Literal["merge", "strategic", "json", "apply"]
_PATCHES: Mapping[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeSelection:
    """Which objects of a kind."""

    namespace: str = ""
    """Empty: of every namespace."""
    labels: str = ""
    """As `kubectl -l`: `a=b,!c`."""
    fields: str = ""
    """As `kubectl --field-selector`."""

    def query(self) -> dict[str, str]:
        """Give it as a request has it."""
        return _filled(labelSelector=self.labels, fieldSelector=self.fields)


@dataclass(frozen=True, slots=True)
class KubeAnswer:
    """Whether the user may do something."""

    allowed: bool
    reason: str = ""
    """The server's, where it gives one."""


@dataclass(frozen=True, slots=True)
class _Watched:
    server: "KubeServer"
    resource: KubeResource
    selection: KubeSelection

    def listed(self) -> tuple[Documents, str]:
        return self.server.listed(self.resource, self.selection)

    def streamed(self, version: str) -> KubeStream:
        query = {
            **self.selection.query(), "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }  # fmt: skip
        path = f"{self.resource.path(self.selection.namespace)}?{urlencode(query)}"
        return self.server.http.stream(KubeRequest(method="GET", path=path, timeout=_WATCH_SECONDS + _SPARE))


@dataclass(frozen=True, slots=True)
class KubeServer:
    """An API server, and what is shown to it. Safe to share between threads."""

    http: KubeHttp = field(repr=False)

    @classmethod
    def of(cls, address: KubeAddress, *, patience: float = 0.0) -> "KubeServer":
        """Make one of its address; requests are made again for so many seconds, while it is busy or away."""
        return cls(KubeHttp(address, patience=patience))

    def get(self, resource: KubeResource, namespace: str, name: str) -> Document:
        """Read an object.

        Raises:
            KubeRefused: there is none (`missing`), or it may not be read.
        """
        return self._json("GET", resource.path(namespace, name))

    def find(self, resource: KubeResource, namespace: str, name: str) -> Document | None:
        """Read an object; None: there is none."""
        try:
            return self.get(resource, namespace, name)
        except KubeRefused as error:
            if error.missing:
                return None
            raise

    def list(self, resource: KubeResource, selection: KubeSelection, *, page: int = _PAGE) -> Iterator[Document]:
        """Yield objects, asked for a page at a time; a list that expires in between is begun again, without repeats."""
        seen: set[str] = set()
        for documents, _ in self._pages(resource, selection, page):
            for document in documents or ():
                said = document.get("metadata") or {}
                name = f"{said.get('namespace')}/{said.get('name')}"
                if name not in seen:
                    seen.add(name)
                    yield document

    def listed(self, resource: KubeResource, selection: KubeSelection, *, page: int = _PAGE) -> tuple[Documents, str]:
        """List all objects as of one version, and give that: a watch goes on from it."""
        whole: Documents = []
        version = ""
        for documents, version in self._pages(resource, selection, page):  # noqa: B007 - the last one counts
            if documents is None:
                whole = []
            else:
                whole += documents
        return whole, version

    def _pages(
        self, resource: KubeResource, selection: KubeSelection, page: int
    ) -> Iterator[tuple[Documents | None, str]]:
        """Yield pages, each with the list's version; None: it expired, and begins again."""
        more = ""
        while True:
            query = {**selection.query(), "limit": str(page), **_filled(**{"continue": more})}
            try:
                answer = self._json("GET", f"{resource.path(selection.namespace)}?{urlencode(query)}")
            except KubeRefused as error:
                if not (error.gone and more):
                    raise
                more = ""
                yield None, ""
                continue
            said = answer.get("metadata") or {}
            more = str(said.get("continue") or "")
            found = [one for one in answer.get("items") or () if isinstance(one, dict)]
            yield found, str(said.get("resourceVersion") or "")
            if not more:
                return

    def create(self, resource: KubeResource, namespace: str, document: Document, *, dry: bool = False) -> Document:
        """Create an object; where the answer was lost, its name tells whether it was created.

        Raises:
            KubeRefused: one of this name is there (`conflict`), or admission or the user's rights are against it.
        """
        query = "?dryRun=All" if dry else ""
        try:
            return self._json("POST", f"{resource.path(namespace)}{query}", document)
        except KubeRefused as error:
            name = str((document.get("metadata") or {}).get("name") or "")
            if error.status or dry or not (error.passing and name and self.http.patience):
                raise
            return self.find(resource, namespace, name) or self._json("POST", resource.path(namespace), document)

    def patch(  # noqa: PLR0913 - all that a patch can be
        self,
        resource: KubeResource,
        namespace: str,
        name: str,
        patch: object,
        *,
        kind: PatchKind = "merge",
        sub: str = "",
        manager: str = "",
        force: bool = False,
        dry: bool = False,
    ) -> Document:
        """Change an object.

        Args:
            resource: its kind.
            namespace: where it is.
            name: its own.
            patch: an object, or for `json` a list of operations.
            kind: how the patch is read; `apply` makes the object where there is none, and needs a manager.
            sub: a part with a path of its own: `status`, `ephemeralcontainers`.
            manager: who owns the fields, for `apply`.
            force: take fields from other managers.
            dry: only ask.

        Raises:
            KubeRefused: admission, a conflict, or the user's rights are against it.
        """
        query = _filled(
            fieldManager=manager or ("wherry" if kind == "apply" else ""),
            force="true" if force and kind == "apply" else "",
            dryRun="All" if dry else "",
        )
        path = resource.path(namespace, name, sub) + (f"?{urlencode(query)}" if query else "")
        return self._json("PATCH", path, patch, _PATCHES[kind])

    def delete(
        self,
        resource: KubeResource,
        namespace: str,
        name: str,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace: int | None = None,
    ) -> bool:
        """Delete an object; report whether there was one.

        Raises:
            KubeRefused: it may not be deleted.
        """
        options: Document = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self._json("DELETE", resource.path(namespace, name), options)
        except KubeRefused as error:
            if error.missing:
                return False
            raise
        return True

    def watch(
        self,
        resource: KubeResource,
        selection: KubeSelection,
        *,
        patience: float = PATIENCE,
        lost: Callable[[KubeRefused], None] | None = None,
        found: Callable[[], None] | None = None,
    ) -> KubeWatch:
        """Watch objects: first those that are there, then each change, until it is stopped; see `KubeWatch`."""
        return KubeWatch(_Watched(self, resource, selection), patience=patience, lost=lost, found=found)

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        follow: bool = True,
        since: str = "",
        timestamps: bool = False,
    ) -> KubeStream:
        """Open what a container prints.

        Args:
            namespace: where the pod is.
            pod: its name.
            container: empty: its only one.
            follow: whether to go on until the container ends.
            since: a time of RFC 3339; lines of that second are among those that come.
            timestamps: whether each line begins with its time and a space.

        Raises:
            KubeRefused: it has not started, or its log may not be read.
        """
        query = _filled(
            container=container, follow="true" if follow else "", sinceTime=since,
            timestamps="true" if timestamps else "",
        )  # fmt: skip
        path = PODS.path(namespace, pod, "log") + (f"?{urlencode(query)}" if query else "")
        return self.http.stream(KubeRequest(method="GET", path=path, timeout=None))

    def may(self, verb: str, resource: KubeResource, namespace: str, *, sub: str = "", name: str = "") -> KubeAnswer:
        """Ask whether the user may do something; nothing is done.

        Raises:
            KubeRefused: even this can't be asked.
        """
        wanted = {
            "verb": verb, "resource": resource.plural,
            **_filled(group=resource.group, namespace=namespace, subresource=sub, name=name),
        }  # fmt: skip
        review = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }  # fmt: skip
        status = self._json("POST", ACCESS_REVIEWS.path(), review).get("status") or {}
        return KubeAnswer(status.get("allowed") is True, str(status.get("reason") or ""))

    def pod(self, namespace: str, name: str) -> Document:
        """Read a pod.

        Raises:
            KubeRefused: there is none, or it may not be read.
        """
        return self.get(PODS, namespace, name)

    def add_ephemeral(self, namespace: str, name: str, container: Mapping[str, Any], *, dry: bool = False) -> Document:
        """Add an ephemeral container to a pod; with `dry`, only ask whether it would be taken.

        Raises:
            KubeRefused: admission, or the user's rights, are against it.
        """
        patch = {"spec": {"ephemeralContainers": [container]}}
        return self.patch(PODS, namespace, name, patch, kind="strategic", sub="ephemeralcontainers", dry=dry)

    def attach(self, namespace: str, name: str, container: str, *, tty: bool) -> WebSocket:
        """Attach to a container that runs: its standard streams, each with its number in front.

        Raises:
            WebSocketRefused: it does not run, or may not be attached to.
        """
        wanted = {"container": container, "stdin": "true", "stdout": "true"}
        query = urlencode({**wanted, **({"tty": "true"} if tty else {"stderr": "true"})})
        connection, headers = self.http.connected()
        connection.sock.settimeout(None)
        path = f"{self.http.address.prefix()}{PODS.path(namespace, name, 'attach')}?{query}"
        return WebSocket(connection.sock, self.http.address.host, path, headers, _PROTOCOLS)

    def _json(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Document:
        return self.http.json(KubeRequest(method=method, path=path, body=body, kind=kind))


def _filled(**words: str) -> dict[str, str]:
    return {key: word for key, word in words.items() if word}
