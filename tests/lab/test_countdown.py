"""Trials are counted, with what is left by the mean of those that are done."""

from wherry.lab.countdown import Countdown


def test_counts_and_estimates():
    """The first has no estimate; later ones have, in seconds and then in minutes."""
    said: list[str] = []
    times = iter((0.0, 20.0, 80.0))
    trial = Countdown(said.append, 4, lambda: next(times))
    for name in ("a", "b", "c"):
        trial(name)

    assert said == ["1 of 4: a", "2 of 4: b; about 1 min left", "3 of 4: c; about 2 min left"]


def test_more_than_expected():
    """A trial too many raises the sum; nothing is "5 of 4"."""
    said: list[str] = []
    trial = Countdown(said.append, 1, lambda: 0.0)
    trial("a")
    trial("b")

    assert said[-1] == "2 of 2: b; about 0 s left"
