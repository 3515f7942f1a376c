"""Add what apt steps lack: the removal of package lists, and the other cache mount.

Nothing is added where a later step installs packages by lists that this one leaves.
"""

import re

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.stages import Advised, RunStep
from wherry.dockerfile.fixes.written import Replaced, WrittenInstruction, WrittenPart, body

_APT = ("apt", "apt-get", "aptitude")
_CLEAN = "rm -rf /var/lib/apt/lists/*"
_OPEN_END = (";", "&", "|", "\\")
_STOPS = re.compile(r"(?m)^[ \t]*set[ \t]+-[a-df-z]*e")


def clean_lists(file: Advised, written: WrittenInstruction, part: WrittenPart) -> tuple[WrittenPart, list[Replaced]]:
    """Give the edits that remove the package lists at the end of a step; none where that is not safe."""
    one = written.instruction
    if not isinstance(one, of.Run) or not one.command.shell or _lists_are_used_after(file, one):
        return part, []
    if one.command.heredocs:
        return _in_heredoc(one, written, part)
    text = part.text
    if text.endswith(_OPEN_END) or re.search(r"(?:^|\s)#", text):
        return part, []
    last = written.lines[part.places[-1][0]]
    if written.head > 1:
        joined = [line for line in written.lines[1 : written.head] if line.lstrip().startswith("&&")]
        model = body(joined[-1] if joined else last)
        indent = model[: len(model) - len(model.lstrip())] or "    "
        added = f" {written.escape}{written.end}{indent}&& {_CLEAN}"
    else:
        added = f" && {_CLEAN}"
    return part, [Replaced(len(text), len(text), added)]


def _in_heredoc(one: of.Run, written: WrittenInstruction, part: WrittenPart) -> tuple[WrittenPart, list[Replaced]]:
    """Add a line to a script that stops at the first error; in another, the line would hide what the last one said."""
    docs = written.heredocs
    text = docs[0].text if docs else ""
    if len(one.command.heredocs) != 1 or not re.fullmatch(r"<<-?[\"']?\w+[\"']?", one.command.words[0].strip()):
        return part, []
    if text.startswith("#!") or not _STOPS.match(text) or not text.endswith("\n"):
        return part, []
    last = text.rstrip("\r\n").rpartition("\n")[2]
    if last.rstrip("\r").endswith(_OPEN_END):
        return part, []
    indent = last[: len(last) - len(last.lstrip())]
    return docs[0], [Replaced(len(text), len(text), f"{indent}{_CLEAN}{written.end}")]


def add_mount(file: Advised, written: WrittenInstruction, target: str) -> list[Replaced]:
    """Give the edits that add a cache mount; none where the step's lists are used later."""
    one = written.instruction
    if not isinstance(one, of.Run) or (target.startswith("/var/lib/apt") and _lists_are_used_after(file, one)):
        return []
    at = len(one.word)
    return [Replaced(at, at, f" --mount=type=cache,target={target},sharing=locked")]


def _lists_are_used_after(file: Advised, run: of.Run) -> bool:
    """Report whether a step that runs on top of another one installs packages without fetching lists first."""
    own = next(stage for stage in file.stages if any(step.run is run for step in stage.steps))
    at = next(number for number, step in enumerate(own.steps) if step.run is run)
    for step in own.steps[at + 1 :]:
        if _needs_lists(step):
            return True
        if _renews_lists(step):
            return False
    if any("apt" in trigger.trigger for trigger in own.stage.instructions if isinstance(trigger, of.Onbuild)):
        return True
    above = {own.number}
    for stage in file.stages:
        if stage.below in above:
            above.add(stage.number)
            if any(map(_needs_lists, stage.steps)):
                return True
    return _copied(file, above)


def _copied(file: Advised, above: set[int]) -> bool:
    """Report whether a stage takes the lists, or everything, of one of some stages."""
    for stage in file.stages:
        for one in stage.stage.instructions:
            if isinstance(one, of.Copy) and one.from_ and file.graph.named(one.from_) in above:
                sources = {source.rstrip("/") for source in one.sources}
                if sources & {"", "/var", "/var/lib"} or any(word.startswith("/var/lib/apt") for word in sources):
                    return True
    return False


def _renews_lists(step: RunStep) -> bool:
    return not step.mounts and any(one.program in _APT and "update" in one.plain() for one in step.commands)


def _needs_lists(step: RunStep) -> bool:
    for command in step.commands:
        if command.program in _APT:
            words = command.plain()
            if "update" in words:
                return False
            if words:
                return True
        elif command.program and "apt" in " ".join(command.words):
            return True
    return False
