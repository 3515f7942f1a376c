"""`[kubernetes]` of wherry.toml: how `wherry build --on kubernetes` runs in a cluster.

[kubernetes]
namespace = "builds"
builder = "registry.example/wherry@sha256:…"
memory = "2Gi"
node-selector = { pool = "builds" }
tolerations = [{ key = "builds", operator = "Exists", effect = "NoSchedule" }]

Sources: Kubernetes 1.34 API reference: JobSpec, PodSpec, Toleration, Quantity; "Object Names and IDs"; "Labels and
Selectors".
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wherry.errors import InvalidUsage
from wherry.settings.readers import FilePosition, UnsuitableValue, read_pairs, read_table, read_text, read_texts
from wherry.settings.sizes import parse_duration

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL: Final = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_QUANTITY: Final = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,9})?)(?P<unit>m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_REGISTRY: Final = re.compile(r"[A-Za-z0-9.\[\]:-]{1,255}")
_TOLERATION: Final = {
    "key": (), "operator": ("Exists", "Equal"), "value": (), "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
}  # fmt: skip
_MOST: Final = 10_000
_LONGEST: Final = 30 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """How builds run in a cluster."""

    context: str = ""
    """Of kubectl's configuration; empty: the one in use."""
    namespace: str = ""
    """Empty: the context's."""
    builder: str = ""
    """The image of the pods: wherry, Go and git."""
    registry: str = ""
    """How pods name the registry, where that differs from this machine's name for it."""
    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    """Secrets by which nodes pull the builder."""
    push_secret: str = ""
    """The Secret of type kubernetes.io/dockerconfigjson by which pods push; empty: one of the user's credentials."""
    parallelism: int = 0
    """Pods at a time; 0: one for each platform, at most 8."""
    retries: int = 4
    """How often a platform is tried again: after 10, 20, 40 and 80 s, so that a registry may be away for a minute."""
    deadline: float = 3600
    """Seconds after which Kubernetes ends the build."""
    keep: float = 3600
    """Seconds that Kubernetes keeps a Job that is over and was not picked up."""
    queue: str = ""
    """Of Kueue; empty: none."""
    priority_class: str = ""
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Mapping[str, str], ...] = ()
    cpu: str = "500m"
    """What a pod asks for; it may use more."""
    memory: str = "2Gi"
    """What a pod asks for, and may not exceed."""
    storage: str = ""
    """What a pod may write; empty: what the node has."""
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    """Of the pods."""
    env: tuple[tuple[str, str], ...] = ()
    """Variables of the pods, such as GOPROXY."""


def quantity(text: str) -> int:
    """Give a quantity of Kubernetes in whole units: bytes, or processors rounded up.

    Raises:
        InvalidUsage: it is none.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InvalidUsage(f"{text!r} is not a quantity of Kubernetes", hint="write it as 500m, 2, 512Mi or 2Gi")
    units = {"m": 0.001, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    binary = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
    return -int(-float(match["number"]) * {**units, **binary, "": 1}[match["unit"] or ""] // 1)


def read_kubernetes(place: FilePosition, value: object) -> KubernetesSettings:
    """Read the table `[kubernetes]`.

    Raises:
        WrongKey: a key is unknown or its value does not fit; line and key are named.
    """
    said: dict[str, Any] = {}
    for name, entry in read_table(place, value, "[kubernetes]").items():
        found = _KEYS.get(name)
        below = place.below(name)
        if found is None:
            near = difflib.get_close_matches(name, _KEYS, n=1)
            raise below.wrong(
                "is unknown", f'did you mean "{near[0]}"?' if near else "the keys are " + ", ".join(_KEYS)
            )
        read, example = found
        try:
            said[name.replace("-", "_")] = read(below, entry)
        except UnsuitableValue as error:
            raise error.place.wrong(str(error), f"write it as {name} = {example}") from None
        except InvalidUsage as error:
            raise below.wrong(f"is invalid: {error.message}", error.hint) from error
    return KubernetesSettings(**said)


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[FilePosition, object], str]:
    def read(place: FilePosition, value: object) -> str:
        text = read_text(place, value)
        if not pattern.fullmatch(text):
            raise place.wrong(f"is not {what}: {text[:60]!r}", "use the characters that Kubernetes allows")
        return text

    return read


_name = _matching(_NAME, "a name of Kubernetes")


def _names(place: FilePosition, value: object) -> tuple[str, ...]:
    return tuple(_name(place.below(at), text) for at, text in enumerate(read_texts(place, value)))


def _quantity(place: FilePosition, value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else value
    found = read_text(place, text)
    if not quantity(found):
        raise place.wrong("is 0", "write at least 1m of cpu, or 1Mi")
    return found


def _count(least: int) -> Callable[[FilePosition, object], int]:
    def read(place: FilePosition, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
            raise UnsuitableValue(place, f"a number from {least} to {_MOST}", value)
        return value

    return read


def _duration(place: FilePosition, value: object) -> float:
    seconds = parse_duration(read_text(place, value), place.path[-1] if isinstance(place.path[-1], str) else "time")
    if not 1 <= seconds <= _LONGEST:
        raise place.wrong("is out of range", "write a time from 1s to 720h")
    return seconds


def _labels(place: FilePosition, value: object) -> tuple[tuple[str, str], ...]:
    pairs = read_pairs(place, value)
    for name, text in pairs:
        if not _LABEL.fullmatch(name) or not _LABEL_VALUE.fullmatch(text):
            raise place.below(name).wrong("is not a label of Kubernetes", "use letters, digits, dots, dashes")
    return pairs


def _annotations(place: FilePosition, value: object) -> tuple[tuple[str, str], ...]:
    pairs = read_pairs(place, value)
    for name, _ in pairs:
        if not _LABEL.fullmatch(name):
            raise place.below(name).wrong("is not a name of an annotation", "use letters, digits, dots, dashes")
    return pairs


def _tolerations(place: FilePosition, value: object) -> tuple[Mapping[str, str], ...]:
    if not isinstance(value, list):
        raise UnsuitableValue(place, "a list of tables", value)
    return tuple(_toleration(place.below(at), row) for at, row in enumerate(value))


def _toleration(place: FilePosition, value: object) -> Mapping[str, str]:
    example = '{ key = "builds", operator = "Exists", effect = "NoSchedule" }'
    row = read_table(place, value, example)
    for key, text in row.items():
        words = _TOLERATION.get(key)
        if words is None:
            raise place.below(key).wrong("is unknown", "the keys are " + ", ".join(_TOLERATION))
        if not isinstance(text, str) or (words and text not in words):
            wanted = " or ".join(f'"{word}"' for word in words) if words else "a string"
            raise place.below(key).wrong(f"must be {wanted}", f"write it as {example}")
    return {key: str(text) for key, text in row.items()}


_KEYS: Final[Mapping[str, tuple[Callable[[FilePosition, object], Any], str]]] = {
    "context": (read_text, '"kind-kind"'),
    "namespace": (_name, '"builds"'),
    "builder": (read_text, '"registry.example/wherry@sha256:…"'),
    "registry": (_matching(_REGISTRY, "a registry"), '"registry.internal:5000"'),
    "service-account": (_name, '"builder"'),
    "pull-secrets": (_names, '["registry"]'),
    "push-secret": (_name, '"registry-push"'),
    "parallelism": (_count(1), "4"),
    "retries": (_count(0), "2"),
    "deadline": (_duration, '"1h"'),
    "keep": (_duration, '"1h"'),
    "queue": (_name, '"builds"'),
    "priority-class": (_name, '"low"'),
    "node-selector": (_labels, '{ pool = "builds" }'),
    "tolerations": (_tolerations, '[{ key = "builds", operator = "Exists" }]'),
    "cpu": (_quantity, '"2"'),
    "memory": (_quantity, '"2Gi"'),
    "storage": (_quantity, '"10Gi"'),
    "labels": (_labels, '{ team = "api" }'),
    "annotations": (_annotations, '{ "example.com/owner" = "api" }'),
    "env": (read_pairs, '{ GOPROXY = "https://proxy.example" }'),
}
