"""Nodes to instructions and stages.

Source: Dockerfile reference; BuildKit 0.34's behaviour for what it leaves open.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from wherry.dockerfile import instructions as of
from wherry.dockerfile.errors import DockerfileError, nearest
from wherry.dockerfile.mounts import read_mount
from wherry.dockerfile.syntax import INSTRUCTIONS, Heredoc, Node, Syntax, parse_heredoc, read_syntax

_STAGE = re.compile(r"[a-z][a-z0-9\-_.]*")
_DURATION = re.compile(r"([-+]?)((?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_MILLISECOND = 10**6
_ENDLESS = 1 << 63
"""Nanoseconds that are no duration any more."""
_LONGEST = 200
"""Letters of a duration."""
_NETWORKS = ("default", "none", "host")
_SECURITY = ("sandbox", "insecure")
_ONBUILD = re.compile(r"[\t\n\f\r ]*ONBUILD[\t\n\f\r ]*", re.IGNORECASE)


def parse(text: str) -> of.Dockerfile:
    """Read a file.

    Raises:
        DockerfileError: with the lines.
    """
    syntax = read_file(text)
    return assemble(syntax, map(parse_node, syntax.nodes))


def read_file(text: str) -> Syntax:
    """Cut a whole file into nodes.

    Raises:
        DockerfileError: with the lines.
    """
    if not text:
        raise DockerfileError("the Dockerfile cannot be empty", hint="start it with FROM")
    return read_syntax(text)


def assemble(syntax: Syntax, instructions: Iterable[of.Instruction]) -> of.Dockerfile:
    """Put a file's instructions into stages.

    Raises:
        DockerfileError: one stands before the first stage, or there is no stage.
    """
    preamble: list[of.Arg] = []
    stages: list[tuple[of.From, list[of.Instruction]]] = []
    for instruction in instructions:
        match instruction:
            case of.From():
                stages.append((instruction, []))
            case of.Arg() if not stages:
                preamble.append(instruction)
            case _ if not stages:
                raise DockerfileError(
                    "no build stage in current context", instruction.lines, hint="start the file with FROM"
                )
            case _:
                stages[-1][1].append(instruction)
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build", hint="start it with FROM")
    return of.Dockerfile(
        tuple(of.Stage(base, tuple(inner)) for base, inner in stages),
        tuple(preamble),
        syntax.escape,
        syntax.directives,
        syntax.empty_continuations,
    )


def parse_trigger(text: str) -> of.Instruction:
    """Read what an ONBUILD of a base says.

    Raises:
        DockerfileError: it is not an instruction, or one that can't be a trigger.
    """
    nodes = read_syntax(text).nodes
    if len(nodes) != 1:
        raise DockerfileError("onbuild trigger should be a single expression")
    instruction = parse_node(nodes[0])
    if isinstance(instruction, of.From):
        raise DockerfileError("FROM isn't allowed as an ONBUILD trigger")
    return instruction


def parse_node(node: Node) -> of.Instruction:
    """Make an instruction of a node.

    Raises:
        DockerfileError: it is invalid, or is written wrongly.
    """
    read = _READERS.get(node.instruction.lower())
    if read is None:
        raise DockerfileError(
            f"unknown instruction: {node.instruction}{nearest(node.instruction.upper(), INSTRUCTIONS)}",
            node.lines,
            hint=f"an instruction is one of {', '.join(INSTRUCTIONS)}",
        )
    if "\0" in node.text or any("\0" in word for word in node.arguments):
        raise DockerfileError(
            "zero byte (NUL) in an instruction, which no argument, variable or path can hold",
            node.lines,
            hint="remove the zero byte; a file (COPY) may hold any bytes",
        )
    try:
        return read(node)
    except DockerfileError as error:
        raise error.placed(node.lines) from None


def _common(node: Node) -> dict[str, Any]:
    return {
        "word": node.instruction, "text": node.text.strip(), "lines": node.lines, "comments": node.comments,
    }  # fmt: skip


def _flags(node: Node, **known: str) -> dict[str, Any]:
    """Read flags.

    Args:
        node: its owner.
        known: name (with `_` for `-`) to `text`, `boolean` or `list`.

    Returns:
        What was given, by name.
    """
    given: dict[str, Any] = {}
    for flag in node.flags:
        if flag == "--":
            break
        name, equals, value = flag.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        kind = known.get(key) if name == f"--{key.replace('_', '-')}" else None
        if kind is None:
            names = [other.replace("_", "-") for other in known]
            raise DockerfileError(f"unknown flag: {name}{nearest(name.removeprefix('--'), names)}")
        if key in given and kind != "list":
            raise DockerfileError(f"duplicate flag specified: {name}")
        if (kind != "boolean" and not equals) or (kind == "boolean" and equals and not value):
            raise DockerfileError(f"missing a value on flag: {name}")
        if kind == "list":
            given[key] = (*given.get(key, ()), value)
        elif kind == "boolean":
            if value.lower() not in ("", "true", "false"):
                raise DockerfileError(f"expecting boolean value for flag {name}, not: {value}")
            given[key] = value.lower() != "false"
        else:
            given[key] = value
    return given


def _exactly_one(node: Node) -> str:
    _flags(node)
    if len(node.arguments) != 1:
        raise DockerfileError(f"{node.instruction.upper()} requires exactly one argument")
    return node.arguments[0]


def _at_least_one(node: Node) -> tuple[str, ...]:
    if not node.arguments:
        raise DockerfileError(f"{node.instruction.upper()} requires at least one argument")
    return node.arguments


def _from(node: Node) -> of.From:
    words = list(node.arguments)
    name = ""
    if len(words) == 3 and words[1].lower() == "as":  # noqa: PLR2004 - image, AS, name
        name = words[2].lower()
        if not _STAGE.fullmatch(name):
            raise DockerfileError(
                f'invalid name for build stage: "{words[2]}", name can\'t start with a number or contain symbols'
            )
    elif len(words) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    flags = _flags(node, platform="text")
    return of.From(
        image=words[0],
        name=name,
        platform=flags.get("platform", ""),
        as_word=words[1] if name else "",
        written_name=words[-1] if name else "",
        **_common(node),
    )


def _arg(node: Node) -> of.Arg:
    arguments = []
    for word in _at_least_one(node):
        name, equals, value = word.partition("=")
        if equals and not name:
            raise DockerfileError("ARG names can not be blank")
        arguments.append(of.Argument(name, value if equals else None))
    return of.Arg(arguments=tuple(arguments), **_common(node))


def _pairs(node: Node) -> tuple[of.Pair, ...]:
    _flags(node)
    words = _at_least_one(node)
    pairs = []
    for name, value, equals in zip(words[::3], words[1::3], words[2::3], strict=True):
        if not name:
            raise DockerfileError(f"{node.instruction.upper()} names can not be blank")
        pairs.append(of.Pair(name, value, legacy=not equals))
    return tuple(pairs)


def _files(node: Node) -> dict[str, Any]:
    *sources, destination = node.arguments
    command = node.instruction.upper()
    if parse_heredoc_or_none(destination):
        raise DockerfileError(f"{command} cannot accept a heredoc as a destination")
    by_name = {doc.name: doc for doc in node.heredocs}
    paths, contents = [], []
    for source in sources:
        doc = parse_heredoc_or_none(source)
        if doc is None:
            paths.append(source)
        elif doc.name in by_name:
            contents.append(of.InlineFile(doc.name, by_name[doc.name].text, doc.expand))
        else:
            contents.append(of.InlineFile(doc.name, "", doc.expand))
    return {"sources": tuple(paths), "contents": tuple(contents), "destination": destination}


def parse_heredoc_or_none(word: str) -> Heredoc | None:
    """Read a heredoc's word; a malformed one is not one."""
    try:
        return parse_heredoc(word)
    except DockerfileError:
        return None


def _two(node: Node) -> None:
    if len(node.arguments) < 2:  # noqa: PLR2004 - source and destination
        raise DockerfileError(
            f"{node.instruction.upper()} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )


def _add(node: Node) -> of.Add:
    _two(node)
    flags = _flags(
        node, chown="text", chmod="text", link="boolean", keep_git_dir="boolean", checksum="text", unpack="boolean",
        exclude="list",
    )  # fmt: skip
    return of.Add(**flags, **_files(node), **_common(node))


def _copy(node: Node) -> of.Copy:
    _two(node)
    flags = _flags(
        node, chown="text", chmod="text", link="boolean", exclude="list", parents="boolean", **{"from": "text"}
    )
    from_ = flags.pop("from", "")
    return of.Copy(from_=from_, **flags, **_files(node), **_common(node))


def _command(node: Node, words: tuple[str, ...]) -> of.CommandLine:
    return of.CommandLine(words, shell=not node.json, heredocs=node.heredocs)


def _run(node: Node) -> of.Run:
    flags = _flags(node, mount="list", network="text", security="text", device="list")
    if "device" in flags:
        raise DockerfileError(
            "RUN --device is not supported: steps cannot use host devices",
            hint="remove the flag; pass the device to the container at run time",
        )
    network, security = flags.get("network", "default"), flags.get("security", "sandbox")
    if network not in _NETWORKS:
        raise DockerfileError(f'unsupported network mode "{network}"{nearest(network, _NETWORKS)}')
    if security not in _SECURITY:
        raise DockerfileError(f'security "{security}" is not valid{nearest(security, _SECURITY)}')
    mounts = tuple(map(read_mount, flags.get("mount", ())))
    return of.Run(
        command=_command(node, node.arguments), mounts=mounts, network=network, security=security, **_common(node)
    )


def _cmd(node: Node) -> of.Cmd:
    _flags(node)
    return of.Cmd(command=_command(node, node.arguments), **_common(node))


def _entrypoint(node: Node) -> of.Entrypoint:
    _flags(node)
    return of.Entrypoint(command=_command(node, node.arguments), **_common(node))


def _healthcheck(node: Node) -> of.Healthcheck:
    kind, *words = _at_least_one(node)
    if kind.upper() == "NONE":
        if words:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return of.Healthcheck(test=("NONE",), **_common(node))
    times = ("interval", "timeout", "start_period", "start_interval")
    flags = _flags(node, retries="text", **dict.fromkeys(times, "text"))
    if kind.upper() != "CMD":
        raise DockerfileError(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    if not words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    durations: dict[str, Any] = {name: _duration(name, flags.get(name, "")) for name in times}
    return of.Healthcheck(
        test=("CMD" if node.json else "CMD-SHELL", *words),
        retries=_retries(flags.get("retries", "")),
        **durations,
        **_common(node),
    )


def _duration(name: str, text: str) -> int:
    if not text or text == "0":
        return 0
    found = _DURATION.fullmatch(text) if len(text) <= _LONGEST else None
    from fractions import Fraction  # few files have a duration, and it is slow to load

    total = sum(int(Fraction(number) * _UNITS[unit]) for number, unit in _PART.findall(text)) if found else _ENDLESS
    if found is None or total >= _ENDLESS:
        raise DockerfileError(f'time: invalid duration "{text}"', hint="write it as 30s, 1m30s or 500ms")
    if total and (found[1] == "-" or total < _MILLISECOND):
        raise DockerfileError(f'Interval "{name.replace("_", "-")}" cannot be less than 1ms')
    return total


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[-+]?\d{1,19}", text, re.ASCII) or abs(int(text)) >= 1 << 31:
        raise DockerfileError(f"--retries: {text!r} is not a number")
    if int(text) < 0:
        raise DockerfileError(f"--retries cannot be negative ({text})")
    return int(text)


def _expose(node: Node) -> of.Expose:
    words = _at_least_one(node)
    _flags(node)
    return of.Expose(ports=tuple(sorted(words)), **_common(node))


def _volume(node: Node) -> of.Volume:
    words = _at_least_one(node)
    _flags(node)
    paths = tuple(word.strip() for word in words)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return of.Volume(paths=paths, **_common(node))


def _shell(node: Node) -> of.Shell:
    _flags(node)
    words = _at_least_one(node)
    if not node.json:
        raise DockerfileError(
            "SHELL requires the arguments to be in JSON form", hint='write it as SHELL ["/bin/sh", "-c"]'
        )
    return of.Shell(shell=words, **_common(node))


def _onbuild(node: Node) -> of.Onbuild:
    words = _at_least_one(node)
    _flags(node)
    trigger = node.inner.instruction.upper() if node.inner else ""
    if trigger == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger} isn't allowed as an ONBUILD trigger")
    del words
    text = _ONBUILD.sub("", node.text, count=1)
    for doc in node.heredocs:
        text += f"\n{doc.content}{doc.name}"
    return of.Onbuild(trigger=text, **_common(node))


_READERS: Mapping[str, Callable[[Node], of.Instruction]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": lambda node: of.Env(pairs=_pairs(node), **_common(node)),
    "expose": _expose,
    "from": _from,
    "healthcheck": _healthcheck,
    "label": lambda node: of.Label(pairs=_pairs(node), **_common(node)),
    "maintainer": lambda node: of.Maintainer(name=_exactly_one(node), **_common(node)),
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": lambda node: of.Stopsignal(signal=_exactly_one(replace(node, flags=())), **_common(node)),
    "user": lambda node: of.User(user=_exactly_one(node), **_common(node)),
    "volume": _volume,
    "workdir": lambda node: of.Workdir(path=_exactly_one(node), **_common(node)),
}
