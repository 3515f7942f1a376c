"""Spans of a build for OpenTelemetry, through its own SDK (extra `otel`): the build, and each step that was done.

They are made once the build has ended, of the times that it took itself. Whatever goes wrong with them is a warning.
Sources: OpenTelemetry specification 1.50, "Trace SDK"; W3C Trace Context for TRACEPARENT, as BuildKit reads it.
"""

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wherry import __version__
from wherry.app.session import Session
from wherry.app.traced import FILE, sends

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from wherry.app.build.build import FinishedBuild
    from wherry.build.solver import StepOutcome

_NANO: Final = 1_000_000_000
_MISSING: Final = (
    "spans were asked for, but OpenTelemetry is not installed: pipx inject wherry 'wherry[otel]', "
    "or pip install 'wherry[otel]'"
)


@dataclass(frozen=True, slots=True)
class BuildSpans:
    """What the spans of a build are made of."""

    command: str
    began: float
    ended: float
    outcomes: "Sequence[StepOutcome]" = ()
    attributes: dict[str, str | int | bool | Sequence[str]] = field(default_factory=dict)
    error: str = ""


def spans_of(session: Session, done: "FinishedBuild", command: str, began: float) -> BuildSpans:
    """Take what a build tells of itself."""
    images = done.result.images
    return BuildSpans(
        command,
        began,
        session.clock(),
        tuple(done.built.outcomes.values()),
        {
            "wherry.images": [name for image in images for name in image.names],
            "wherry.digests": [image.digest for image in images],
            "wherry.front_end": str(done.result.front_end),
            "wherry.unchanged": done.result.unchanged,
        },
    )


def send(session: Session, build: BuildSpans) -> None:
    """Send the spans of a build to where the environment says.

    Args:
        session: its environment has the standard variables; the SDK reads those of endpoints, headers and timeouts
            from the process itself.
        build: what they are made of.
    """
    if importlib.util.find_spec("opentelemetry") is None:
        session.progress.warn(_MISSING)
        return
    try:
        failed = _export(session, _made(session, build))
    except Exception as error:  # noqa: BLE001 - spans are never worth a failed build
        session.progress.warn(f"no spans: {type(error).__name__}: {error}")
    else:
        if failed:
            session.progress.warn(f"no spans: {failed} did not take them")


def _export(session: Session, spans: "Sequence[ReadableSpan]") -> str:
    """Hand spans over; give what did not take them."""
    from opentelemetry.sdk.trace.export import SpanExportResult

    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())  # what failed is said once, by us
    logging.getLogger("opentelemetry").propagate = False
    failed = []
    for name, exporter in _exporters(session):
        if exporter.export(spans) is not SpanExportResult.SUCCESS:
            failed.append(name)
        exporter.shutdown()
    return " and ".join(failed)


def _exporters(session: Session) -> "list[tuple[str, SpanExporter]]":
    found: list[tuple[str, SpanExporter]] = []
    if file := session.environment.get(FILE):
        from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter

        found.append((file, FileSpanExporter(session.cwd / file)))
    if sends(session.environment):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        found.append(("the endpoint", OTLPSpanExporter()))
    return found


def _made(session: Session, build: BuildSpans) -> "Sequence[ReadableSpan]":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.trace import Status, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    kept: list[ReadableSpan] = []

    class Kept(SpanProcessor):
        """Keeps spans that ended."""

        def on_end(self, span: ReadableSpan) -> None:
            """Keep one."""
            kept.append(span)

    resource = Resource.create({"service.name": "wherry", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(Kept())
    tracer = provider.get_tracer("wherry", __version__)
    carrier = {name: session.environment.get(name.upper(), "") for name in ("traceparent", "tracestate")}
    parent = TraceContextTextMapPropagator().extract(carrier)
    root = tracer.start_span(
        f"wherry {build.command}", parent, start_time=int(build.began * _NANO), attributes=build.attributes
    )
    inside = set_span_in_context(root, parent)
    for one in build.outcomes:
        began = one.began or build.began
        attributes: dict[str, bool | list[str]] = {"wherry.cached": one.cached, "wherry.reasons": list(one.reasons)}
        step = tracer.start_span(one.step.name, inside, start_time=int(began * _NANO), attributes=attributes)
        step.end(int((began + one.seconds) * _NANO))
    if build.error:
        root.set_status(Status(StatusCode.ERROR, build.error))
    root.end(int(build.ended * _NANO))
    return kept
