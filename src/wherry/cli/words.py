"""The words of a command line, as the typed options of a build."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from wherry.app.build.options import CommonOptions, DockerfileBuild, FrontEnd, GoBuild
from wherry.app.build.result import BuildResult
from wherry.cli.cluster_words import PLACES
from wherry.errors import InvalidUsage
from wherry.platform import Platform
from wherry.settings.outputs import parse_outputs
from wherry.settings.profile import parse_device_memory, parse_profile
from wherry.settings.template import words_of
from wherry.settings.values import (
    Added,
    check_go_variable,
    check_user,
    check_workdir,
    parse_pair,
    parse_platforms,
    parse_ports,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How a build speaks: the command line's own options, for both front ends."""

    quiet: bool = False
    """Whether the digest alone is printed."""
    as_json: bool = False
    progress: str = "auto"
    """One of `report.progress.MODES`."""
    explain: bool = False
    tag_only: bool = False
    """Whether references have no digest."""

    @property
    def mode(self) -> str:
        """How progress is shown."""
        return "quiet" if self.quiet and self.progress == "auto" else self.progress


VOICE = frozenset(Voice.__dataclass_fields__)
"""Options that no build sees."""


def given_words(context: click.Context) -> dict[str, str]:
    """Give the options of a call that were written out, each as it was written, by the name it is handed over by."""
    given = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        if not isinstance(parameter, click.Option) or context.get_parameter_source(name) is not _WRITTEN:
            continue
        if name not in context.params:
            continue  # about what is printed alone, such as --format
        value = context.params[name]
        spelt = [*parameter.secondary_opts] if value is False and parameter.secondary_opts else [*parameter.opts]
        if parameter.is_flag and isinstance(parameter.flag_value, str) and parameter.flag_value != value:
            continue
        given[name] = max(spelt, key=len)
    return given


_WRITTEN = ParameterSource.COMMANDLINE


def voice_of(words: Mapping[str, Any]) -> Voice:
    """Read how the build speaks."""
    return Voice(**{name: words[name] for name in VOICE if name in words})


def go_build(packages: Sequence[str], words: Mapping[str, Any]) -> GoBuild:
    """Read a build of Go modules; a command may lack some of the options.

    Raises:
        InvalidUsage: an option value is malformed.
    """
    go_env = _pairs(words, "go_env", "--go-env")
    for name, _ in go_env or ():
        check_go_variable(name)
    return GoBuild(
        packages=tuple(packages),
        base=words["base"],
        debian=words.get("debian"),
        ca=words.get("ca") or None,
        ca_for=words.get("ca_for") or None,
        ca_only=words.get("ca_only"),
        keep=words.get("keep") or None,
        ldflags=" ".join(words["ldflags"]) if words["ldflags"] else None,
        gcflags=words["gcflags"],
        asmflags=words["asmflags"],
        go_tags=tuple(tag for text in words["go_tags"] for tag in words_of(text)) or None,
        go_env=go_env,
        go_version=words["go_version"],
        trimpath=words["trimpath"],
        strip=words["strip"],
        strip_buildid=words["strip_buildid"],
        profile=parse_profile(words["profile"]) if words.get("profile") else None,
        device_memory=parse_device_memory(words["device_memory"]) if words.get("device_memory") else None,
        pie=words.get("pie"),
        cgo=words.get("cgo"),
        debug_info=words.get("debug_info"),
        no_vcs=words["no_vcs"],
        allow_secret_ldflags=words["allow_secret_ldflags"],
        size_record=words.get("size_record", False),
        repo=words["repo"] or "",
        style=words["style"] or "",
        local=words["local"],
        go=words.get("go", False),
        disable_optimizations=words["disable_optimizations"],
        **_common(words, parse_platforms(words["platforms"]) or None),
    )


def dockerfile_build(context: str, words: Mapping[str, Any]) -> DockerfileBuild:
    """Read a build of a Dockerfile.

    Raises:
        InvalidUsage: an option value is malformed.
    """
    from wherry.dockerfile.mounts import parse_size

    return DockerfileBuild(
        context=context,
        file=words["file"] or "",
        target=words["target"],
        build_args=words["build_args"],
        build_contexts=words["build_contexts"],
        secrets=words["secrets"],
        agents=words["agents"],
        no_cache_filter=tuple(name.strip() for text in words["no_cache_filter"] for name in text.split(",")),
        hosts=tuple(map(_host, words["hosts"])),
        limits=tuple(map(_limit, words["limits"])),
        shm=parse_size(words["shm"]) if words["shm"] else 0,
        network=words["network"],
        allow=words["allow"],
        isolation=words["isolation"],
        cache_from=words["cache_from"],
        cache_to=words["cache_to"],
        ignore_chown_errors=words["ignore_chown_errors"],
        check=words["check"],
        debug_shell=words["debug_shell"],
        **_common(words, _as_asked(words["platforms"]) or None),
    )


def check_voice(voice: Voice, options: CommonOptions) -> None:
    """Refuse to print two things on stdout.

    Raises:
        InvalidUsage: an output goes there, and a document would.
    """
    if voice.as_json and any(output.stdout for output in options.outputs):
        raise InvalidUsage("--json and --output both write to stdout", hint="add dest=PATH to --output")


def _common(words: Mapping[str, Any], platforms: tuple[Platform, ...] | None) -> dict[str, Any]:
    return {
        "tags": words["tags"] or None,
        "platforms": platforms,
        "labels": _pairs(words, "labels", "--label"),
        "annotations": _pairs(words, "annotations", "--annotation"),
        "env": _pairs(words, "env", "--env"),
        "user": check_user(words["user"]) if words["user"] else None,
        "workdir": check_workdir(words["workdir"]) if words["workdir"] else None,
        "expose": tuple(port for text in words["expose"] for port in parse_ports(text)) or None,
        "entrypoint": _argv("--entrypoint", words["entrypoint"]),
        "cmd": _argv("--cmd", words["cmd"]),
        "add": tuple(Added.parse(text) for text in words["add"]) or None,
        "compression": words["compression"],
        "compression_level": words["compression_level"],
        "release": words["release"],
        "outputs": parse_outputs(words.get("outputs", ())),
        "metadata_file": words.get("metadata_file") or "",
        "iidfile": words.get("iidfile") or "",
        "push": words.get("push"),
        "jobs": words["jobs"],
        "image_refs": words["image_refs"] or "",
        "tag_only": words["tag_only"],
        "load": words.get("load", False),
        "budgets": words.get("budgets", True),
        "prove": words.get("prove", False),
        "sbom": words.get("sbom", ()),
        "provenance": words.get("provenance", False),
        "attach": _place_of_documents(words.get("attach", "referrers")),
        "against": words.get("against") or "",
        "pull": words["pull"],
        "offline": words["offline"],
        "insecure": words["insecure"],
        "no_cache": words["no_cache"],
        "strict_encoder": words["strict_encoder"],
    }


def _place_of_documents(word: str) -> str:
    if word not in PLACES:
        raise InvalidUsage(f"--attach {word}: only `wherry build` picks up a build", hint="use " + ", ".join(PLACES))
    return word


def _pairs(words: Mapping[str, Any], name: str, option: str) -> tuple[tuple[str, str], ...] | None:
    return tuple(parse_pair(text, option) for text in words[name]) or None


def _argv(option: str, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        argv = json.loads(text) if text.lstrip().startswith("[") else shlex.split(text)
    except ValueError as error:
        raise InvalidUsage(
            f"{option} {text!r}: {error}", hint='write words, or a JSON list such as ["/app/api", "-v"]'
        ) from error
    if not all(isinstance(word, str) for word in argv):
        raise InvalidUsage(
            f"{option} {text!r}: expected a list of strings", hint='write a JSON list such as ["/app/api", "-v"]'
        )
    return tuple(argv)


def _as_asked(texts: Sequence[str]) -> tuple[Platform, ...]:
    """Read platforms in the order they were given, which is that of a Dockerfile's index."""
    words = [word.strip() for text in texts for word in text.split(",")]
    if "all" in words:
        return parse_platforms(texts)
    return tuple(dict.fromkeys(map(Platform.parse, words)))


def _host(text: str) -> tuple[str, str]:
    mark = "=" if "=" in text else ":"
    name, found, address = text.partition(mark)
    if not found or not name or not address:
        raise InvalidUsage(f"--add-host {text}: expected NAME:IP", hint="write it as NAME:IP")
    return name, address.strip("[]")


def _limit(text: str) -> tuple[str, int, int]:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    numbers = [int(value) if re.fullmatch(r"-?\d+", value) else None for value in (soft, hard or soft)]
    if None in numbers or not name:
        raise InvalidUsage(f"--ulimit {text}: invalid limit", hint="write it as nofile=1024 or nofile=1024:2048")
    return name, numbers[0] or 0, numbers[1] or 0


def build_of(front_end: FrontEnd, paths: Sequence[str], words: Mapping[str, Any]) -> GoBuild | DockerfileBuild:
    """Read a build with a front end.

    Raises:
        InvalidUsage: a word is not well-formed, or a Dockerfile has several contexts.
    """
    if front_end is FrontEnd.GO:
        return go_build(paths, words)
    if len(paths) > 1:
        raise InvalidUsage(f"a Dockerfile has one context, but {len(paths)} were given", hint="give one directory")
    return dockerfile_build(paths[0] if paths else ".", words)


def printed(result: BuildResult, voice: Voice) -> list[str]:
    """Give the lines of stdout."""
    if voice.as_json:
        return [result.document().decode()]
    if voice.tag_only:
        return [image.names[0] for image in result.images]
    return [image.digest if voice.quiet else image.reference for image in result.images]
