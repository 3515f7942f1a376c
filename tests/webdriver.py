"""A browser for tests: Debian's Chromium through chromedriver, spoken to in W3C WebDriver, which is JSON over HTTP.

Source: https://www.w3.org/TR/webdriver2/, sections 8 to 18; `goog/cdp` is chromedriver's door to the DevTools protocol.
"""

import base64
import http.client
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from needs import need

KEYS = {
    "Enter": "\ue007", "Escape": "\ue00c", "Backspace": "\ue003",
    "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015",
}  # fmt: skip
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Browser:
    """One session."""

    port: int
    session: str

    def post(self, command: str, body: Mapping[str, object]) -> Any:
        """Send a command; give its value."""
        return _ask(self.port, "POST", f"/session/{self.session}/{command}", body)

    def open(self, page: Path) -> None:
        """Load a file."""
        self.post("url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        """Give what a script returns."""
        return self.post("execute/sync", {"script": script, "args": []})

    def script(self, script: str) -> Any:
        """Run a script that ends by calling `done`; give what it hands over."""
        script = f"const done = arguments[arguments.length - 1]; {script}"
        return self.post("execute/async", {"script": script, "args": []})

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        pressed = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self.post("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": pressed}]})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Give, and forget, what was logged: `browser` is the console, `performance` the network."""
        found = self.post("se/log", {"type": kind})
        assert isinstance(found, list)
        return found

    def devtools(self, command: str, **parameters: object) -> Any:
        """Send a command of the DevTools protocol."""
        return self.post("goog/cdp/execute", {"cmd": command, "params": parameters})

    def picture(self, path: Path) -> None:
        """Write what is seen."""
        shown = _ask(self.port, "GET", f"/session/{self.session}/screenshot", None)
        path.write_bytes(base64.b64decode(shown))

    def screen(self, width: int, height: int, *, dark: bool = False) -> None:
        """Be a screen of a size, whose owner likes it dark or light."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with a new profile; it ends with the context."""
    driver = need("chromedriver")
    arguments = [*_ARGUMENTS, f"--user-data-dir={folder}"]
    options = {"binary": need("chromium"), "args": arguments}
    capabilities = {
        "browserName": "chrome", "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }  # fmt: skip
    with subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = next(
                int(found[1]) for line in process.stdout if (found := re.search(r"successfully on port (\d+)", line))
            )
            made = _ask(port, "POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
            try:
                yield Browser(port, made["sessionId"])
            finally:
                _ask(port, "DELETE", f"/session/{made['sessionId']}", None)
        finally:
            process.terminate()


def _ask(port: int, method: str, path: str, body: Mapping[str, object] | None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        value = json.loads(reply.read())["value"]
    finally:
        connection.close()
    assert reply.status == http.client.OK, value
    return value
