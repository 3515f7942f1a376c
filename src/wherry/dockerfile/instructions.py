"""Instructions as values: one frozen class each, unexpanded words; variables are put in by the plan.

Source: Dockerfile reference; BuildKit 0.34's behaviour for what it leaves open.
"""

from dataclasses import dataclass, field

from wherry.dockerfile.errors import Lines
from wherry.dockerfile.mounts import MountText
from wherry.dockerfile.syntax import Heredoc


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What all instructions have."""

    word: str
    """As written, such as `copy`."""
    text: str
    """The whole line, continued ones joined; heredocs left out."""
    lines: Lines
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and a value."""

    name: str
    value: str
    legacy: bool = False
    """Whether it was written without `=`."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A build argument; None: it has no value of its own."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What RUN, CMD, ENTRYPOINT or HEALTHCHECK start."""

    words: tuple[str, ...]
    shell: bool
    """Whether a shell reads it: it was no JSON array."""
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file whose bytes stand in the Dockerfile."""

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Instruction):
    """FROM: a stage begins."""

    image: str
    name: str = ""
    """Lower case."""
    platform: str = ""
    as_word: str = ""
    """`AS` as written."""
    written_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """ARG."""

    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    """ENV."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    """LABEL."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    """MAINTAINER."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files(Instruction):
    """What COPY and ADD have in common."""

    sources: tuple[str, ...]
    contents: tuple[InlineFile, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(_Files):
    """COPY."""

    from_: str = ""
    parents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(_Files):
    """ADD."""

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None
    """None: local archives only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Instruction):
    """RUN."""

    command: CommandLine
    mounts: tuple[MountText, ...] = ()
    network: str = "default"
    security: str = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Instruction):
    """CMD."""

    command: CommandLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Instruction):
    """ENTRYPOINT."""

    command: CommandLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Instruction):
    """HEALTHCHECK; times in nanoseconds, 0: as the runtime has it."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    """EXPOSE."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    """USER."""

    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    """VOLUME."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    """WORKDIR."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopsignal(Instruction):
    """STOPSIGNAL."""

    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    """SHELL."""

    shell: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Instruction):
    """ONBUILD."""

    trigger: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage, as written."""

    base: From
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A file."""

    stages: tuple[Stage, ...]
    preamble: tuple[Arg, ...]
    """ARG before the first FROM."""
    escape: str = "\\"
    directives: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Value and line."""
    empty_continuations: tuple[tuple[int, str], ...] = ()
