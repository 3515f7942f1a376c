"""The server: listens, answers by what is loaded, loads it again when it changes, and ends without losing a request."""

import asyncio
import base64
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from wherry.app.admission.certificates import (
    CertificateFiles,
    CertificateSource,
    OwnCertificate,
    SharedCertificate,
)
from wherry.app.admission.credentials import CredentialsOfPods, server_session
from wherry.app.admission.judge import ImageJudge
from wherry.app.admission.metrics import AdmissionMetrics
from wherry.app.admission.review import Reviewer
from wherry.app.admission.state import AdmissionSource, AdmissionState, load_state, mark_of
from wherry.app.admission.tls import KeyPair, context, show
from wherry.app.admission.web import AdmissionPages
from wherry.app.extras import trusting
from wherry.app.session import Session
from wherry.errors import HostUnable, WherryError

if TYPE_CHECKING:
    import uvicorn

_LOOK = 0.5
"""Seconds between looks at files; what changed is read at the second look, when nobody writes it any more."""
_RETRY = 30.0
"""Seconds after which a configuration that was refused is read again though no file changed: a plug-in may be back."""
_ASK = 10.0
"""Seconds between looks at the Secret of the certificate."""
_KEEP_ALIVE = 120
"""Seconds that an idle connection is kept: longer than API servers do (90 s), so that they end it, between requests."""
_CONNECTIONS = 2000
"""Connections and requests at once; more are answered with 503."""
Log = Callable[[Mapping[str, object]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to serve."""

    source: AdmissionSource
    address: str = "0.0.0.0"  # noqa: S104 - an API server comes from another machine
    port: int = 8443
    drain: float = 5.0
    """Seconds that requests are still taken after SIGTERM, while readiness says no: so long endpoints may be old."""


def serve(session: Session, options: ServeOptions, *, log: Log, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        session: where files and registries are.
        options: what to serve, and where.
        log: is given one record a decision, and one an event.
        ready: is given the address that is listened on.

    Raises:
        HostUnable: the port is taken, or the extra `admission` is not installed.
        WherryError: the configuration is wrong.
    """
    with trusting("an admission server"):
        import cryptography  # noqa: F401 - what is missing is said before anything is done
        import uvicorn  # noqa: F401 - as above
    AdmissionServer(session, options, log).run(ready)


class AdmissionServer:
    """One server."""

    def __init__(self, session: Session, options: ServeOptions, log: Log) -> None:
        """Load the configuration.

        Raises:
            WherryError: it is wrong.
        """
        self._given = session
        self._options = options
        self._log = log
        self.metrics = AdmissionMetrics()
        self._session, self._session_marks = server_session(session)
        self._state = load_state(session, options.source)
        self._judge = ImageJudge(lambda result: self.metrics.count("cache", result))
        self._draining = False
        self._pair: KeyPair | None = None
        self._context: ssl.SSLContext | None = None
        self._complaints: dict[str, str] = {}
        self._seen: object = None
        self._refused: tuple[object, float] = None, 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._certificates = self._source_of(self._state)
        self._take(self._state)

    def run(self, ready: Callable[[str], None]) -> None:
        """Serve until a signal comes."""
        asyncio.run(self._run(ready))

    def _take(self, state: AdmissionState) -> None:
        """Judge by another state from now on; requests that are under way end by theirs."""
        if state.settings.tls != self._state.settings.tls:
            self._certificates = self._source_of(state)
        self._state = state
        self._judge.databases, self._judge.offline = state.settings.databases, state.settings.offline
        credentials = CredentialsOfPods(self._session, self._given, state.settings.pull_secrets, self._unread)
        self._reviewer = Reviewer(state, self._judge, credentials)

    def _source_of(self, state: AdmissionState) -> CertificateSource:
        tls = state.settings.tls
        source = self._options.source.configuration
        folder = (self._given.cwd / source).parent if source and self._options.source.tls is None else self._given.cwd
        if tls.certificate:
            return CertificateFiles(folder, tls)
        if tls.secret:
            from wherry.app.clusters import cluster

            return SharedCertificate(cluster(self._given).server, tls, self._given.clock)

        def publish(authority: bytes) -> None:
            if tls.authority:
                from wherry.store.files import replacing

                with replacing(folder / tls.authority) as file:
                    file.write(authority)
            else:
                self._log({"event": "authority", "caBundle": base64.b64encode(authority).decode()})

        return OwnCertificate(tls, self._given.clock, publish)

    async def _run(self, ready: Callable[[str], None]) -> None:
        import uvicorn

        self._loop = asyncio.get_running_loop()
        options = self._options
        listener = _listener(options.address, options.port)
        await self._renew()
        if self._context is None:
            self._context = context(OwnCertificate(self._state.settings.tls, time.time, lambda _: None).current())
        pages = AdmissionPages(
            reviewer=lambda: self._reviewer,
            metrics=self.metrics,
            refresh=self._refresh,
            unready=self.unready,
            log=self._log,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # whoever scans ports must not fill the log
        shown = self._context
        config = uvicorn.Config(
            pages, http="h11", ws="none", lifespan="off", loop="asyncio", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=30,
            backlog=2048, limit_concurrency=_CONNECTIONS, ssl_context_factory=lambda _config, _default: shown,
        )  # fmt: skip
        server = _server(config, self._drained)
        watching = [asyncio.create_task(self._watch_files()), asyncio.create_task(self._watch_certificates())]
        host = f"[{options.address}]" if ":" in options.address else options.address
        ready(f"https://{host}:{listener.getsockname()[1]}")
        try:
            await server.serve(sockets=[listener])
        finally:
            for task in watching:
                task.cancel()
            self._judge.close()
            self._log({"event": "ended"})

    def unready(self) -> str:
        """Say why no request should come here; empty: it may."""
        if self._draining:
            return "it is ending"
        if self._pair is None:
            return f"no certificate: {self._complaints.get('certificate', 'it is being made')}"
        if self._pair.expires <= self._given.clock():
            return "the certificate has expired"
        return ""

    def _drained(self) -> float:
        """Begin to end; give the seconds to wait."""
        self._draining = True
        self._log({"event": "ending", "drain": self._options.drain})
        return self._options.drain

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            await self._reload()

    async def _reload(self) -> None:
        if not self._changed():
            return
        try:
            state = await asyncio.to_thread(load_state, self._given, self._options.source)
            session, marks = await asyncio.to_thread(server_session, self._given)
        except WherryError as error:
            self._refused = self._seen, time.monotonic() + _RETRY
            self._complain("configuration", error)
            return
        self._session, self._session_marks = session, marks
        self._take(state)
        self._settled("configuration", {"policies": {name: one.digest for name, one in state.policies.items()}})
        await self._renew()

    def _changed(self) -> bool:
        """Report whether a file is another than what was read, and the same as at the last look."""
        marks = {**self._state.files, **self._session_marks.marks}
        now = {path: mark_of(path) for path in marks}
        settled, self._seen = now == self._seen, now
        refused, again = self._refused
        return now != marks and settled and (now != refused or time.monotonic() > again)

    async def _watch_certificates(self) -> None:
        while True:
            shared = bool(self._state.settings.tls.secret)
            await asyncio.sleep(_ASK if shared and self._pair is not None else _LOOK)
            await self._renew()

    async def _renew(self) -> None:
        """Show the certificate that there is now; where there is none, show what was shown before."""
        try:
            pair = await asyncio.to_thread(self._certificates.current)
            if pair == self._pair:
                self._complaints.pop("certificate", None)
                return
            if self._context is None:
                self._context = context(pair)
            else:
                show(self._context, pair)
        except WherryError as error:
            self._complain("certificate", error)
            return
        self._pair = pair
        self._settled("certificate", {"expires": int(pair.expires)})

    def _complain(self, what: str, error: WherryError) -> None:
        """Say that something new is wrong, and what was before stays; once for each wrong."""
        if self._complaints.get(what) != error.message:
            self._complaints[what] = error.message
            self.metrics.count("reloads", f"{what} refused")
            self._log({"event": f"{what} refused", "detail": error.message, "hint": error.hint})

    def _unread(self, what: str, error: WherryError) -> None:
        """Say that a pull secret cannot be read; called in threads."""

        def said() -> None:
            self.metrics.count("reloads", "pull secret refused")
            self._log({"event": f"{what} refused", "detail": error.message, "hint": error.hint})

        if self._loop is not None:
            self._loop.call_soon_threadsafe(said)

    def _settled(self, what: str, facts: Mapping[str, object]) -> None:
        self._complaints.pop(what, None)
        self.metrics.count("reloads", what)
        self._log({"event": what, **facts})

    def _refresh(self) -> None:
        gauges = self.metrics.gauges
        gauges["cache_entries"] = "Images whose evidence is kept", self._judge.kept
        gauges["ready"] = "Whether requests may be sent here", float(not self.unready())
        gauges["configuration_current"] = (
            "Whether the configuration on disk is the one that is used",
            float("configuration" not in self._complaints),
        )
        if self._pair is not None:
            gauges["certificate_expiry_timestamp_seconds"] = "When the certificate ends", self._pair.expires


def _listener(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    dual = address == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((address, port), family=family, backlog=2048, dualstack_ipv6=dual)
    except OSError as error:
        raise HostUnable(
            f"{address}:{port}: {error.strerror or error}", hint="choose another port with --port, or --address"
        ) from error


def _server(config: "uvicorn.Config", drained: Callable[[], float]) -> "uvicorn.Server":
    """Make a server that goes on for a while after the first signal, and ends at once at the second."""
    import uvicorn

    class Draining(uvicorn.Server):
        _asked = False

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the library's signature
            if self._asked:
                self.should_exit = self.force_exit = True
                return
            self._asked = True
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: loop.call_later(drained(), self._leave))

        def _leave(self) -> None:
            self.should_exit = True

    loop = asyncio.get_running_loop()
    return Draining(config)
