"""What programs reveal of the machine that built them: paths, flags, values, secrets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wherry.analysis.leaks import Leaks, leaks_of
from wherry.analysis.mapped import map_file
from wherry.analysis.subjects import Subject
from wherry.app.extras import explaining
from wherry.app.session import Session
from wherry.app.subjects import NoProgram, documents_of, subjects
from wherry.errors import InvalidUsage
from wherry.finding import Finding, Severity

_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class ProgramLeaks:
    """One program, or the documents of one image, and what it reveals."""

    subject: Subject
    """Its file is gone where it was of an image."""
    leaks: Leaks


@explaining("reading the symbol table of a program")
def leaks(
    session: Session, name: str, *, platform: str | None = None, find: Sequence[str] = (), hashed: bool = False
) -> tuple[ProgramLeaks, ...]:
    """Find what the programs of a file, or the programs and documents of an image, reveal of how they were built.

    Args:
        session: where it is looked for.
        name: a program's file, or an image.
        platform: of an image with several, the only one; None: all.
        find: further texts to look for, of 4 letters at least, such as a host's name.
        hashed: whether the digest of a program outside of images is wanted.

    Returns:
        One value for each program, and before them one for the documents of each image; secrets are never in it whole.

    Raises:
        NotFound: there is no such thing, or no program in it.
        InvalidUsage: a text is too short.
        ExplainMissing: a program has a symbol table, and numpy is not installed.
    """
    if any(len(text) < _SHORTEST for text in find):
        raise InvalidUsage("--find: the text must have at least 4 characters", hint="give a longer text")
    told = [ProgramLeaks(one, found) for one, found in documents_of(session, name, platform)]
    try:
        with subjects(session, name, platform=platform, hashed=hashed) as programs:
            for one in programs:
                session.checkpoint()
                told.append(ProgramLeaks(one, leaks_of(map_file(one.file, one.name), one.name, tuple(find))))
    except NoProgram:
        if not told:
            raise
    return tuple(told)


def matching(found: Sequence[ProgramLeaks], words: Sequence[str]) -> Iterator[Finding]:
    """Give findings of any of some rules, or as severe as any of some severities.

    Raises:
        InvalidUsage: a word is neither a severity nor a rule.
    """
    check_words(words)
    order = list(Severity)
    least = min((order.index(Severity(word)) for word in words if word in order), default=len(order))
    for one in found:
        for finding in one.leaks.findings:
            if finding.rule in words or order.index(finding.severity) >= least:
                yield finding


def check_words(words: Sequence[str]) -> None:
    """Refuse words that are neither a severity nor a rule.

    Raises:
        InvalidUsage: one is neither; the hint has the nearest.
    """
    import difflib

    from wherry.analysis.leaks import RULE_NAMES

    known = (*Severity, *RULE_NAMES)
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1) or ["error"]
            raise InvalidUsage(f"--fail-on {word}: neither a severity nor a rule", hint=f"did you mean {near[0]}?")
