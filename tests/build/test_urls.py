"""ADD of URLs: through the user's proxies, redirects one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from registries import serving
from wherry.build.git import CannotFetch
from wherry.build.urls import CachingFetcher
from wherry.host.process import SystemRunner
from wherry.settings.proxies import Proxies


@contextmanager
def server(answers: dict[str, tuple[int, str]], seen: list[tuple[str, str]]) -> Iterator[str]:
    """Answer whole URLs as a proxy is asked, or paths: with a body, or with where to go."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Proxy-Authorization", "")))
            status, text = answers.get(self.path, (404, ""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", text)
                text = ""
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with serving(Handler) as host:
        yield host


def fetcher(folder: Path, environment: dict[str, str]) -> CachingFetcher:
    """Fetch with what an environment says of proxies."""
    return CachingFetcher(folder, SystemRunner(), environment, proxy_for=Proxies.of(environment).proxy_for)


def test_a_proxy_is_used(tmp_path: Path):
    """With its own name and password, for a host that nobody else knows."""
    seen: list[tuple[str, str]] = []
    with server({"http://files.invalid/a": (200, "hello")}, seen) as host:
        fetched = fetcher(tmp_path, {"HTTP_PROXY": f"http://ann:s3cret@{host}"}).http("http://files.invalid/a", "")

    assert (fetched.folder / fetched.name).read_text() == "hello"
    assert seen == [("http://files.invalid/a", "Basic YW5uOnMzY3JldA==")]


def test_exceptions_and_this_machine_are_reached_directly(tmp_path: Path):
    """A redirect from a host behind the proxy to this machine leaves the proxy out, and its password with it."""
    seen: list[tuple[str, str]] = []
    proxied: list[tuple[str, str]] = []
    with (
        server({"/b": (200, "direct")}, seen) as here,
        server({"http://files.invalid/a": (302, f"http://{here}/b")}, proxied) as host,
    ):
        fetched = fetcher(tmp_path, {"http_proxy": f"http://ann:s3cret@{host}"}).http("http://files.invalid/a", "")

    assert (fetched.folder / fetched.name).read_text() == "direct"
    assert seen == [("/b", "")]
    assert len(proxied) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x/y", "/loop"])
def test_redirects_that_lead_nowhere(tmp_path: Path, target: str):
    """Another scheme is not gone to, and a circle ends."""
    seen: list[tuple[str, str]] = []
    with server({"/loop": (302, target)}, seen) as host, pytest.raises(CannotFetch):
        fetcher(tmp_path, {}).http(f"http://{host}/loop", "")

    assert len(seen) <= 11


def test_a_damaged_record_is_fetched_again(tmp_path: Path):
    """What is known of a URL is a cache."""
    with server({"/a": (200, "hello")}, []) as host:
        fetcher(tmp_path, {}).http(f"http://{host}/a", "")
        for record in tmp_path.rglob("record.json"):
            record.write_bytes(b"\xa5")
        fetched = fetcher(tmp_path, {}).http(f"http://{host}/a", "")

    assert (fetched.folder / fetched.name).read_text() == "hello"
