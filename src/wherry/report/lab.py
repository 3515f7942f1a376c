"""The results of `wherry slim`, for the terminal."""

from collections.abc import Iterator, Mapping

from wherry.counted import counted
from wherry.lab.deadcode import Cause, DeadCode
from wherry.lab.slim import SlimFindings, TriedRemedy, tags_of
from wherry.report.terminal import printable, size, table

_MOST_ROUTES = 12


def slim_lines(found: SlimFindings) -> list[str]:
    """Say what keeps code alive, and what each way out is worth."""
    lines = [*_dead_code(found.dead_code), ""]
    if not found.tried:
        lines.append("no known fix applies; add your own as [slim.NAME] in wherry.toml")
        return lines
    pulled = next(iter(found.before.pulled))
    head = ("saves", "unpacked", f"pulled ({pulled})", "tags", "")
    now = ("", size(found.before.unpacked), size(found.before.pulled[pulled]), "(unchanged)", "")
    rows = [head, now, *(_row(found, one, pulled) for one in sorted(found.tried, key=lambda one: -found.saved(one)))]
    tags = ", ".join(tags_of(found.worth))
    if found.problem:
        rows.append(("-", "", "", tags, f"together: {_unbuilt(found.problem)}"))
    if found.together:
        both = found.together
        saved = found.before.unpacked - both.unpacked
        rows.append((_percent(saved, found), size(both.unpacked), size(both.pulled[pulled]), tags, "together"))
    lines += [f"  {line}" for line in table(rows, right=(0, 1, 2))]
    return [printable(line) for line in lines]


def _row(found: SlimFindings, one: TriedRemedy, pulled: str) -> tuple[str, ...]:
    tags = ", ".join(one.way.tags)
    if one.weight is None:
        return ("-", "", "", tags, _unbuilt(one.problem))
    said = f"drops {one.way.drops}" if one.way.drops else "drops nothing"
    if one.eliminated:
        said += "; enables dead-code elimination"
    saved = _percent(found.saved(one), found)
    return (saved, size(one.weight.unpacked), size(one.weight.pulled[pulled]), tags, said)


def _unbuilt(problem: str) -> str:
    return f"build failed: {problem.splitlines()[0][:120]}"


def _percent(saved: int, found: SlimFindings) -> str:
    return f"{100 * saved / found.before.unpacked:.1f} %"


def _dead_code(found: DeadCode) -> Iterator[str]:
    if found.eliminated:
        linked = f"{counted(found.symbols, 'symbol')} linked"
        yield f"dead-code elimination works: no method is looked up by a name computed at run time ({linked})"
        return
    if not found.told:
        yield "cannot tell what defeats dead-code elimination: the linker of this Go version does not report it"
        return
    yield "every exported method is kept, because methods may be looked up by a name computed at run time:"
    for cause in found.causes:
        yield f"  {cause.function}"
        yield from _ways_to(cause)
    if found.consequences:
        count = len(found.consequences)
        yield f"  ({count} more function{'s' * (count > 1)} that may be linked only for this reason)"


def _ways_to(cause: Cause) -> Iterator[str]:
    if not cause.routes:
        yield f"      {' → '.join(cause.chain[-6:])}"
    yield from (f"      {' → '.join(route)}" for route in cause.routes[:_MOST_ROUTES])
    if len(cause.routes) > _MOST_ROUTES:
        yield f"      and {len(cause.routes) - _MOST_ROUTES} more call chains"


def slim_document(found: SlimFindings) -> Mapping[str, object]:
    """Give the same for a program: schema "wherry.slim/1"; sizes are bytes."""
    return {
        "schema": "wherry.slim/1",
        "told": found.dead_code.told,
        "eliminated": found.dead_code.eliminated,
        "causes": [
            {"function": one.function, "package": one.package, "chain": one.chain, "routes": one.routes}
            for one in found.dead_code.causes
        ],
        "consequences": found.dead_code.consequences,
        "before": {"unpacked": found.before.unpacked, "pulled": found.before.pulled},
        "ways": [
            {
                "name": one.way.name,
                "tags": one.way.tags,
                "drops": one.way.drops,
                "why": one.way.why,
                "unpacked": one.weight and one.weight.unpacked,
                "pulled": one.weight and one.weight.pulled,
                "saved": found.saved(one),
                "eliminated": one.eliminated,
                "problem": one.problem,
            }
            for one in found.tried
        ],
        "together": found.together and {"unpacked": found.together.unpacked, "pulled": found.together.pulled},
        "problem": found.problem,
        "advised": [one.way.name for one in found.advised],
    }
