"""What all tests share: an end for each of them, and SIGINT as a person's shell has it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # so that `from needs import need` works with importlib mode

# A timing never fails a test, and a busy machine is slow at finding examples too.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

LONGEST = int(os.environ.get("WHERRY_TEST_LONGEST", "1800"))
"""Seconds after which a test that waits for something is failed, so that no run of the suite hangs for ever."""


def pytest_configure() -> None:
    """Take SIGINT back where it is ignored (background jobs, some CI runners): programs that tests start inherit it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End a test that waits too long."""
    if threading.current_thread() is not threading.main_thread():
        return (yield)

    def end(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"{item.nodeid} did not end within {LONGEST} s", pytrace=True)

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LONGEST)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    # nohup, a job in the background and some runners ignore them, and a program that is started would too: tests that
    # interrupt one would wait for ever.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number is signal.SIGINT else signal.SIG_DFL)
