"""Programs without a network, for source that others wrote: each is started by `without_network.py`."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wherry.host.process import Command, Outcome, ProcessHandle, Runner

_SCRIPT = str(Path(__file__).with_name("without_network.py"))


class OfflineRunner:
    """Starts programs as another runner does, without a network."""

    def __init__(self, runner: Runner) -> None:
        """Take the runner that starts them."""
        self._runner = runner

    def run(self, command: Command) -> Outcome:
        """Run a program to its end."""
        return self._runner.run(_wrapped(command))

    def start(self, command: Command) -> ProcessHandle:
        """Start a program and return at once."""
        return self._runner.start(_wrapped(command))


def is_possible(runner: Runner, folder: Path, environment: Mapping[str, str]) -> bool:
    """Tell whether this machine lets this user have a network namespace."""
    return OfflineRunner(runner).run(Command(("true",), folder, environment)).returncode == 0


def _wrapped(command: Command) -> Command:
    return replace(command, argv=(sys.executable, "-I", "-S", _SCRIPT, *command.argv))
