"""Known holes of images, programs and go.mod files, with the evidence for each."""

from collections.abc import Callable, Sequence
from dataclasses import replace as renamed
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from wherry.app.scan_result import IgnoredHole, Scan, ScannedSubject, Unscanned
from wherry.app.session import Session
from wherry.app.subjects import images_named, is_program
from wherry.app.vulnerability_data import OpenDatabase, open_database
from wherry.errors import InvalidUsage, NotFound
from wherry.trust.known_holes import Hole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.app.scan_ignore import IgnoreFile
    from wherry.oci.image import Image
    from wherry.store.contract import BlobSource
    from wherry.trust.distribution import DebianPackages
    from wherry.trust.programs import Program

GO_MOD = "go.mod"
NO_SOURCE = "call paths need the source: give its directory with --source DIR"
_Scanning = Callable[[OpenDatabase], Scan]
_TARGET = ("GOOS", "GOARCH", "CGO_ENABLED", "-tags")


def scan(  # noqa: PLR0913 - what a scan is, each by its name
    session: Session,
    name: str,
    *,
    databases: Sequence[str] = (),
    platform: str | None = None,
    offline: bool = False,
    ignore: str | None = None,
    source: str | None = None,
) -> Scan:
    """Find the known holes of an image, a program or a go.mod.

    Args:
        session: where.
        name: an image as `inspect` takes it, a program's file, a go.mod or a directory with one.
        databases: OSV data: directories, archives or URLs; empty: GOVULNDB, else Go's own.
        platform: of an image with several, the only one; None: all.
        offline: whether nothing may be fetched but the image.
        ignore: a file with holes to leave out, each with a reason and an expiry date.
        source: a directory of the module, for the imports that lead to a hole; None: here, if here it is.

    Raises:
        NoDatabase: there is no vulnerability database, and none could be fetched.
        CannotScan: the program is packed, or has no build info that can be read.
        NotFound: there is no such thing, or it was not built by Go.
        InvalidDocument, InvalidArchive, InvalidSettings: what was read is damaged.
    """
    rules = None
    if ignore:
        from wherry.app.scan_ignore import read_ignore_file

        rules = read_ignore_file(session.cwd / ignore, ignore)
    scanned = _target(session, name, platform, source)
    found = scanned(open_database(session, databases, offline=offline))
    found = _with_routes(session, found, source)
    return _without_ignored(session, found, rules) if rules else found


def _target(session: Session, name: str, platform: str | None, source: str | None) -> _Scanning:
    """Find what is scanned, so that a name of nothing is reported before a database is opened or fetched."""
    path = session.cwd / name
    if path.name == GO_MOD and path.is_file():
        return lambda database: Scan(name, database, (_go_mod(session, path, name, database, source),))
    if (path / GO_MOD).is_file() and not (path / "oci-layout").exists():
        shown = GO_MOD if name in {".", "./"} else f"{name.rstrip('/')}/{GO_MOD}"
        return lambda database: Scan(name, database, (_go_mod(session, path / GO_MOD, shown, database, source),))
    if path.is_dir() and not (path / "oci-layout").exists():
        raise NotFound(
            f"{name}: neither a module (it has no go.mod) nor an image (it has no oci-layout)",
            hint="give a directory with a go.mod, a program, or an image name from `wherry images`",
        )
    if is_program(path) or _is_universal(path):
        programs, others = _programs(path, name)
        return lambda database: Scan(
            name,
            database,
            tuple(_subject(one, one.name, name, database) for one in programs),
            others=others,
        )
    located, images = images_named(session, name, platform)
    return lambda database: _images(session, name, located.source, images, database)


def _is_universal(path: Path) -> bool:
    """Tell whether a file may have programs of several architectures, as macOS has them."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    from wherry.foreign.macho import UNIVERSAL

    return start in UNIVERSAL


def _programs(path: Path, name: str) -> "tuple[tuple[Program, ...], int]":
    """Read a program, or those of a universal binary; give how many others Go did not build."""
    from wherry.analysis.mapped import map_file
    from wherry.foreign.macho import architectures
    from wherry.trust.programs import read_program

    view = memoryview(map_file(path, name)).toreadonly()
    views = architectures(view, name) or (view,)
    found = tuple(program for one in views if (program := read_program(one, name)) is not None)
    if not found:
        raise NotFound(f"{name}: not built by Go, so its modules are not known", hint="give a program built by Go")
    if len(views) > 1:
        found = tuple(renamed(one, name=f"{name} {one.info.settings.get('GOARCH', '')}".rstrip()) for one in found)
    return found, len(views) - len(found)


def _subject(program: "Program", name: str, path: str, database: OpenDatabase) -> ScannedSubject:
    from wherry.trust.holes import program_holes

    main = program.info.main
    version = main.version if main else ""
    return ScannedSubject(
        name=name,
        kind="program",
        result=program_holes(program, database.index),
        path=path,
        platform="/".join(filter(None, (program.info.settings.get("GOOS"), program.info.settings.get("GOARCH")))),
        go=program.info.go_version,
        package=program.info.path,
        target={name: text for name, text in program.info.settings.items() if name in _TARGET},
        module=f"{main.path}@{version}" if main and version not in {"", "(devel)"} else main.path if main else "",
    )


def _go_mod(session: Session, path: Path, name: str, database: OpenDatabase, source: str | None) -> ScannedSubject:
    from wherry.app.scan_source import go_mod_lines
    from wherry.golang.modfile import parse_go_mod
    from wherry.trust.holes import go_mod_holes

    text = path.read_text(errors="replace")
    go_mod = parse_go_mod(text, name)
    imported = None
    if source is not None:
        from wherry.app.scan_source import imported_packages

        imported = imported_packages(session, session.cwd / source)
    release = _release(session, path.parent)
    result = go_mod_holes(go_mod, database.index, imported, release)
    lines = go_mod_lines(text, result.holes)
    return ScannedSubject(
        name,
        "go.mod",
        result,
        lines=lines,
        path=name,
        go=release or go_mod.toolchain or go_mod.go,
        module=go_mod.module,
    )


def _release(session: Session, folder: Path) -> str:
    """Name the Go that would build a module here; empty where there is none."""
    from wherry.errors import HostUnable
    from wherry.host.toolchain import find_toolchain

    try:
        return find_toolchain(session.runner, session.environment, folder).version
    except HostUnable:
        return ""


def _images(
    session: Session, name: str, source: "BlobSource", images: "Sequence[Image]", database: OpenDatabase
) -> Scan:
    from wherry.app.scan_answers import KeptAnswers
    from wherry.app.scan_images import contents_of

    answers = KeptAnswers(session, database)
    subjects: list[ScannedSubject] = []
    unscanned: list[Unscanned] = []
    others = 0
    for image in images:
        session.checkpoint()
        contents = contents_of(session, source, image, answers)
        shown, reference = str(image.platform), f"{name.partition('@')[0]}@{image.descriptor.digest}"
        for one in contents.programs:
            label = f"{name} {shown} {one.path}"
            subject = answers.of(one.digest)
            if subject is None:
                subject = _subject(one.program(label), label, one.path, database)
                answers.keep(one.digest, subject)
            subjects.append(replace(
                subject, name=label, path=one.path, platform=shown, image=reference, digest=str(one.digest)
            ))  # fmt: skip
        for path, reason, remedy in contents.unscanned:
            unscanned.append(Unscanned(f"{name} {shown} {path}", path, shown, reason, remedy))
        packages = _packages(contents.files)
        if packages is not None:
            from wherry.trust.holes import debian_holes

            result = debian_holes(packages, database.index)
            label = f"{name} {shown} Debian packages"
            subjects.append(ScannedSubject(label, "packages", result, platform=shown, image=reference))
        others += contents.others
    return Scan(name, database, tuple(subjects), tuple(unscanned), others=others)


def _packages(files: "Mapping[str, bytes]") -> "DebianPackages | None":
    if not files:
        return None
    from wherry.trust.distribution import debian_packages

    return debian_packages(files)


def _with_routes(session: Session, found: Scan, source: str | None) -> Scan:
    """Add the imports that lead to holes, where the source is at hand."""
    if source is None:
        noted = (
            replace(one, routes_note=NO_SOURCE) if any(hole.packages for hole in one.result.holes) else one
            for one in found.subjects
            if one.kind == "program"
        )
        rest = (one for one in found.subjects if one.kind != "program")
        return replace(found, subjects=(*noted, *rest))
    from wherry.app.scan_source import with_routes

    subjects = tuple(with_routes(session, one, source) for one in found.subjects)
    return replace(found, subjects=subjects)


def _without_ignored(session: Session, found: Scan, rules: "IgnoreFile") -> Scan:
    """Take out what the ignore file names; rules that expired count no more, and are reported."""
    today = rules.today(session.clock())
    ignored: list[IgnoredHole] = []
    used: set[int] = set()
    subjects = []
    for subject in found.subjects:
        kept = []
        for hole in subject.result.holes:
            rule = rules.matching(hole, today)
            if rule is None:
                kept.append(hole)
            else:
                ignored.append(IgnoredHole(subject.name, hole, rule.reason, str(rule.until)))
                used.add(rule.line)
        subjects.append(replace(subject, result=replace(subject.result, holes=tuple(kept))))
    return replace(found, subjects=tuple(subjects), ignored=tuple(ignored), expired=rules.stale(today, used))


def failing(found: Scan, words: Sequence[str], *, reviewed_only: bool = False) -> tuple[Hole, ...]:
    """Give the holes for which a gate stops.

    Args:
        found: what a scan found.
        words: levels of evidence (`module`, `package`, `symbol`), severities (`low` to `critical`), `any`, or ids.
        reviewed_only: whether entries that the Go team has not reviewed are left out.

    Raises:
        InvalidUsage: a word is none of these.
    """
    check_words(words)
    return tuple(
        hole
        for _, hole in found.holes()
        if any(_fails(hole, word) for word in words) and not (reviewed_only and hole.reviewed is False)
    )


def _fails(hole: Hole, word: str) -> bool:
    from wherry.trust.known_holes import EvidenceLevel
    from wherry.trust.severity import LEVELS

    evidence = list(EvidenceLevel)
    if word in evidence:
        return evidence.index(hole.level) >= evidence.index(EvidenceLevel(word))
    if word in LEVELS:
        return hole.severity.level in LEVELS and LEVELS.index(hole.severity.level) >= LEVELS.index(word)
    return word == "any" or word in {hole.id, *hole.aliases}


def check_words(words: Sequence[str]) -> None:
    """Refuse words that a gate does not know.

    Raises:
        InvalidUsage: one is neither a level, nor a severity, nor an id.
    """
    from wherry.trust.known_holes import EvidenceLevel
    from wherry.trust.severity import LEVELS

    for word in words:
        if word not in {*EvidenceLevel, *LEVELS, "any"} and "-" not in word:
            raise InvalidUsage(
                f"--fail-on {word}: not a level, a severity or an id",
                hint="use module, package, symbol, low, medium, high, critical, any, or an id such as GO-2023-1988",
            )
