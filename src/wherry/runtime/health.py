"""HEALTHCHECK: a program that is run in the container again and again, and says by its exit code how it is.

Source: Dockerfile reference, HEALTHCHECK; moby v28, daemon/health.go: the times, what counts in the start period, the
size of the output that is kept.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from wherry.errors import InvalidUsage
from wherry.oci.config import HealthcheckConfig
from wherry.typed import from_json

_INTERVAL, _TIMEOUT, _START_INTERVAL, _RETRIES = 30.0, 30.0, 5.0, 3
_SECOND = 1e9


@dataclass(frozen=True, slots=True)
class HealthOptions:
    """What the user wants other than the image says; None: as the image says."""

    command: str | None = None
    """For /bin/sh -c, or a JSON list of words; empty: no checks at all."""
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    retries: int | None = None
    required: bool = False
    """Whether an image without a check is an error."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What is run, and when; times in seconds."""

    argv: tuple[str, ...]
    interval: float = _INTERVAL
    timeout: float = _TIMEOUT
    start_period: float = 0.0
    start_interval: float = _START_INTERVAL
    retries: int = _RETRIES


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """How a container is."""

    health: str
    """`starting`, `healthy` or `unhealthy`."""
    failures: int
    """In a row."""
    text: str
    """What the last check printed."""


def health_check(
    config: HealthcheckConfig | None, shell: tuple[str, ...] | None, options: HealthOptions, name: str
) -> HealthCheck | None:
    """Put an image's HEALTHCHECK and the user's options together; None: there is none.

    Raises:
        InvalidUsage: one is required.
    """
    _check_times(options)
    config = config or HealthcheckConfig()
    test = _test(options.command) if options.command is not None else config.test or ()
    kind, words = (test[0], test[1:]) if test else ("NONE", ())
    argv = {"CMD": words, "CMD-SHELL": (*(shell or ("/bin/sh", "-c")), *words[:1])}.get(kind, ())
    if not argv:
        if options.required:
            raise InvalidUsage(
                f"--health: {name} has no HEALTHCHECK", hint="add one to its Dockerfile, or give --health-cmd COMMAND"
            )
        if any(value is not None for value in (*_times(options).values(), options.retries)):
            raise InvalidUsage(
                f"{name} has no HEALTHCHECK, so there are no times to set"
                if options.command is None
                else "--no-healthcheck with another option of health checks: only one of them",
                hint="give --health-cmd COMMAND too" if options.command is None else "remove one",
            )
        return None
    chosen = [
        (options.interval, config.interval, _INTERVAL),
        (options.timeout, config.timeout, _TIMEOUT),
        (options.start_period, config.start_period, 0.0),
        (None, config.start_interval, _START_INTERVAL),
    ]
    interval, timeout, period, start_interval = (
        own if own is not None else (given / _SECOND if given > 0 else usual) for own, given, usual in chosen
    )
    retries = options.retries or (config.retries if config.retries > 0 else _RETRIES)
    return HealthCheck(argv, interval or _INTERVAL, timeout or _TIMEOUT, period, start_interval, retries)


def _times(options: HealthOptions) -> dict[str, float | None]:
    return {
        "interval": options.interval,
        "timeout": options.timeout,
        "start-period": options.start_period,
    }


def _check_times(options: HealthOptions) -> None:
    for key, seconds in _times(options).items():
        if seconds == 0 and key != "start-period":
            raise InvalidUsage(
                f"--health-{key} 0: no time at all", hint=f"give 1s or more, or leave --health-{key} out"
            )


def _test(command: str) -> tuple[str, ...]:
    """Read a command: a JSON list is a program and its words, as in a Dockerfile; anything else is for the shell."""
    if not command:
        return ("NONE",)
    if not command.lstrip().startswith("["):
        return ("CMD-SHELL", command)
    try:
        words = from_json(command, tuple[str, ...])
    except msgspec.DecodeError:
        words = ()
    if not words or not words[0] or any("\0" in word for word in words):
        raise InvalidUsage(
            f"--health-cmd {command}: not a list of words", hint='write it as ["/app/api", "-check"], or for the shell'
        )
    return ("CMD", *words)


class HealthWatch:
    """Runs the checks of a container, in a thread, until it is stopped."""

    def __init__(
        self,
        check: HealthCheck,
        run: Callable[[tuple[str, ...], float], tuple[int | None, str]],
        hear: Callable[[HealthAnswer], None],
    ) -> None:
        """Begin.

        Args:
            check: what to run.
            run: runs it in the container, for so many seconds at most; gives the exit code (None: it took longer, or
                could not be run) and what was printed.
            hear: called after each check.
        """
        self._check = check
        self._run = run
        self._hear = hear
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Run no more checks."""
        self._stop.set()

    def _watch(self) -> None:
        began, failures, health = time.monotonic(), 0, "starting"
        while not self._stop.wait(self._pause(began, health)):
            starting = health == "starting" and time.monotonic() - began < self._check.start_period
            code, text = self._run(self._check.argv, self._check.timeout)
            if self._stop.is_set():
                return
            if code == 0:
                failures, health = 0, "healthy"
            elif not starting:
                failures += 1
                health = "unhealthy" if failures >= self._check.retries else health
            self._hear(HealthAnswer(health, failures, text))

    def _pause(self, began: float, health: str) -> float:
        in_start = health == "starting" and time.monotonic() - began < self._check.start_period
        return min(self._check.start_interval, self._check.interval) if in_start else self._check.interval
