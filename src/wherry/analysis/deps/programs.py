"""One program against a root: what it needs, what of that is there, and the findings.

Sources: ld.so(8); execve(2); Go 1.26 (see `go_asks`).
"""

import re
from collections.abc import Iterable, Iterator

from wherry.analysis.deps.document import AskedFile, MissingVersion, NeededFile, NeededLibrary, ProgramDeps
from wherry.analysis.deps.facts import BrokenFile, Facts, ScriptFacts
from wherry.analysis.deps.go_asks import ASKS, GoAsk
from wherry.analysis.deps.loader import ResolvedVersion, closure_of
from wherry.analysis.deps.root import ProgramRoot
from wherry.analysis.deps.scripts import interpreters_of
from wherry.finding import Finding, Severity

_NUMBERS = re.compile(r"\d+")
_PRIVATE = "_PRIVATE"
RULES = (
    "missing-interpreter", "missing-library", "missing-version", "wrong-architecture", "broken-program",
    "missing-files", "missing-program",
)  # fmt: skip
"""The rules of `findings_of`, and of `judge` for an image without the program that it starts."""


def deps_of(root: ProgramRoot, path: str, facts: Facts, *, entry: bool = False) -> ProgramDeps:
    """Find what an executable needs.

    Args:
        root: where it starts.
        path: where it is in it.
        facts: what the file says.
        entry: whether a container starts it.
    """
    match facts:
        case BrokenFile(problem):
            return ProgramDeps(path=path, kind="broken", entry=entry, notes=(problem,))
        case ScriptFacts():
            return _script(root, path, facts, entry=entry)
    closure = closure_of(root, root.find(path) or path, facts)
    found = root.find(facts.interpreter) if facts.interpreter else None
    dynamic = bool(facts.interpreter or facts.dynamic.needed)
    return ProgramDeps(
        path=path,
        kind="dynamic" if dynamic else "static",
        entry=entry,
        architecture=facts.architecture,
        go=facts.go,
        libc=("musl" if "/ld-musl-" in facts.interpreter else "glibc") if facts.interpreter else "",
        interpreters=(NeededFile(name=facts.interpreter, path=found or ""),) if facts.interpreter else (),
        libraries=tuple(
            NeededLibrary(name=one.name, path=one.path, by=one.by, needed_by=one.needed_by, problem=one.problem)
            for one in closure.libraries
        ),
        versions=_newest(closure.versions),
        missing_versions=tuple(
            MissingVersion(
                library=one.library, path=one.path, version=one.version, needed_by=one.needed_by, weak=one.weak
            )
            for one in closure.versions
            if not one.found
        ),
        asks=tuple(asks_of(root, facts.functions)),
        notes=closure.notes,
    )


def asks_of(root: ProgramRoot, functions: frozenset[str]) -> Iterator[AskedFile]:
    """Find what the packages of a Go program can ask for, and whether it is there."""
    for ask in ASKS:
        linked = tuple(name for name in ask.functions if name in functions)
        if linked:
            state, path = _state(root, ask, functions)
            yield AskedFile(
                kind=ask.kind, functions=linked, state=state, path=path, effect=ask.effect, matters=ask.matters
            )


def findings_of(program: ProgramDeps, platform: str = "") -> Iterator[Finding]:
    """Judge a program: `error` where it cannot start, `warning` where something that it can ask for is missing.

    A library is judged with a warning: whether a program opens it is not known without a run.

    Args:
        program: what it needs.
        platform: the image's, such as `linux/amd64`; empty: any.
    """
    yield from _broken(program, platform)
    yield from _interpreter(program)
    severity = Severity.WARNING if program.kind == "library" else Severity.ERROR
    libraries = [one for one in program.libraries if not one.path]
    if libraries:
        yield Finding(
            rule="missing-library",
            severity=severity,
            place=program.path,
            message=f"not found: {', '.join(one.name for one in libraries)}",
            evidence=tuple(
                f"{one.needed_by} needs {one.name}{f'; {one.problem}' if one.problem else ''}" for one in libraries
            ),
            remedy="install the packages that have these libraries, or link the program statically",
        )
    versions = [one for one in program.missing_versions if not one.weak]
    if versions:
        yield Finding(
            rule="missing-version",
            severity=severity,
            place=program.path,
            message=f"{versions[0].path} has no {', '.join(sorted({one.version for one in versions}))}",
            evidence=tuple(f"{one.needed_by} needs {one.version} of {one.library}" for one in versions),
            remedy="build the program on the image's own release, or choose a newer base",
        )
    yield from _asked(program)


def _broken(program: ProgramDeps, platform: str) -> Iterator[Finding]:
    if program.kind == "broken":
        yield Finding(
            rule="broken-program",
            severity=Severity.ERROR,
            place=program.path,
            message=f"it cannot be read: {program.notes[0]}",
            remedy="build or copy the file again",
        )
    parts = platform.split("/")
    wanted = parts[1] if len(parts) > 1 else ""
    if program.entry and wanted and program.architecture not in {"", wanted}:
        yield Finding(
            rule="wrong-architecture",
            severity=Severity.ERROR,
            place=program.path,
            message=f"it is built for {program.architecture}, the image for {platform}",
            remedy=f"build it with GOARCH={wanted}, or the image for {program.architecture}",
        )


def _interpreter(program: ProgramDeps) -> Iterator[Finding]:
    missing = [one.name for one in program.interpreters if not one.path]
    script = program.kind == "script"
    if missing or (script and program.notes):
        yield Finding(
            rule="missing-interpreter",
            severity=Severity.ERROR,
            place=program.path,
            message=f"not found: {missing[0]}" if missing else program.notes[0],
            evidence=(f"its first line asks for {program.interpreters[0].name}" if script else "PT_INTERP names it",),
            remedy=(
                f"install the package that has {missing[0] if missing else 'its interpreter'}"
                if script
                else f"choose a base with {program.libc}, or link the program statically (Go: CGO_ENABLED=0)"
            ),
        )


def _asked(program: ProgramDeps) -> Iterator[Finding]:
    missing = [one for one in program.asks if one.state == "missing" and one.matters]
    for ask in missing:
        yield Finding(
            rule="missing-files",
            severity=Severity.WARNING,
            place=program.path,
            message=f"{ask.kind}: {ask.effect}",
            evidence=(f"linked: {', '.join(ask.functions)}",),
            remedy="choose a base that has them, if the program uses them",
        )


def _script(root: ProgramRoot, path: str, facts: ScriptFacts, *, entry: bool) -> ProgramDeps:
    chain = interpreters_of(root, facts)
    paths = (*chain.paths, *("" for _ in range(len(chain.names) - len(chain.paths))))
    files = tuple(NeededFile(name=name, path=real) for name, real in zip(chain.names, paths, strict=True))
    return ProgramDeps(
        path=path, kind="script", entry=entry, interpreters=files, notes=(chain.problem,) if chain.problem else ()
    )


def _state(root: ProgramRoot, ask: GoAsk, functions: frozenset[str]) -> tuple[str, str]:
    environment = root.environment()
    named = [value for name in ask.variables if (value := environment.get(name, "")).startswith("/")]
    for path in (*named, *ask.paths):
        if root.find(path) is not None:
            return "there", path
    if any(name in functions for name in ask.embedded):
        return "embedded", ""
    return ("missing", "") if ask.paths else ("unknown", "")


def _newest(versions: Iterable[ResolvedVersion]) -> dict[str, str]:
    """Give the newest numbered version of each library; versions without a number say nothing of an age."""
    found: dict[str, str] = {}
    for one in versions:
        if _PRIVATE in one.version or not _NUMBERS.search(one.version):
            continue
        if one.library not in found or _age(one.version) > _age(found[one.library]):
            found[one.library] = one.version
    return dict(sorted(found.items()))


def _age(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBERS.findall(version))
