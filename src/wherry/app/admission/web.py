"""The server's pages as an ASGI application: hooks, Gatekeeper's provider, health, metrics.

Source: ASGI 3.0, "HTTP & WebSocket ASGI Message Format".
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from wherry.app.admission.configuration import AdmissionMode
from wherry.app.admission.metrics import AdmissionMetrics
from wherry.app.admission.review import Reviewed, Reviewer, deadline_of
from wherry.app.admission.verdicts import COULD_NOT_ASK, ImageVerdict, VerdictReason
from wherry.cluster.admission import (
    LARGEST_REVIEW,
    AdmissionAnswer,
    AdmissionRequest,
    parse_review,
    seconds_of,
)
from wherry.cluster.external_data import ProviderItem, ProviderKey, parse_provider_request, provider_response
from wherry.errors import InvalidDocument

DEFAULT_TIMEOUT = 5.0
"""Seconds that a caller waits, where it does not say."""
_SHORTEST, _LONGEST = 0.2, 30.0
_LONGEST_FIELD = 512
"""Characters of a field of the log: an API server sends less."""
_JSON, _TEXT = "application/json", "text/plain; version=0.0.4; charset=utf-8"
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Page = tuple[int, str, bytes]


@dataclass
class AdmissionPages:
    """Answers requests; what it answers by is asked for each time, since it may be replaced."""

    reviewer: Callable[[], Reviewer]
    metrics: AdmissionMetrics
    refresh: Callable[[], None]
    """Brings the figures of the metrics up to date."""
    unready: Callable[[], str]
    """Says why no request should be sent here; empty: it may."""
    log: Callable[[Mapping[str, object]], None]
    _hooks: "Mapping[str, Callable[[bytes, float, float], Awaitable[Page]]]" = field(init=False)

    def __post_init__(self) -> None:
        """Name the pages that take a document."""
        self._hooks = {"/validate": self._validate, "/mutate": self._mutate, "/gatekeeper": self._gatekeeper}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = asyncio.get_running_loop().time()
        status, kind, body = await self._page(scope, receive, started)
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _page(self, scope: Scope, receive: Receive, started: float) -> Page:
        path, method = scope["path"], scope["method"]
        hook = self._hooks.get(path)
        if hook is None:
            return self._state(path) if method in {"GET", "HEAD"} else _plain(405, "GET it")
        if method != "POST":
            return _plain(405, "POST a document")
        deadline = deadline_of(_timeout(scope["query_string"]), started)
        try:
            async with asyncio.timeout_at(deadline):
                body = await _body(receive)
        except TimeoutError:
            return _plain(408, "the document did not come in time")
        if body is None:
            return _plain(413, f"at most {LARGEST_REVIEW} bytes are read")
        return await self._answered(path, hook(body, deadline, started), started)

    async def _answered(self, path: str, answer: Awaitable[Page], started: float) -> Page:
        try:
            return await answer
        except InvalidDocument as error:
            self._count(path, "invalid", started)
            return _plain(400, error.message)

    def _state(self, path: str) -> Page:
        if path == "/healthz":
            return _plain(200, "ok")
        if path == "/readyz":
            why = self.unready()
            return _plain(503, why) if why else _plain(200, "ready")
        if path == "/metrics":
            self.refresh()
            return 200, _TEXT, self.metrics.text().encode()
        return _plain(404, "pages: /validate, /mutate, /gatekeeper, /healthz, /readyz, /metrics")

    async def _validate(self, body: bytes, deadline: float, started: float) -> Page:
        request = parse_review(body)
        try:
            reviewed = await self.reviewer().validate(request, deadline)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not admit an image where failures are ignored
            message = f"wherry failed, so nothing is known about the images: {type(error).__name__}: {error}"[:500]
            reviewed = Reviewed(AdmissionAnswer(allowed=False, message=message, code=503))
            self.log({"event": "internal error", "detail": message})
        return self._reviewed("validate", request, reviewed, started)

    async def _mutate(self, body: bytes, deadline: float, started: float) -> Page:
        request = parse_review(body)
        reviewed = await self.reviewer().mutate(request, deadline)
        for _ in range(reviewed.pinned):
            self.metrics.count("pinned")
        return self._reviewed("mutate", request, reviewed, started)

    def _reviewed(self, endpoint: str, request: AdmissionRequest, reviewed: Reviewed, started: float) -> Page:
        seconds = self._count(endpoint, reviewed.decision, started)
        self._count_verdicts(*reviewed.verdicts)
        self.log({
            "endpoint": endpoint, "decision": reviewed.decision,
            **{key: text[:_LONGEST_FIELD] for key, text in (
                ("uid", request.uid), ("operation", request.operation), ("kind", request.kind),
                ("namespace", request.namespace), ("name", request.name), ("user", request.user),
            )},
            "dryRun": request.dry_run, "credentials": reviewed.credentials or "own", "seconds": round(seconds, 4),
            **({"pinned": reviewed.pinned} if endpoint == "mutate" else {"images": list(map(_row, reviewed.verdicts))}),
        })  # fmt: skip
        return 200, _JSON, reviewed.answer.review(request.uid)

    async def _gatekeeper(self, body: bytes, deadline: float, started: float) -> Page:
        try:
            keys = parse_provider_request(body)
        except InvalidDocument as error:
            self._count("gatekeeper", "invalid", started)
            return 200, _JSON, provider_response((), error.message)
        reviewer = self.reviewer()
        items = await asyncio.gather(*(self._item(reviewer, key, deadline) for key in keys))
        refused = sum(bool(item.error) for item, _ in items)
        seconds = self._count("gatekeeper", "refuse" if refused else "admit", started)
        self._count_verdicts(*(verdict for _, verdict in items))
        self.log({
            "endpoint": "gatekeeper", "decision": "refuse" if refused else "admit", "seconds": round(seconds, 4),
            "images": [_row(verdict) for _, verdict in items],
        })  # fmt: skip
        return 200, _JSON, provider_response([item for item, _ in items])

    async def _item(self, reviewer: Reviewer, key: ProviderKey, deadline: float) -> tuple[ProviderItem, ImageVerdict]:
        verdict = await reviewer.image(key.image, key.namespace, deadline)
        if not verdict.accepted and verdict.mode is AdmissionMode.ENFORCE:
            return ProviderItem(key.text, error=f"{key.image}: {verdict.judged.detail}"), verdict
        digest = verdict.judged.digest
        return ProviderItem(key.text, f"{key.image.partition('@')[0]}@{digest}" if digest else key.image), verdict

    def _count(self, endpoint: str, decision: str, started: float) -> float:
        seconds = asyncio.get_running_loop().time() - started
        self.metrics.count("requests", endpoint.strip("/"), decision)
        self.metrics.observe(endpoint.strip("/"), seconds)
        return seconds

    def _count_verdicts(self, *verdicts: ImageVerdict) -> None:
        for one in verdicts:
            self.metrics.count("verdicts", one.judged.reason.value, one.mode.value)
            if one.judged.reason is VerdictReason.EXEMPT:
                self.metrics.count("exemptions", one.policy)
            if one.judged.reason is VerdictReason.THROTTLED:
                self.metrics.count("throttled")


def _row(verdict: ImageVerdict) -> dict[str, object]:
    return {
        "what": verdict.use.what,
        "image": verdict.use.shown,
        "digest": verdict.judged.digest,
        "reason": verdict.judged.reason.value,
        "couldAsk": verdict.judged.reason not in COULD_NOT_ASK,
        "detail": verdict.judged.detail,
        "policy": verdict.policy,
        "mode": verdict.mode.value,
        "cached": verdict.judged.cached,
        "seconds": round(verdict.seconds, 4),
    }


def _timeout(query: bytes) -> float:
    said = parse_qs(query.decode("latin-1")).get("timeout", [""])[0]
    return min(max(seconds_of(said) or DEFAULT_TIMEOUT, _SHORTEST), _LONGEST)


async def _body(receive: Receive) -> bytes | None:
    """Read the body; None: it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_REVIEW:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _plain(status: int, text: str) -> Page:
    return status, "text/plain; charset=utf-8", f"{text}\n".encode()
