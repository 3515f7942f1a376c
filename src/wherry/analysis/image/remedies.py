"""What to edit in an instruction so that its waste goes: from the history's text to the Dockerfile's line.

Sources: Docker, "Dockerfile reference" (`--mount`, `--chmod`, `--chown`, heredocs are not in the history); BuildKit,
frontend/dockerfile/dockerfile2llb (how `created_by` is written); moby, builder/dockerfile (its older form).
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from wherry.analysis.image.kinds import Unneeded
from wherry.analysis.image.union import Fate

_NOP = re.compile(r"^/bin/sh -c #\(nop\)\s*(?P<rest>.*)$", re.DOTALL)
_SHELL = re.compile(
    r"^(?:RUN\s+)?(?:\|\d+(?:\s+\S+=(?:'[^']*'|\"[^\"]*\"|\S*))*\s+)?/bin/sh -c\s+(?P<rest>.*)$", re.DOTALL
)
_COMMENT = re.compile(r"\s*#\s*buildkit\s*$")
_APK = re.compile(r"\bapk\s+(?:-\S+\s+)*add\b(?!.*--no-cache)")
_PIP = re.compile(r"\bpip3?\s+install\b(?!.*--no-cache-dir)")
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class HistoryInstruction:
    """An instruction as a Dockerfile has it, as far as the history tells."""

    text: str
    word: str
    """RUN, COPY, ADD…; empty where it is not one."""
    rest: str

    @classmethod
    def of(cls, created_by: str) -> "HistoryInstruction":
        """Read what a history says."""
        text = _COMMENT.sub("", created_by.strip())
        if match := _NOP.match(text):
            text = match["rest"].strip()
        elif match := _SHELL.match(text):
            text = "RUN " + match["rest"].strip()
        word, _, rest = text.partition(" ")
        known = word if word.isupper() and word.isalpha() else ""
        return cls(text, known, rest.strip() if known else text)


@dataclass(frozen=True, slots=True)
class WasteRemedy:
    """What to do, and the edit where one can be written down."""

    text: str
    before: str = ""
    """The instruction unchanged; empty where no edit is known."""
    after: str = ""


@dataclass(frozen=True, slots=True)
class HiddenBy:
    """What a later layer did to the files of one layer."""

    fate: Fate
    made_by: str
    """The history of the layer that has the files."""
    hidden_by: str
    """The history of the layer that hides them."""
    base: bool
    """Whether the files are of the image's base."""
    paths: Sequence[str]
    mode: int = 0
    """Of the later copy."""
    owner: tuple[int, int] = (0, 0)
    same_layer: bool = False


def remedy_for_hidden(change: HiddenBy) -> WasteRemedy:
    """Say how files that no container sees need not be shipped."""
    made, hider = HistoryInstruction.of(change.made_by), HistoryInstruction.of(change.hidden_by)
    if change.base:
        return _of_base(change, hider)
    if change.same_layer:
        return WasteRemedy("the layer has the path more than once; pack it again without the earlier entries")
    match change.fate:
        case Fate.COPIED:
            return _metadata(change, made, hider)
        case Fate.OVERWRITTEN:
            return _written_again(made, hider)
        case _:
            return _removed(made, hider)


def _written_again(made: HistoryInstruction, hider: HistoryInstruction) -> WasteRemedy:
    if made.word == hider.word == "RUN":
        return WasteRemedy("write the file in one RUN: join the two", *_joined(made, hider))
    return WasteRemedy(f"leave the file out of `{_cut(made.text)}`, since `{_cut(hider.text)}` writes it again")


def _removed(made: HistoryInstruction, hider: HistoryInstruction) -> WasteRemedy:
    if made.word == "RUN" and hider.word == "RUN":
        return WasteRemedy("remove the files in the RUN that makes them", *_joined(made, hider))
    if made.word in {"COPY", "ADD"}:
        return _copied_in_vain(made)
    return WasteRemedy("remove the files in the instruction that makes them")


def remedy_for_kind(kind: Unneeded, created_by: str, folders: Sequence[str], *, base: bool) -> WasteRemedy:
    """Say how files of a kind are left out.

    Args:
        kind: theirs.
        created_by: the history of their layer.
        folders: what could be removed, most bytes first.
        base: whether the layer is of the image's base.
    """
    made = HistoryInstruction.of(created_by)
    if base:
        return WasteRemedy(
            "they are of the base: choose a smaller one; removing them in a later layer ships them all the same"
        )
    if kind is Unneeded.DEBUG:
        return WasteRemedy(_STRIP)
    match made.word:
        case "COPY" | "ADD" if kind in _IGNORED:
            patterns = _IGNORED[kind]
            return WasteRemedy(f"add to .dockerignore: {', '.join(patterns)}", made.text, _excluding(made, patterns))
        case "COPY" | "ADD":
            return WasteRemedy(f"copy only what the program needs, not {_listed(folders)}")
        case "RUN":
            return _of_run(kind, made, folders)
        case _:
            return WasteRemedy(f"leave {_listed(folders)} out")


def _of_run(kind: Unneeded, made: HistoryInstruction, folders: Sequence[str]) -> WasteRemedy:
    for pattern, flag in ((_APK, "--no-cache"), (_PIP, "--no-cache-dir")):
        found = pattern.search(made.rest)
        if found and kind in {Unneeded.PACKAGE_CACHE, Unneeded.BUILD_CACHE}:
            after = f"{made.rest[: found.end()]} {flag}{made.rest[found.end() :]}"
            return WasteRemedy(f"add {flag}", made.text, f"RUN {after}")
    text = _OF_RUN.get(kind, "remove them in the same RUN")
    command = _removing(kind, folders)
    return WasteRemedy(text, made.text, f"RUN {made.rest} && {command}") if command else WasteRemedy(text)


def _removing(kind: Unneeded, folders: Sequence[str]) -> str:
    """Give the command that removes what is in folders of a kind; empty where files have to be chosen by a person."""
    places = [shlex.quote(folder) for folder in folders if folder.strip("/")]
    if not places:
        return ""
    match kind:
        case Unneeded.DOCS:
            kept = " ".join(f"! -iname '{name}*'" for name in ("copyright", "licen", "notice"))
            return f"find {' '.join(places)} -type f {kept} -delete"
        case Unneeded.LOCALES:
            return f"find {' '.join(places)} -type f ! -path '*/C.utf8/*' -delete"
        case Unneeded.PACKAGE_CACHE | Unneeded.BUILD_CACHE | Unneeded.TEMPORARY | Unneeded.MAN:
            return f"rm -rf {' '.join(f'{place}/*' for place in places)}"
        case _:
            return ""


_STRIP = (
    "strip the programs: go build -ldflags=-s, gcc -s, cargo's strip = true, or `strip` in the stage that builds them"
)
_OF_RUN = {
    Unneeded.PACKAGE_CACHE: "remove the indexes in the same RUN, or keep them out of the layer with --mount=type=cache",
    Unneeded.BUILD_CACHE: "keep the cache out of the layer with --mount=type=cache, or remove it in the same RUN",
    Unneeded.TOOLCHAIN: "build in a stage of its own, and COPY --from only the result",
    Unneeded.BYTECODE: "set PYTHONDONTWRITEBYTECODE=1 and pip's --no-compile; the first start then takes longer",
}
_IGNORED = {
    Unneeded.VCS: ("**/.git",),
    Unneeded.TEST_DATA: ("**/testdata", "**/*_test.go", "**/tests"),
    Unneeded.BYTECODE: ("**/__pycache__", "**/*.pyc"),
    Unneeded.BUILD_CACHE: ("**/.cache", "**/node_modules/.cache"),
    Unneeded.TEMPORARY: ("tmp", "**/*.log"),
}


def remedy_for_duplicates(paths: Sequence[str]) -> WasteRemedy:
    """Say how a second copy of a content is left out."""
    first, *others = paths
    return WasteRemedy(
        f"keep {first} and make {_listed(others)} a link to it (ln, or ln -s), in the instruction that writes it"
    )


def _of_base(change: HiddenBy, hider: HistoryInstruction) -> WasteRemedy:
    if change.fate is Fate.COPIED:
        return WasteRemedy(
            f"`{_cut(hider.text)}` copies files of the base whole to change mode or owner: leave that out"
        )
    return WasteRemedy(
        f"they are of the base: `{_cut(hider.text)}` hides them, and they are still pulled; choose a base without them"
    )


def _metadata(change: HiddenBy, made: HistoryInstruction, hider: HistoryInstruction) -> WasteRemedy:
    if made.word in {"COPY", "ADD"}:
        flags = [f"--chmod={change.mode:o}"] if "chmod" in hider.text else []
        flags += [f"--chown={change.owner[0]}:{change.owner[1]}"] if "chown" in hider.text else []
        flags = flags or [f"--chmod={change.mode:o}", f"--chown={change.owner[0]}:{change.owner[1]}"]
        text = f"set mode and owner where the file is copied, instead of by `{_cut(hider.text)}`"
        return WasteRemedy(text, made.text, f"{made.word} {' '.join(flags)} {made.rest}")
    if made.word == hider.word == "RUN":
        return WasteRemedy("change mode and owner in the RUN that writes the file", *_joined(made, hider))
    return WasteRemedy(
        f"only mode, owner or time changed: do that where the file is written, not in `{_cut(hider.text)}`"
    )


def _joined(made: HistoryInstruction, hider: HistoryInstruction) -> tuple[str, str]:
    return f"{made.text}\n{hider.text}", f"RUN {made.rest} && {hider.rest}"


def _copied_in_vain(made: HistoryInstruction) -> WasteRemedy:
    return WasteRemedy(
        f"do not copy them: add them to .dockerignore, or read them in the RUN that needs them with "
        f"--mount=type=bind instead of `{_cut(made.text)}`"
    )


def _excluding(made: HistoryInstruction, patterns: Sequence[str]) -> str:
    return f"{made.word} {' '.join(f'--exclude={pattern}' for pattern in patterns)} {made.rest}"


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:3])
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown or "them"  # noqa: PLR2004 - as many as one reads


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
