"""What flags bought, for a person at a prompt: one table, what does not hold, and advice."""

from collections.abc import Iterator, Mapping, Sequence

from wherry.counted import counted
from wherry.lab.flags import FlagTrials, MeasuredVariant
from wherry.lab.start import Start
from wherry.report.terminal import printable, size, table

_NOTICEABLE = 0.01
"""A part of the file below which a flag is not worth advice."""
_SLOWER = 1.1


def flags_lines(found: FlagTrials) -> list[str]:
    """Say what each variant weighs, how it starts, which beliefs don't hold, and what follows."""
    lines = [f"  {line}" for line in table(list(_rows(found.measured)), right=(0, 1, 2, 3, 4, 5, 6, 7))]
    if found.unstarted:
        lines += ["", found.unstarted]
    elif starts := found.measured[0].starts:
        until = (
            "the program was ready"
            if starts[0].listened
            else "exit: the program exited by itself, so its memory was not measured"
        )
        lines += ["", f"startup: from exec until {until}; median of {counted(len(starts), 'start')}"]
    if found.beliefs:
        lines += ["", "common claims, tested on this program:"]
        for belief in found.beliefs:
            lines += [f"  {'true' if belief.holds else 'false'}: {belief.claim}", f"      {belief.evidence}"]
    lines += ["", *_advice(found)]
    return [printable(line) for line in lines]


def _rows(measured: Sequence[MeasuredVariant]) -> Iterator[tuple[str, ...]]:
    first = measured[0]
    pulled = list(first.weight.pulled) if first.weight else []
    started = any(one.starts for one in measured)
    more = ("start", "spread", "CPU", "PSS", "private") if started else ()
    yield ("unpacked", "", *pulled, *more, "variant")
    for one in measured:
        yield _row(one, first, pulled, started=started)


def _row(one: MeasuredVariant, first: MeasuredVariant, pulled: Sequence[str], *, started: bool) -> tuple[str, ...]:
    if one.weight is None or first.weight is None:
        problem = one.problem.splitlines()[-1][:100] if one.problem else "build failed"
        return ("-", "", *("" for _ in pulled), *(("",) * 5 if started else ()), f"{one.name}: {problem}")
    share = 100 * (one.weight.unpacked - first.weight.unpacked) / first.weight.unpacked
    cells = [size(one.weight.unpacked), f"{share:+.1f} %" if one is not first else ""]
    cells += [size(one.weight.pulled[name]) for name in pulled]
    if started:
        cells += _start(one)
    notes = [
        f"needs {one.interpreter}" if one.interpreter else "",
        f"did not start: {one.problem[:80]}" * bool(one.problem),
    ]
    return (*cells, "  ".join(filter(None, (one.name, *notes))))


def _start(one: MeasuredVariant) -> list[str]:
    if not one.starts:
        return [""] * 5
    least, middle, most = one.spread(_seconds)
    _, cpu, _ = one.spread(lambda run: run.cpu)
    _, pss, _ = one.spread(lambda run: run.pss)
    _, private, _ = one.spread(lambda run: run.private)
    memory = [size(int(pss)), size(int(private))] if pss else ["", ""]
    return [_ms(middle), f"{_ms(least)} to {_ms(most)}", _ms(cpu), *memory]


def _seconds(run: Start) -> float:
    return run.seconds


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"  # noqa: PLR2004 - digits


def _advice(found: FlagTrials) -> Iterator[str]:
    """Say what pays, by what was measured."""
    first = found.measured[0]
    if first.weight is None:
        return
    before = first.weight.unpacked
    saving = [(one, before - one.weight.unpacked) for one in found.measured[1:] if one.weight]
    paying = [(one, saved) for one, saved in saving if saved > before * _NOTICEABLE]
    if not paying:
        yield "no variant is more than 1 % smaller than wherry's build"
    for one, saved in sorted(paying, key=lambda pair: -pair[1]):
        yield f"{one.name} is {size(saved)} smaller{_price(one, first)}"


def _price(one: MeasuredVariant, first: MeasuredVariant) -> str:
    if not one.starts or not first.starts:
        return "; its CPU cost was not measured (use --run)"
    cpu = one.spread(lambda run: run.cpu)[1] / max(first.spread(lambda run: run.cpu)[1], 1e-9)
    private = one.spread(lambda run: run.private)[1] / max(first.spread(lambda run: run.private)[1], 1)
    said = [f"{cpu:.1f} times the CPU time at startup"] if cpu > _SLOWER else []
    said += [f"{private:.1f} times the private memory"] if private > _SLOWER else []
    return f", at the cost of {' and '.join(said)}" if said else ", with no measurable cost at startup"


def flags_document(found: FlagTrials) -> Mapping[str, object]:
    """Give the same for a program: schema "wherry.flags/1"; sizes are bytes, times seconds."""
    return {
        "schema": "wherry.flags/1",
        "variants": [_variant(one) for one in found.measured],
        "beliefs": [{"claim": one.claim, "holds": one.holds, "evidence": one.evidence} for one in found.beliefs],
        "unstarted": found.unstarted,
    }


def _variant(one: MeasuredVariant) -> Mapping[str, object]:
    return {
        "name": one.name,
        "deep": one.deep,
        "unpacked": one.weight and one.weight.unpacked,
        "pulled": one.weight and one.weight.pulled,
        "interpreter": one.interpreter,
        "problem": one.problem,
        "starts": [
            {"seconds": run.seconds, "cpu": run.cpu, "pss": run.pss, "private": run.private, "listened": run.listened}
            for run in one.starts
        ],
    }
