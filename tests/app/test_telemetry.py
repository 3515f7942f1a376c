"""Spans of builds: what OpenTelemetry's own packages read is what the build did."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cli_shell import Shell
from wherry.app.traced import is_traced

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with a Dockerfile that copies a file."""
    made = Shell(tmp_path / "here")
    made.write("Dockerfile", "FROM scratch\nCOPY a.txt /\n")
    made.write("a.txt", "a")
    return made


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"WHERRY_OTEL_FILE": "f"}, True),
    ],
)
def test_the_standard_variables_decide(environment, wanted):
    """Nothing is loaded where none is set."""
    assert is_traced(environment) == wanted


@pytest.mark.slow
def test_a_file_has_the_build_and_its_steps(shell: Shell) -> None:
    """Each build adds a line of OTLP: a root below the caller's span, and each step inside of its time."""
    shell.environment |= {"WHERRY_OTEL_FILE": "spans.jsonl", "TRACEPARENT": f"00-{TRACE}-{PARENT}-01"}
    for _ in range(2):
        shell("build", "-f", "Dockerfile", "-t", "web:1", ".")
    lines = (shell.root / "spans.jsonl").read_text().splitlines()
    first, again = ([
        span for one in json.loads(line)["resourceSpans"] for scope in one["scopeSpans"] for span in scope["spans"]
    ] for line in lines)  # fmt: skip
    (root,) = [span for span in first if span["name"] == "wherry build"]
    steps = [span for span in first if span is not root]

    assert (root["traceId"], root["parentSpanId"]) == (TRACE, PARENT)
    assert any("COPY a.txt" in span["name"] for span in steps)
    assert {span["parentSpanId"] for span in steps} == {root["spanId"]}
    for span in steps:
        assert int(root["startTimeUnixNano"]) <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert int(span["endTimeUnixNano"]) <= int(root["endTimeUnixNano"])
    assert len(again) == len(first)


class _Collector(BaseHTTPRequestHandler):
    """Takes what is posted."""

    def do_POST(self) -> None:
        """Keep it."""
        self.server.taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[HTTPServer]:
    """A collector on loopback."""
    with HTTPServer(("127.0.0.1", 0), _Collector) as server:
        server.taken = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_an_endpoint_gets_them(shell: Shell, collector: HTTPServer) -> None:
    """As OTLP over HTTP, which its own protobuf reads; a build that failed is an error."""
    shell.write("broken", "FROM scratch\nCOPY absent /\n")
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
    environment = {**shell.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    for file in ("Dockerfile", "broken"):
        words = [sys.executable, "-m", "wherry", "build", "-q", "-f", file, "-t", "web:1", "."]
        subprocess.run(words, cwd=shell.root, env=environment, check=False, capture_output=True)
    (path, good), (_, bad) = collector.taken
    spans = [
        [span for one in ExportTraceServiceRequest.FromString(body).resource_spans
         for scope in one.scope_spans for span in scope.spans]
        for body in (good, bad)
    ]  # fmt: skip

    assert path == "/v1/traces"
    assert [span.status.code for span in spans[0] if span.name == "wherry build"] == [0]
    assert [(span.name, span.status.code) for span in spans[1]] == [("wherry build", 2)]


@pytest.mark.slow
def test_a_build_never_fails_for_them(shell: Shell) -> None:
    """A file that can't be written is a warning; so is a missing package."""
    shell.environment["WHERRY_OTEL_FILE"] = "no/such/folder/spans"
    shell("build", "-f", "Dockerfile", "-t", "web:1", ".")
    assert "no spans" in shell.err
    code = "import sys; sys.modules['opentelemetry'] = None; from wherry.cli.main import main; main()"
    words = [sys.executable, "-c", code, "build", "-f", "Dockerfile", "-t", "web:2", "."]
    done = subprocess.run(words, cwd=shell.root, env=shell.environment, check=False, capture_output=True, text=True)

    assert done.returncode == 0
    assert "wherry[otel]" in done.stderr
