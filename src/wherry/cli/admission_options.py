"""The options that say by which policy images are judged, for all commands of `wherry admission`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from wherry.app.admission.configuration import AdmissionMode, TlsSettings
from wherry.app.admission.state import AdmissionSource
from wherry.errors import InvalidUsage

F = TypeVar("F", bound=Callable[..., Any])


def judging(command: F) -> F:
    """Add the options."""
    for option in reversed((
        click.option(
            "--config", "configuration", metavar="FILE", help="Policies by namespace and image, modes, exemptions."
        ),
        click.option("--policy", metavar="FILE", help="Instead of --config: one policy for all images."),
        click.option(
            "--mode",
            type=click.Choice([mode.value for mode in AdmissionMode]),
            help="With --policy: refuse, warn, or only log. [default: enforce]",
        ),
        click.option(
            "--exempt", multiple=True, metavar="NAMESPACE",
            help="Do not judge images of this namespace; log and count them. Can be repeated.",
        ),
        click.option(
            "--insecure", multiple=True, metavar="HOST[:PORT]",
            help="Allow plain HTTP or an untrusted certificate for this registry. Can be repeated.",
        ),
    )):  # fmt: skip
        command = option(command)
    return command


def source_of(
    configuration: str | None,
    policy: str | None,
    mode: str | None,
    exempt: tuple[str, ...],
    tls: TlsSettings | None = None,
) -> AdmissionSource:
    """Give what the options name.

    Raises:
        InvalidUsage: they do not fit together.
    """
    if bool(configuration) == bool(policy):
        raise InvalidUsage("admission: give --config or --policy", hint="for one policy, write --policy release.toml")
    if configuration and mode:
        raise InvalidUsage("admission: --mode goes with --policy", hint="write mode in the rules of the configuration")
    return AdmissionSource(
        configuration=configuration or "",
        policy=policy or "",
        mode=mode or AdmissionMode.ENFORCE.value,
        exempt=exempt,
        tls=tls,
    )
