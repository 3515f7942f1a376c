"""`[prove]` of wherry.toml: how `wherry build --prove` starts an image, and what it asks it.

[prove]                      # for every service
probe = "http://localhost:8080/healthz"    # or a list; tcp://localhost:5432 too
environment = { LOG_LEVEL = "debug" }
mounts = ["./testdata:/data:ro"]
args = ["serve"]             # in place of the image's command
network = "none"             # loopback only; or "default" or "host", as for `wherry run`
timeout = "10s"

[services.api.prove]         # joined with the above, key by key
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self, TypeVar

from wherry.errors import InvalidUsage
from wherry.settings.readers import FilePosition, UnsuitableValue, choice, read_pairs, read_table, read_text, read_texts
from wherry.settings.sizes import parse_duration

T = TypeVar("T")

_KEYS: Final = ("probe", "environment", "mounts", "args", "network", "timeout")
_NETWORKS: Final = ("none", "default", "host")
TIMEOUT: Final = 10.0
_PROBE: Final = re.compile(r"(?:https?|tcp|tls(?:\+plain)?)://[^/?#\s]+[^\s]*")
_PROBE_LIKE: Final = "http://localhost:8080/healthz, https://…, tcp://localhost:5432 or tls://localhost:8443"


@dataclass(frozen=True, slots=True)
class ProveSettings:
    """How an image is proven; None means: not said."""

    probes: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[str, ...] | None = None
    """As `--volume` has them; relative sources start from the file's folder."""
    arguments: tuple[str, ...] | None = None
    network: str | None = None
    seconds: float | None = None

    def under(self, above: Self) -> Self:
        """Put settings above these: what they say counts; variables are joined."""
        said = {
            name: value
            for name in ("probes", "mounts", "arguments", "network", "seconds")
            if (value := getattr(above, name)) is not None
        }
        return replace(self, environment={**self.environment, **above.environment}, **said)


def read_prove(place: FilePosition, value: object) -> ProveSettings:
    """Read a table `[prove]`.

    Raises:
        WrongKey: a key is unknown or its value does not fit; line and key are named.
    """
    table = read_table(place, value, f"[{'.'.join(map(str, place.path))}]")
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f'did you mean "{near[0]}"?' if near else "the keys are " + ", ".join(_KEYS)
            raise place.below(key).wrong("is unknown", hint)

    def read(key: str, reader: Callable[[FilePosition, object], T], example: str) -> T | None:
        return _fitting(place.below(key), table[key], reader, example) if key in table else None

    return ProveSettings(
        probes=read("probe", _probes, 'probe = "http://localhost:8080/healthz"'),
        environment=dict(read("environment", read_pairs, 'environment = { LOG_LEVEL = "debug" }') or ()),
        mounts=read("mounts", read_texts, 'mounts = ["./testdata:/data:ro"]'),
        arguments=read("args", read_texts, 'args = ["serve"]'),
        network=read("network", choice(_NETWORKS), 'network = "none"'),
        seconds=read("timeout", _seconds, 'timeout = "10s"'),
    )


def _probes(place: FilePosition, value: object) -> tuple[str, ...]:
    texts = (read_text(place, value),) if isinstance(value, str) else read_texts(place, value)
    for at, text in enumerate(texts):
        if not _PROBE.fullmatch(text):
            where = place if isinstance(value, str) else place.below(at)
            raise where.wrong(f"is invalid: {text[:80]!r} is not a probe", f"write it as {_PROBE_LIKE}")
    return texts


def _seconds(place: FilePosition, value: object) -> float:
    return parse_duration(read_text(place, value), "timeout")


def _fitting(place: FilePosition, value: object, read: Callable[[FilePosition, object], T], example: str) -> T:
    try:
        return read(place, value)
    except UnsuitableValue as error:
        raise error.place.wrong(str(error), f"write it as {example}") from None
    except InvalidUsage as error:
        raise place.wrong(f"is invalid: {error.message}", error.hint) from error
