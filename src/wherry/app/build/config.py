"""What options set of an image's config, the same for both front ends."""

from collections.abc import Iterator, Mapping

from wherry.analysis.build_secrets import AT_START, judge_arguments
from wherry.finding import Finding
from wherry.oci.config import RuntimeConfig
from wherry.settings.options import BuildOptions


def config_of(options: BuildOptions, env: Mapping[str, str] | None = None) -> RuntimeConfig:
    """Give what options set; an empty field leaves what the base or the Dockerfile says.

    Args:
        options: of the image.
        env: variables below those of the options.
    """
    variables = {**(env or {}), **dict(options.env or ())}
    return RuntimeConfig(
        user=options.user or "",
        exposed_ports={port: {} for port in options.expose} if options.expose else None,
        env=tuple(f"{name}={value}" for name, value in variables.items()) or None,
        entrypoint=options.entrypoint,
        cmd=options.cmd,
        working_dir=options.workdir or "",
        labels=dict(options.labels) if options.labels else None,
    )


def judge_config(changes: RuntimeConfig, annotations: Mapping[str, str]) -> Iterator[Finding]:
    """Judge the values that a user publishes with an image by options."""
    yield from judge_arguments(changes.environment, "env", AT_START)
    yield from judge_arguments(changes.labels or {}, "label", AT_START)
    yield from judge_arguments(annotations, "annotation", AT_START)
