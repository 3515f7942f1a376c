"""All programs of an image against its own files, and the bases that its entry program would do with."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import msgspec

from wherry.analysis.deps.document import AskedFile, BaseAdvice, BaseOption, DepsFinding, PlatformDeps, ProgramDeps
from wherry.analysis.deps.facts import ElfFacts, Facts
from wherry.analysis.deps.go_asks import ASKS
from wherry.analysis.deps.image_root import ImageRoot
from wherry.analysis.deps.observed import FileOutcome, RunObservation
from wherry.analysis.deps.programs import asks_of, deps_of, findings_of
from wherry.analysis.deps.root import ProgramRoot, RootProgram
from wherry.analysis.deps.scripts import find_command
from wherry.analysis.image.base import base_of
from wherry.finding import Finding, Severity
from wherry.oci.image import Image


@dataclass(frozen=True, slots=True)
class CandidateBase:
    """A base that an image could be built on."""

    name: str
    root: ProgramRoot
    pulled: int
    """Bytes of its layers as stored."""
    unpacked: int
    """Bytes of its files."""


def platform_deps(root: ImageRoot, image: Image) -> PlatformDeps:
    """Judge every executable of an image; the one that a container starts is the first."""
    entry = entry_of(root, image)
    programs = list(root.programs())
    if entry and (facts := root.facts(entry)) and all(one.path != entry for one in programs):
        programs.append(RootProgram(entry, facts))  # a container starts it, though it has no mode that allows it
    # Libraries that have a mode of 755 are no programs.
    started = [
        one for one in programs if not isinstance(one.facts, ElfFacts) or one.facts.executable or one.path == entry
    ]
    found = [deps_of(root, one.path, one.facts, entry=one.path == entry) for one in started]
    found += _modules(root, found, {one.path: one.facts for one in started})
    ordered = sorted(found, key=lambda one: (not one.entry, one.path))
    return judged(str(image.platform), ordered, () if entry else tuple(_without_entry(image)))


def _modules(root: ImageRoot, programs: Sequence[ProgramDeps], facts: Mapping[str, Facts]) -> Iterator[ProgramDeps]:
    """Give the libraries that no program is linked with and that lack something: plugins, modules of Python, NSS.

    A program that opens one has its dynamic linker, so that of the image's programs of the architecture is taken.
    """
    linked = {root.find(library.path) for one in programs for library in one.libraries if library.path}
    linked |= {file.path for one in programs for file in one.interpreters}
    loaders: dict[str, str] = {}
    for one in facts.values():
        if isinstance(one, ElfFacts) and one.interpreter:
            loaders.setdefault(one.architecture, one.interpreter)
    for library in root.libraries():
        known = library.facts
        if library.path in linked or not isinstance(known, ElfFacts) or known.architecture not in loaders:
            continue
        found = deps_of(root, library.path, replace(known, interpreter=loaders[known.architecture]))
        if any(not one.weak for one in found.missing_versions) or not all(one.path for one in found.libraries):
            yield msgspec.structs.replace(found, kind="library", interpreters=())


def judged(platform: str, programs: Sequence[ProgramDeps], more: Sequence[Finding] = ()) -> PlatformDeps:
    """Give programs with their findings, the worst first."""
    found = [*more, *(finding for one in programs for finding in findings_of(one, platform))]
    found.sort(key=lambda one: list(Severity).index(one.severity), reverse=True)
    return PlatformDeps(
        platform=platform,
        programs=tuple(programs),
        findings=tuple(msgspec.convert(asdict(one), DepsFinding) for one in found),
    )


def _without_entry(image: Image) -> Iterator[Finding]:
    """Find an image that names a program which it does not have."""
    words = _words(image)
    if words:
        yield Finding(
            rule="missing-program",
            severity=Severity.ERROR,
            place=words[0],
            message="the image starts it, and does not have it",
            evidence=(
                f"config: the command is {' '.join(words)}",
                f"PATH: {image.config.runtime.environment.get('PATH', 'not set')}",
            ),
            remedy="copy the program into the image, or correct ENTRYPOINT and CMD",
        )


def _words(image: Image) -> tuple[str, ...]:
    runtime = image.config.runtime
    return (*(runtime.entrypoint or ()), *(runtime.cmd or ()))


def entry_of(root: ProgramRoot, image: Image) -> str:
    """Find the program that a container of an image starts; empty where the image names none that is there."""
    words = _words(image)
    if not words or not words[0]:
        return ""
    name = words[0]
    if "/" in name and not name.startswith("/"):
        name = f"{image.config.runtime.working_dir.rstrip('/') or ''}/{name}"
    return find_command(root, name) or ""


def brought(root: ImageRoot, image: Image, facts: Facts | None) -> frozenset[str]:
    """Give the kinds of files that a Go program can ask for and that the image's own layers have, not its base's.

    Only where it is known which layers are the base's; folders do not count, since a layer may only mention them.
    """
    below = base_of(image).count
    if below is None or not isinstance(facts, ElfFacts):
        return frozenset()
    asks = asks_of(root, facts.functions)
    return frozenset(ask.kind for ask in asks if ask.path and root.layer_of(ask.path) >= below)


def advised(
    path: str, facts: Facts | None, bases: Iterable[CandidateBase], own: frozenset[str] = frozenset()
) -> BaseAdvice:
    """Say which of some bases a program would do with.

    Args:
        path: the program.
        facts: what its file says.
        bases: the smallest first.
        own: what the image brings along on any base; see `brought`.
    """
    if not isinstance(facts, ElfFacts):
        return BaseAdvice(program=path, why="it is a script: its interpreter decides on the base", options=())
    options = tuple(_option(path, facts, base, own) for base in bases)
    fitting = next((one for one in options if one.starts and not one.breaks), None)
    if facts.interpreter or facts.dynamic.needed:
        libc = "musl" if "/ld-musl-" in facts.interpreter else "glibc"
        named = ", such as deb:base (about 21 MB unpacked: static, glibc and OpenSSL)," if libc == "glibc" else ""
        why = f"it is dynamically linked: it needs a base with {libc}{named} or a static build (Go: CGO_ENABLED=0)"
        return BaseAdvice(program=path, base=fitting.name if fitting else "", why=why, options=options)
    if not facts.go:
        why = "it is static and starts on each; what it reads is not known without a run, since it is no Go program"
        return BaseAdvice(program=path, base="", why=why, options=options)
    if fitting is None:
        return BaseAdvice(program=path, why="each lacks something that it can ask for", options=options)
    return BaseAdvice(program=path, base=fitting.name, why=_why(fitting, options), options=options)


def with_trace(advice: BaseAdvice, linked: Sequence[AskedFile], seen: RunObservation) -> BaseAdvice:
    """Add what a run did ask for to what the program can ask for, and the smallest base that has all of that."""
    outcomes = (FileOutcome.OPENED, FileOutcome.MISSING, FileOutcome.LOOKED_AT)
    paths = {file.path for file in seen.of(*outcomes)}
    kinds = {ask.kind for ask in linked}
    asked = tuple(
        ask.kind
        for ask in ASKS
        if ask.kind in kinds
        and any(path == one or path.startswith(f"{one}/") for one in ask.paths for path in paths)
        # os/user and home look into one file; whoever reads it asked for accounts.
        and not (ask.kind == "home" and "accounts" in kinds)
    )
    broken = {one.name: {text.partition(":")[0] for text in one.breaks} for one in advice.options if one.starts}
    fitting = next((name for name, lacks in broken.items() if not lacks & set(asked)), "")
    return msgspec.structs.replace(advice, asked=asked, traced_base=fitting)


def _option(path: str, facts: ElfFacts, base: CandidateBase, own: frozenset[str]) -> BaseOption:
    there = deps_of(base.root, path, facts)
    loads = [f"not found: {one.name}" for one in there.interpreters if not one.path]
    loads += [f"not found: {one.name}" for one in there.libraries if not one.path]
    missing = [one for one in asks_of(base.root, facts.functions) if one.state == "missing" and one.kind not in own]
    return BaseOption(
        name=base.name,
        pulled=base.pulled,
        unpacked=base.unpacked,
        starts=not loads,
        breaks=(*loads, *(f"{one.kind}: {one.effect}" for one in missing if one.matters)),
        lacks=tuple(f"{one.kind}: {one.effect}" for one in missing if not one.matters),
    )


def _why(fitting: BaseOption, options: Sequence[BaseOption]) -> str:
    smaller = options[: options.index(fitting)]
    kinds = [text.partition(":")[0] for one in smaller[-1:] for text in one.breaks]
    if not kinds:
        return "nothing that is linked asks for a file that it lacks"
    return f"the next smaller one, {smaller[-1].name}, lacks {', '.join(kinds)}"
