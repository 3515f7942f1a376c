"""Another order of a Dockerfile's instructions, in which changes of sources run less again.

Two moves: a dependency step goes before the COPY of everything, behind a COPY of its manifests; a step that installs
packages by name goes before the files that are copied in front of it. Both move whole lines and change none.
"""

import posixpath
import re
from collections.abc import Callable, Sequence

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.dependencies import dependency_step, takes_all
from wherry.dockerfile.advice.shell import ShellCommand
from wherry.dockerfile.advice.stages import Advised, AdvisedStage, RunStep
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.fixes.written import split_lines
from wherry.dockerfile.ignore import Patterns
from wherry.dockerfile.notes import Around
from wherry.dockerfile.parser import parse

ContextFile = Callable[[str], bytes | None]
"""Reads a file of the build context; None: there is none."""
MovedLines = tuple[int, int, list[str]]
"""First and last line that are replaced, and what by."""
_MANIFESTS = {
    "go": (("go.mod",), ("go.sum",)),
    "npm": (("package.json",), ("package-lock.json", "npm-shrinkwrap.json", ".npmrc")),
    "yarn": (("package.json",), ("yarn.lock", ".yarnrc", ".yarnrc.yml")),
    "pnpm": (("package.json", "pnpm-lock.yaml"), ("pnpm-workspace.yaml", ".npmrc")),
    "poetry": (("pyproject.toml",), ("poetry.lock",)),
    "pipenv": (("Pipfile",), ("Pipfile.lock",)),
    "bundle": (("Gemfile",), ("Gemfile.lock",)),
    "composer": (("composer.json",), ("composer.lock",)),
}
"""Files that a tool needs to fetch what they list, and those that it takes where they are there."""
_REPLACES = re.compile(rb"(?m)=>\s*\.{1,2}/")
_LOCAL_REQUIREMENT = re.compile(rb"(?m)^\s*(?:-e|--editable|-r|-c|--requirement|--constraint|\.|file:)")
_STAYS = (of.Env, of.Arg, of.Label, of.Expose, of.Shell, of.Stopsignal, of.Volume, of.Healthcheck)
_CROSSED = (of.Copy, of.Add, of.Workdir, of.Label, of.Expose, of.Cmd, of.Entrypoint, of.Stopsignal, of.Healthcheck)
_INSTALLS = {
    "apt-get": ("install",), "apt": ("install",), "apk": ("add",), "dnf": ("install",), "yum": ("install",),
    "microdnf": ("install",), "zypper": ("install", "in"),
}  # fmt: skip
_WITH_INSTALLS = frozenset({"rm", "echo", "true", "set", *_INSTALLS})
_PACKAGES = (
    "/bin", "/etc/apk", "/etc/apt", "/etc/dnf", "/etc/dpkg", "/etc/group", "/etc/passwd", "/etc/pki", "/etc/ssl",
    "/etc/yum", "/etc/zypp", "/lib", "/sbin", "/usr/bin", "/usr/lib", "/usr/local/share/ca-certificates", "/usr/sbin",
    "/usr/share/keyrings", "/var/cache", "/var/lib",
)  # fmt: skip
"""Where files change what a package manager does."""
_MOVES = 50


def dependencies_first(
    file: Advised, lines: Sequence[str], run: of.Instruction, context_file: ContextFile, *, safe: bool = True
) -> MovedLines | None:
    """Move a dependency step before the COPY of everything in front of it.

    Args:
        file: the Dockerfile.
        lines: its lines, with their ends.
        run: the step.
        context_file: reads the context.
        safe: whether only what certainly makes the same files is done: `go mod download` of a module without local
            replacements. npm's scripts, for one, may need sources.

    Returns:
        What is replaced by what; None where it can't be done.
    """
    stage = next((one for one in file.stages if any(other is run for other in one.stage.instructions)), None)
    if stage is None or not isinstance(run, of.Run):
        return None
    step = next(one for one in stage.steps if one.run is run)
    found = _copied_before(stage, run)
    tool = _only_dependencies(step)
    if found is None or not tool or (safe and tool != "go"):
        return None
    copied, between = found
    if not all(isinstance(one, _STAYS) for one in between) or any(mount.type == "bind" for mount in step.mounts):
        return None
    names = _manifests(file, tool, step, context_file)
    if not names or (not safe and not _is_folder(copied.destination)):
        return None
    first = _with_comments(lines, copied)
    head = lines[copied.lines.first - 1]
    end = "\r\n" if head.endswith("\r\n") else "\n"
    flags = "".join(f" {flag}" for flag in copied.text.split() if flag.startswith("--"))
    indent = head[: len(head) - len(head.lstrip())]
    folder = copied.destination if copied.destination.endswith("/") else f"{copied.destination}/"
    added = f"{indent}{copied.word}{flags} {' '.join(names)} {folder}{end}"
    block = list(lines[first - 1 : copied.lines.last])
    rest = list(lines[copied.lines.last : run.lines.last])
    if rest and not rest[-1].endswith("\n"):
        rest[-1] += end
        block[-1] = block[-1].rstrip("\r\n")
    return first, run.lines.last, [added, *rest, *block]


def proposed_order(file: Advised, text: str, around: Around, context_file: ContextFile) -> str:
    """Give a Dockerfile's text in the order that is proposed; unchanged where there is nothing to move."""
    for _ in range(_MOVES):
        lines = split_lines(text)
        moved = _next_move(file, lines, context_file)
        if moved is None:
            break
        first, last, new = moved
        text = "".join([*lines[: first - 1], *new, *lines[last:]])
        file = Advised(file.name, parse(text), around, Checks())
    return text


def _next_move(file: Advised, lines: Sequence[str], context_file: ContextFile) -> MovedLines | None:
    for stage in file.stages:
        for step in stage.steps:
            cached = any(mount.type == "cache" for mount in step.mounts)
            moved = None if cached else dependencies_first(file, lines, step.run, context_file, safe=False)
            if moved := moved or _installs_first(stage, lines, step):
                return moved
    return None


def _copied_before(stage: AdvisedStage, run: of.Run) -> tuple[of.Copy | of.Add, list[of.Instruction]] | None:
    """Find the COPY of everything before a step, and what is between the two."""
    between: list[of.Instruction] = []
    every = stage.stage.instructions
    at = next(number for number, one in enumerate(every) if one is run)
    for one in reversed(every[:at]):
        if isinstance(one, of.Copy | of.Add) and takes_all(one):
            return one, between
        between.append(one)
    return None


def _only_dependencies(step: RunStep) -> str:
    """Name the tool of a step that fetches dependencies and does nothing else."""
    tools = {found[0].split()[0] for one in step.commands if (found := dependency_step(one)) is not None}
    others = [one for one in step.commands if dependency_step(one) is None]
    harmless = all(_harmless(one) for one in others)
    return tools.pop() if len(tools) == 1 and harmless and not step.run.command.heredocs else ""


def _harmless(command: ShellCommand) -> bool:
    return command.program in ("set", "true", "") or command.does("go", "env", "version", "mod")


def _manifests(file: Advised, tool: str, step: RunStep, context_file: ContextFile) -> list[str]:
    """Name the files that a step needs, as far as the context has them; none where one is missing or wants more."""
    ignored = Patterns(file.around.ignored)

    def there(name: str) -> bool:
        return not ignored.fit(name) and context_file(name) is not None

    if tool in ("pip", "pip3", "uv"):
        names = _requirements(step)
        local = any(_LOCAL_REQUIREMENT.search(context_file(name) or b"") for name in names)
        return names if names and all(map(there, names)) and not local else []
    needed, wanted = _MANIFESTS.get(tool, ((), ()))
    if not needed or not all(map(there, needed)):
        return []
    if tool == "go" and (_REPLACES.search(context_file("go.mod") or b"") or context_file("go.work") is not None):
        return []
    return [*needed, *filter(there, wanted)]


def _requirements(step: RunStep) -> list[str]:
    found = []
    for command in step.commands:
        for word, after in zip(command.words, (*command.words[1:], ""), strict=True):
            if word in ("-r", "--requirement") and after:
                found.append(posixpath.normpath(after))
    return [name for name in found if not name.startswith(("/", "..")) and "$" not in name and "/" not in name]


def _is_folder(destination: str) -> bool:
    return "$" not in destination


def _with_comments(lines: Sequence[str], one: of.Instruction) -> int:
    """Give the line at which the comments above an instruction begin."""
    first = one.lines.first
    while first > 1 and lines[first - 2].lstrip().startswith("#") and first - 1 > 1:
        first -= 1
    return first


def _installs_first(stage: AdvisedStage, lines: Sequence[str], step: RunStep) -> MovedLines | None:
    """Move a step that installs packages by name before the files that are copied in front of it."""
    run = step.run
    if not _installs(step) or any(mount.type == "bind" for mount in step.mounts):
        return None
    every = stage.stage.instructions
    at = next(number for number, one in enumerate(every) if one is run)
    first: of.Instruction | None = None
    for one in reversed(every[:at]):
        if not isinstance(one, _CROSSED) or _concerns_packages(one):
            break
        if isinstance(one, of.Copy | of.Add):
            first = one
    if first is None:
        return None
    begin, start = _with_comments(lines, first), _with_comments(lines, run)
    block = list(lines[start - 1 : run.lines.last])
    rest = list(lines[begin - 1 : start - 1])
    if not block[-1].endswith("\n"):
        block[-1] += "\n"
        rest[-1] = rest[-1].rstrip("\r\n")
    return begin, run.lines.last, [*block, *rest]


def _installs(step: RunStep) -> bool:
    """Report whether a step installs packages by name, and does nothing that could need a copied file."""
    if step.run.command.heredocs or not step.run.command.shell:
        return False
    programs = {one.program for one in step.commands if one.words}
    some = any(one.program in _INSTALLS and one.does(one.program, *_INSTALLS[one.program]) for one in step.commands)
    words = [word for one in step.commands for word in one.arguments if one.program in _INSTALLS]
    local = any(word.startswith(("/", "./", "../")) or word.endswith((".deb", ".rpm", ".apk")) or "$" in word
                for word in words)  # fmt: skip
    return some and programs <= _WITH_INSTALLS and not local


def _concerns_packages(one: of.Instruction) -> bool:
    """Report whether a COPY may change what a package manager does."""
    if not isinstance(one, of.Copy | of.Add):
        return False
    target = posixpath.normpath(one.destination)
    return "$" in target or target in ("/", ".", "/etc", "/usr", "/var") or target.startswith(_PACKAGES)
