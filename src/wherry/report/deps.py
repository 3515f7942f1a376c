"""What programs need, for a person at a prompt: what is missing first, then the entry program, then a count."""

from collections.abc import Iterator, Sequence

from wherry.analysis.deps.document import (
    BaseAdvice,
    DepsDocument,
    DepsFinding,
    NeededLibrary,
    PlatformDeps,
    ProgramDeps,
)
from wherry.report.terminal import printable, size, table

_SIGNS = {"error": "missing", "warning": "warning", "note": "note"}


def lines_of(document: DepsDocument, *, every: bool) -> Iterator[str]:
    """Write all platforms.

    Args:
        document: what was found.
        every: whether programs that lack nothing are written too, not only counted.
    """
    for place, one in enumerate(document.platforms):
        if place:
            yield ""
        yield from (printable(line) for line in _platform(one, every=every))


def _platform(one: PlatformDeps, *, every: bool) -> Iterator[str]:
    kinds = {kind: sum(program.kind == kind for program in one.programs) for kind in _KINDS}
    counts = ", ".join(f"{count} {_KINDS[kind][count != 1]}" for kind, count in kinds.items() if count)
    yield f"{one.platform or 'unknown platform'}  {counts or 'no programs'}"
    troubled = {finding.place for finding in one.findings if finding.severity == "error"}
    every_line, every = every, every or len(one.programs) == 1
    shown = [program for program in one.programs if every or program.entry or program.path in troubled]
    for program in shown:
        yield ""
        yield from (f"  {line}" for line in _program(program, whole=every or program.entry))
        yield from _findings([finding for finding in one.findings if finding.place == program.path])
    others = [finding for finding in one.findings if finding.place not in {program.path for program in shown}]
    if others:
        yield ""
        yield from _findings(others, placed=True)
    left = sum(program.kind != "library" for program in one.programs) - len(shown) if not every else 0
    if left:
        yield ""
        yield f"  {left} more, which can be loaded; --all shows them"
    if one.advice and one.advice.options:
        yield ""
        yield from (f"  {line}" for line in _advice(one.advice))
    if one.trace is not None:
        from wherry.report.trace import lines_of_trace

        yield ""
        yield from (f"  {line}" for line in lines_of_trace(one.trace, one.advice, every=every_line))


_KINDS = {
    "dynamic": ("dynamic program", "dynamic programs"),
    "static": ("static program", "static programs"),
    "script": ("script", "scripts"),
    "library": ("library that cannot be loaded", "libraries that cannot be loaded"),
    "broken": ("broken program", "broken programs"),
}


def _program(one: ProgramDeps, *, whole: bool) -> Iterator[str]:
    words = [one.path, one.kind, one.libc, one.architecture, one.go, "(started by a container)" if one.entry else ""]
    yield "  ".join(word for word in words if word)
    if not whole:
        return
    rows: list[tuple[str, ...]] = [("interpreter", file.name, file.path or "MISSING") for file in one.interpreters]
    rows += [_library(library, one.versions.get(library.name, "")) for library in one.libraries]
    rows += [
        ("version", version.version, "not defined (weak)" if version.weak else "MISSING", "", version.path)
        for version in one.missing_versions
    ]
    rows += [("can ask for", ask.kind, ask.path or _STATES[ask.state]) for ask in one.asks]
    yield from (f"  {line}" for line in table(rows))
    if one.kind != "script":
        yield from (f"  note: {note}" for note in one.notes)


_STATES = {
    "there": "",
    "embedded": "embedded in the program",
    "missing": "not there",
    "unknown": "not known without a run",
}


def _library(one: NeededLibrary, version: str) -> tuple[str, ...]:
    return ("library", one.name, one.path or "MISSING", one.by, one.problem if not one.path else version)


def _findings(found: Sequence[DepsFinding], *, placed: bool = False) -> Iterator[str]:
    for one in found:
        yield f"    {_SIGNS[one.severity]}: {f'{one.place}: ' if placed else ''}{one.message}"
        if one.severity == "error":
            yield from (f"      {line}" for line in one.evidence)
            yield f"      remedy: {one.remedy}"


def _advice(advice: BaseAdvice) -> Iterator[str]:
    yield f"base for {advice.program}: {advice.base or 'none of these'}; {advice.why}"
    if not any(option.starts for option in advice.options):
        return
    rows = []
    for option in advice.options:
        state = "fits" if option.starts and not option.breaks else "cannot start" if not option.starts else "breaks"
        kinds = ", ".join(text if not option.starts else text.partition(":")[0] for text in option.breaks)
        rows.append((option.name, size(option.pulled), "pulled", size(option.unpacked), "unpacked", state, kinds))
    yield from (f"  {line}" for line in table(rows, right=(1, 3)))
