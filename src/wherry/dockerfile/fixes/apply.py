"""Fix what the lint rules find in a Dockerfile, as far as a fix keeps what the file builds.

Each round edits at most one finding of an instruction, then reads and checks the file again: what was not edited must
read as before, the finding must be gone, and there must be no new one. An edit that fails that is taken back.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.shell import commands_of
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.checks import CHECK, Checks
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.fixes.apt import add_mount, clean_lists
from wherry.dockerfile.fixes.go_flags import GO_FLAGS, keeps_commands, remove_flag
from wherry.dockerfile.fixes.instructions import INSTRUCTION_FIXES, without_blank_lines
from wherry.dockerfile.fixes.order import dependencies_first
from wherry.dockerfile.fixes.written import Replaced, WrittenInstruction, split_lines
from wherry.dockerfile.notes import Around
from wherry.dockerfile.parser import parse
from wherry.finding import Finding

_ROUNDS = 40
_TRIED = 100
"""Sets of edits that are tried: each is a check of the whole file."""
_BOM = "\ufeff"
_DELETES = "MultipleInstructionsDisallowed"
_REORDERS = "sources-before-dependencies"
FIXABLE = frozenset({
    *INSTRUCTION_FIXES, *GO_FLAGS, "NoEmptyContinuation", _DELETES, _REORDERS, "apt-lists-left",
    "apt-cache-mount-missing",
})  # fmt: skip
"""Rules with a fix; where it would not be safe, their findings stay."""

Judge = Callable[[str], Sequence[Finding]]
"""Gives the findings of a Dockerfile's text."""


@dataclass(frozen=True, slots=True)
class FixedDockerfile:
    """A Dockerfile after its fixes."""

    text: str
    fixed: tuple[Finding, ...]
    """Places are those that they had when they were fixed."""
    left: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _LineChange:
    """Lines that are replaced by others."""

    finding: Finding
    first: int
    last: int
    lines: list[str]


@dataclass
class _Fixer:
    """A file between two rounds."""

    text: str
    around: Around
    judge: Judge
    context_file: Callable[[str], bytes | None]
    fixed: list[Finding] = field(default_factory=list)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    tried: int = 0

    def round(self) -> bool:
        """Fix what can be fixed at once; report whether anything was."""
        findings = self.judge(self.text)
        changes = self._apart(list(self._changes(findings)))
        if not changes:
            return False
        return self._try(findings, changes) or (self.tried <= _TRIED and len(changes) > 1)

    def _try(self, findings: Sequence[Finding], changes: list[_LineChange]) -> bool:
        """Make changes; where they fail together, each half, the later lines first, so that others stay in place."""
        self.tried += 1
        if self.tried > _TRIED:
            return False
        if self._accept(findings, changes):
            return True
        if len(changes) == 1:
            self.refused[changes[0].finding.rule, changes[0].finding.message] += 1
            return False
        half = len(changes) // 2
        later = self._try(findings, changes[half:])
        return self._try(self.judge(self.text) if later else findings, changes[:half]) or later

    def _accept(self, before: Sequence[Finding], changes: list[_LineChange]) -> bool:
        lines = split_lines(self.text)
        for change in sorted(changes, key=lambda change: -change.first):
            lines[change.first - 1 : change.last] = change.lines
        text = "".join(lines)
        if not _reads_the_same(self.text, text, changes):
            return False
        left = _counted(before)
        left.subtract((change.finding.rule, change.finding.message) for change in changes)
        after = _counted(self.judge(text))
        if any(count > left[key] for key, count in after.items()):
            return False
        self.text = text
        self.fixed += [change.finding for change in changes]
        return True

    def _changes(self, findings: Sequence[Finding]) -> Iterator[_LineChange]:
        file = Advised("", parse(self.text), self.around, Checks())
        every = [one for stage in file.file.stages for one in (stage.base, *stage.instructions)]
        every += file.file.preamble
        lines = split_lines(self.text)
        skip = self.refused.copy()
        for finding in findings:
            if finding.rule not in FIXABLE:
                continue
            key = finding.rule, finding.message
            if skip[key] > 0:
                skip[key] -= 1
                continue
            line = int(finding.place.rpartition(":")[2])
            one = next((one for one in every if one.lines.first <= line <= one.lines.last), None)
            if one is not None and (found := self._change(file, lines, finding, one)) is not None:
                yield found

    def _change(self, file: Advised, lines: Sequence[str], finding: Finding, one: of.Instruction) -> _LineChange | None:
        first, last = one.lines.first, one.lines.last
        if finding.rule == _REORDERS:
            moved = dependencies_first(file, lines, one, self.context_file)
            return _LineChange(finding, *moved) if moved else None
        if finding.rule == _DELETES:
            return _LineChange(finding, first, last, [])
        written = WrittenInstruction(lines, one, file.file.escape)
        edited = (
            without_blank_lines(written) if finding.rule == "NoEmptyContinuation" else _edited(file, finding, written)
        )
        return _LineChange(finding, first, last, edited) if edited != written.lines else None

    def _apart(self, changes: list[_LineChange]) -> list[_LineChange]:
        """Leave out what concerns the lines of an earlier change: its turn comes in the next round."""
        kept: list[_LineChange] = []
        for change in sorted(changes, key=lambda change: change.first):
            if not kept or change.first > kept[-1].last:
                kept.append(change)
        return kept


def _edited(file: Advised, finding: Finding, written: WrittenInstruction) -> list[str]:
    part = written.main
    if part is None:
        return written.lines
    if make := INSTRUCTION_FIXES.get(finding.rule):
        return written.edited(part, make(finding, written, part))
    if finding.rule == "apt-lists-left":
        return written.edited(*clean_lists(file, written, part))
    if finding.rule == "apt-cache-mount-missing":
        found = re.search(r"target=([^,]+)", finding.remedy)
        return written.edited(part, add_mount(file, written, found[1]) if found else [])
    return _without_flag(finding.rule, written)


def _without_flag(rule: str, written: WrittenInstruction) -> list[str]:
    one = written.instruction
    if not isinstance(one, of.Run) or not one.command.shell or written.main is None:
        return written.lines
    for part in (written.main, *written.heredocs):
        edits: list[Replaced] = remove_flag(rule, part)
        if edits:
            return written.edited(part, edits)
    return written.lines


def fix(
    text: str, around: Around, judge: Judge, context_file: Callable[[str], bytes | None] = lambda _path: None
) -> FixedDockerfile:
    """Fix a Dockerfile.

    Args:
        text: the file.
        around: what it would be built with.
        judge: gives the findings of a text; all of its rules count.
        context_file: reads a file of the build context; None: there is none.

    Returns:
        The text, equal to the first where nothing could be fixed.

    Raises:
        DockerfileError: the file can't be parsed.

    Cost: a check of the file for each round; most files take two.
    """
    mark = _BOM if text.startswith(_BOM) else ""
    parse(text)
    fixer = _Fixer(text.removeprefix(_BOM), around, judge, context_file)
    for _ in range(_ROUNDS):
        if not fixer.round():
            break
    return FixedDockerfile(mark + fixer.text, tuple(fixer.fixed), tuple(judge(fixer.text)))


def _counted(findings: Sequence[Finding]) -> Counter[tuple[str, str]]:
    return Counter((finding.rule, re.sub(r"line \d+", "line", finding.message)) for finding in findings)


def _reads_the_same(before: str, after: str, changes: Sequence[_LineChange]) -> bool:
    """Report whether what was not edited is the same, and edited `go` steps do the same."""
    try:
        old, new = _all_of(parse(before)), _all_of(parse(after))
    except DockerfileError:
        return False
    by_line = {change.first: change for change in changes}
    deleted = {change.first for change in changes if not change.lines}
    if any(change.finding.rule == _REORDERS for change in changes):
        return len(changes) == 1  # it is judged where it is made
    old = [one for one in old if one.lines.first not in deleted]
    if len(old) != len(new):
        return False
    for one, other in zip(old, new, strict=True):
        change = by_line.get(one.lines.first)
        rule = change.finding.rule if change else ""
        if rule in GO_FLAGS and isinstance(one, of.Run) and isinstance(other, of.Run):
            if not keeps_commands(commands_of(one.command), commands_of(other.command), rule):
                return False
        elif rule in ("", "NoEmptyContinuation") and _content(one) != _content(other):
            return False
    return True


def _all_of(file: of.Dockerfile) -> list[of.Instruction]:
    return [*file.preamble, *(one for stage in file.stages for one in (stage.base, *stage.instructions))]


def _content(one: of.Instruction) -> tuple[object, ...]:
    heredocs = one.command.heredocs if isinstance(one, of.Run) else ()
    contents = one.contents if isinstance(one, of.Add | of.Copy) else ()
    checks = tuple(comment for comment in one.comments if CHECK in comment)
    return one.text, checks, heredocs, contents
