"""Options of a build in a cluster, and what they mean."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.app.on_kubernetes.options import ClusterOptions

PLACES: Final = ("referrers", "index", "both")
"""Where SBOMs and provenance go: the other meaning of `--attach`."""
_BUILD: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,40}-[0-9a-f]{8}")
"""A build in a cluster, as `new_name` names it."""


def attach_word(_: click.Context, parameter: click.Parameter, value: str) -> str:
    """Take a place for documents, or the name of a build in a cluster."""
    if value in PLACES or _BUILD.fullmatch(value):
        return value
    raise click.BadParameter(
        f"{value!r} is neither {', '.join(map(repr, PLACES))} nor the name of a build in a cluster", param=parameter
    )


KUBERNETES = (
    click.option("--on", type=click.Choice(["kubernetes"]), help="Build in a cluster: a Job with a pod a platform."),
    click.option("--builder", metavar="IMAGE", help="On a cluster: the image of the pods, with wherry, Go and git."),
    click.option("--namespace", metavar="NAME", help="On a cluster: where the Job is. [default: the context's]"),
    click.option("--context", "cluster_context", metavar="NAME", help="On a cluster: context of kubectl's settings."),
    click.option("--parallelism", type=click.IntRange(1, 10_000), metavar="N", help="On a cluster: pods at a time."),
    click.option("--queue", metavar="NAME", help="On a cluster: the queue of Kueue that decides when the Job starts."),
    click.option("--suspend", is_flag=True, help="On a cluster: create the Job suspended, for something to start it."),
    click.option(
        "--verify",
        is_flag=True,
        help="On a cluster: build each platform twice, in different places; if they differ, push nothing.",
    ),
    click.option("--detach", is_flag=True, help="On a cluster: do not wait; --attach NAME picks the build up."),
    click.option(
        "--print",
        "print_only",
        is_flag=True,
        help="On a cluster: send the sources, print the manifests, and create nothing there.",
    ),
    click.option("--sign", metavar="KEY", help="On a cluster: sign the images, as `wherry sign --key KEY` does."),
)
"""Options of builds in a cluster."""
_NAMES: Final = {
    "builder": "--builder", "namespace": "--namespace", "cluster_context": "--context", "parallelism": "--parallelism",
    "queue": "--queue", "suspend": "--suspend", "verify": "--verify", "detach": "--detach", "print_only": "--print",
    "sign": "--sign",
}  # fmt: skip
_ATTACHED: Final = frozenset({"builder", "parallelism", "queue", "suspend", "verify", "detach", "print_only"})
"""Those that say how a build begins."""


def split_words(words: dict[str, Any]) -> dict[str, Any] | None:
    """Take the options of a cluster out of a call's; None: it builds on this machine.

    Raises:
        InvalidUsage: there are some, and no cluster is asked for; or two that exclude each other.
    """
    on = words.pop("on", None)
    there = {name: words.pop(name, None) for name in _NAMES}
    attach = words.get("attach", "referrers")
    name = attach if attach not in PLACES else ""
    if on is None and not name:
        given = [option for key, option in _NAMES.items() if there[key]]
        if given:
            raise InvalidUsage(f"{given[0]} is for builds in a cluster", hint="add --on kubernetes, or remove it")
        return None
    if name:
        words["attach"] = "referrers"
        wrong = [_NAMES[key] for key in sorted(_ATTACHED) if there[key]]
        if wrong:
            raise InvalidUsage(f"--attach {name}: {wrong[0]} is for a build that begins", hint="remove one of them")
    if there["print_only"] and there["detach"]:
        raise InvalidUsage(
            "--print creates nothing, so that there is nothing to detach from", hint="remove one of them"
        )
    return {**there, "attach_name": name, "cache_from": (), "cache_to": ()}


def take_caches(there: dict[str, Any], words: Mapping[str, Any], given: dict[str, str]) -> None:
    """Take the options of caches, which Go modules have in a cluster only."""
    for name in ("cache_from", "cache_to"):
        there[name] = tuple(words[name])
        given.pop(name, None)


def options_of(there: Mapping[str, Any]) -> "ClusterOptions":
    """Give the options as a use case takes them."""
    from wherry.app.on_kubernetes.options import ClusterOptions

    return ClusterOptions(
        context=there["cluster_context"] or "",
        namespace=there["namespace"] or "",
        builder=there["builder"] or "",
        queue=there["queue"] or "",
        parallelism=there["parallelism"] or 0,
        suspend=bool(there["suspend"]),
        verify=bool(there["verify"]),
        detach=bool(there["detach"]),
        cache_from=there["cache_from"],
        cache_to=there["cache_to"],
    )
