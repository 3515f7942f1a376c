"""A real Chromium without a window, driven by chromedriver over plain HTTP.

Source: W3C WebDriver (endpoints); Chromium's `goog:loggingPrefs` (what the page's console said).
"""

import http.client
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from needs import need

_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
KEYS = {
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Backspace": "\ue003",
    "Right": "\ue014",
    "Down": "\ue015",
    "Tab": "\ue004",
}


class Browser:
    """One window; it and its driver end when the block does."""

    def __init__(self, folder: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self.folder, self.dark = folder, dark
        self.size = (width, height)

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        chromium = need("chromium")
        self.driver = subprocess.Popen(
            [need("chromedriver"), f"--port={self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        arguments = [
            *_QUIET,
            f"--user-data-dir={self.folder / 'profile'}",
            f"--window-size={self.size[0]},{self.size[1]}",
        ]
        options = {"binary": chromium, "args": arguments}
        if self.size[0] < 500:
            options["mobileEmulation"] = {
                "deviceMetrics": {"width": self.size[0], "height": self.size[1], "pixelRatio": 2}
            }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}}, patience=30)
        self.session = f"/session/{answer['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", self.session, None)
        finally:
            self.driver.terminate()
            self.driver.wait(10)

    def _ask(self, verb: str, path: str, body: object, *, patience: float = 0.0) -> Any:
        until = time.monotonic() + patience
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request(verb, path, json.dumps(body) if body is not None else None)
                answer = json.loads(connection.getresponse().read())["value"]
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
                continue
            finally:
                connection.close()
            assert not (isinstance(answer, dict) and "error" in answer), answer
            return answer

    def open(self, page: Path) -> None:
        """Open a file."""
        self._ask("POST", f"{self.session}/url", {"url": page.as_uri()})
        if self.dark:
            command = {
                "cmd": "Emulation.setEmulatedMedia",
                "params": {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
            }
            self._ask("POST", f"{self.session}/goog/cdp/execute", command)

    def run(self, script: str) -> Any:
        """Run a script in the page; give what it returns."""
        return self._ask("POST", f"{self.session}/execute/sync", {"script": script, "args": []})

    def press(self, *keys: str) -> None:
        """Press keys, one after another, wherever the focus is."""
        actions = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        body = {"actions": [{"type": "key", "id": "keys", "actions": actions}]}
        self._ask("POST", f"{self.session}/actions", body)

    def log(self, kind: str) -> list[dict]:
        """Read what the console said (`browser`), or what was asked of the network (`performance`)."""
        return self._ask("POST", f"{self.session}/se/log", {"type": kind})
