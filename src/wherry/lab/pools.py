"""What tcp_fin_timeout does to a connection pool, tried: four trials in network namespaces, 1 s for 30 s."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import HostUnable
from wherry.host.process import Command, Runner

_SCALE = 30
_TRIALS = ((60, 30, 90, 15), (30, 30, 90, 15), (60, 90, 30, 45), (30, 90, 30, 45))


@dataclass(frozen=True, slots=True)
class PoolTrial:
    """One trial: the timeouts, and what happened. Times are seconds as they would be in production."""

    fin_timeout: int
    pool_idle: int
    server_idle: int
    gap: int
    """Between two requests."""
    requests: int
    failed: int
    reused: int
    """Requests that were sent on a connection that was open before."""
    fin_wait: float
    """How long the kernel kept the closed connection, whose other end stayed open."""


def pool_trials(runner: Runner, cwd: Path) -> tuple[PoolTrial, ...]:
    """Run the trials side by side; they take about six seconds.

    Raises:
        HostUnable: this machine refuses network namespaces.
    """
    from wherry.lab import pool_trial

    script = str(Path(pool_trial.__file__))
    started = []
    try:
        for trial in _TRIALS:
            words = (sys.executable, "-I", "-S", script, *(f"{one / _SCALE:g}" for one in trial))
            started.append(runner.start(Command(words, cwd, {"PATH": os.defpath})))
        outcomes = [one.finish() for one in started]
    finally:
        for one in started:
            one.stop()
    trials = []
    for trial, outcome in zip(_TRIALS, outcomes, strict=True):
        if outcome.returncode:
            raise HostUnable(
                f"the trial cannot run: {outcome.words}",
                hint="run `wherry doctor`: it says why namespaces are refused",
            )
        seen = json.loads(outcome.stdout)
        trials.append(PoolTrial(*trial, seen["requests"], seen["failed"], seen["reused"], seen["fin_wait_2"] * _SCALE))
    return tuple(trials)
