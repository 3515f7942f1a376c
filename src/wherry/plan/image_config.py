"""An image's config while instructions change it, and the words that BuildKit writes into its history for each.

Source: OCI image-spec v1.1.1, config.md; BuildKit 0.34's behaviour for the words of history.
"""

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from wherry.dockerfile.errors import DockerfileError
from wherry.oci.config import HealthcheckConfig, RuntimeConfig
from wherry.plan.ops import HistoryEntry

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELLS: dict[str, tuple[str, ...]] = {"windows": ("cmd", "/S", "/C")}
_SHELL = ("/bin/sh", "-c")
_LARGEST_PORT = 65535
_DURATION_UNITS = ((3600 * 10**9, "h"), (60 * 10**9, "m"))


@dataclass
class ImageConfigBuilder:
    """The `config` object, and what else an image says of itself."""

    user: str = ""
    ports: dict[str, dict[str, str]] | None = None
    env: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: dict[str, dict[str, str]] | None = None
    folder: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: HealthcheckConfig | None = None
    triggers: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    author: str = ""
    system: str = "linux"
    history: list[HistoryEntry] = field(default_factory=list)
    """Of our own instructions."""

    @classmethod
    def of(cls, config: RuntimeConfig, author: str, system: str) -> "ImageConfigBuilder":
        """Begin with what a base says.

        Args:
            config: the base's.
            author: whom it names.
            system: what it runs on, such as `linux`.
        """
        env = {name: value for name, _, value in (entry.partition("=") for entry in config.env or ())}
        return cls(
            user=config.user,
            ports=dict(config.exposed_ports) if config.exposed_ports is not None else None,
            env=env,
            entrypoint=config.entrypoint,
            cmd=config.cmd,
            volumes=dict(config.volumes) if config.volumes is not None else None,
            folder=config.working_dir,
            labels=dict(config.labels) if config.labels is not None else None,
            stop_signal=config.stop_signal,
            args_escaped=config.args_escaped,
            healthcheck=config.healthcheck,
            triggers=config.on_build or (),
            shell=config.shell,
            author=author,
            system=system,
        )

    @classmethod
    def empty(cls, system: str) -> "ImageConfigBuilder":
        """Begin with nothing: FROM scratch."""
        return cls(folder="/", env={"PATH": DEFAULT_PATH} if system != "windows" else {}, system=system)

    def copied(self) -> "ImageConfigBuilder":
        """Begin with what another stage made of it; its triggers are meant for this one."""
        return replace(
            self,
            ports=dict(self.ports) if self.ports is not None else None,
            env=dict(self.env),
            volumes=dict(self.volumes) if self.volumes is not None else None,
            labels=dict(self.labels) if self.labels is not None else None,
            history=list(self.history),
        )

    def change(self, changes: RuntimeConfig) -> None:
        """Set what the user sets; an empty field leaves what is there, and an entry point takes the command away."""
        self.user = changes.user or self.user
        self.folder = changes.working_dir or self.folder
        self.env |= changes.environment
        if changes.exposed_ports:
            self.ports = {**(self.ports or {}), **changes.exposed_ports}
        if changes.labels:
            self.labels = {**(self.labels or {}), **changes.labels}
        if changes.entrypoint is not None:
            self.entrypoint, self.cmd = changes.entrypoint, None
            self.args_escaped = False
        if changes.cmd is not None:
            self.cmd = changes.cmd

    def config(self) -> RuntimeConfig:
        """Give it as the image has it."""
        return RuntimeConfig(
            user=self.user,
            exposed_ports=self.ports,
            env=tuple(f"{name}={value}" for name, value in self.env.items()) or None,
            entrypoint=self.entrypoint,
            cmd=self.cmd,
            volumes=self.volumes,
            working_dir=self.folder,
            labels=self.labels,
            stop_signal=self.stop_signal,
            args_escaped=self.args_escaped,
            healthcheck=self.healthcheck,
            on_build=self.triggers or None,
            shell=self.shell,
        )

    def shelled(self, words: Sequence[str]) -> tuple[str, ...]:
        """Give the words as the stage's shell gets them."""
        shell: tuple[str, ...] = self.shell or _SHELLS.get(self.system, _SHELL)
        return (*shell, " ".join(words))

    def note(self, words: str, *, layer: bool = False) -> None:
        """Write a line of history."""
        self.history.append(HistoryEntry(words, layer))


def quoted_list(words: Iterable[str]) -> str:
    """Write words as Go's %q writes a slice."""
    return f"[{' '.join(map(go_quoted, words))}]"


def plain_list(words: Iterable[str]) -> str:
    """Write words as Go's %v writes a slice."""
    return f"[{' '.join(words)}]"


_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"', "\\": "\\\\",
}  # fmt: skip


def go_quoted(text: str) -> str:
    """Write a string as Go's strconv.Quote does."""
    return '"' + "".join(map(_go_letter, text)) + '"'


def _go_letter(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter == " " or letter.isprintable():
        return letter
    code = ord(letter)
    if code < 0x80:  # noqa: PLR2004 - ASCII
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - two bytes


def health_words(health: HealthcheckConfig) -> str:
    """Write a check as Go's %+v writes BuildKit's value of it."""
    times = (
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    )
    shown = " ".join(f"{name}:{go_duration(value)}" for name, value in times)
    return f"{{Test:{plain_list(health.test or ())} {shown} Retries:{health.retries}}}"


def go_duration(nanoseconds: int) -> str:
    """Write a duration as Go's time.Duration does."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        for unit, name in ((10**6, "ms"), (10**3, "µs"), (1, "ns")):
            if nanoseconds >= unit:
                return f"{_decimal(nanoseconds, unit)}{name}"
    out = ""
    for unit, name in _DURATION_UNITS:
        if nanoseconds >= unit or out:
            out += f"{nanoseconds // unit}{name}"
            nanoseconds %= unit
    return f"{out}{_decimal(nanoseconds, 10**9)}s"


def _decimal(number: int, unit: int) -> str:
    whole, rest = divmod(number, unit)
    digits = len(str(unit)) - 1
    fraction = f"{rest:0{digits}d}".rstrip("0") if digits else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def ports_of(words: Iterable[str]) -> list[str]:
    """Read EXPOSE's ports: ranges, protocols, and the addresses and host ports that mean nothing here.

    Raises:
        DockerfileError: one is invalid.
    """
    return [port for word in words for port in _ports(word)]


def _ports(word: str) -> Iterable[str]:
    parts = word.rsplit(":", 2)
    before, container = parts[:-1], parts[-1]
    numbers, _, protocol = container.partition("/")
    if not numbers:
        raise DockerfileError(f'invalid port: "{word}": no port specified')
    if protocol.lower() not in ("", "tcp", "udp", "sctp"):
        raise DockerfileError(f'invalid port: "{word}": invalid proto: {protocol}')
    if len(before) > 1 and before[0]:
        _check_address(before[0])
    try:
        first, last = _range(numbers)
    except ValueError:
        raise DockerfileError(f"invalid containerPort: {numbers}") from None
    if before and before[-1]:
        _check_host(before[-1], numbers, last - first)
    for number in range(first, last + 1):
        yield f"{number}/{protocol.lower() or 'tcp'}"


def _check_address(text: str) -> None:
    try:
        ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise DockerfileError(f"invalid IP address: {text}") from None


def _check_host(host: str, container: str, count: int) -> None:
    try:
        first, last = _range(host)
    except ValueError:
        raise DockerfileError(f"invalid hostPort: {host}") from None
    if last - first != count and count:
        raise DockerfileError(f"invalid ranges specified for container and host Ports: {container} and {host}")


def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = (_port(first), _port(last) if dash else _port(first))
    if numbers[1] < numbers[0]:
        raise ValueError(text)
    return numbers


def _port(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII) or not 0 <= int(text) <= _LARGEST_PORT:
        raise ValueError(text)
    return int(text)


def clean(path: str) -> str:
    """Make a path absolute and clean."""
    return "/" + posixpath.normpath(f"/{path}").lstrip("/")


def below(folder: str, path: str, *, keep_slash: bool = False) -> str:
    """Put a path below a folder; an absolute one stays unchanged, and a slash at the end of another may."""
    if path.startswith("/") and not keep_slash:
        return path
    whole = clean(path if path.startswith("/") else posixpath.join(folder or "/", path))
    if keep_slash and path.endswith(("/", "/.")) and whole != "/":
        return f"{whole}/"
    return whole
