"""wherry.toml, next to go.mod: what `wherry build` without arguments builds, and how.

    [build]                      # for every service, and for packages named on the command line
    platforms = ["linux/amd64", "linux/arm64"]
    labels = { "org.opencontainers.image.vendor" = "Example" }

    [services.api]               # one image each
    package = "./cmd/api"
    tags = ["api:dev"]
    expose = [8080]

    [budgets]                    # for every service; [services.api.budgets] for one
    pulled = "5.5MB"

    [base]                       # a base of Debian packages, with all that they need
    packages = ["libsqlite3-0"]

    [edge]                       # what holds with --profile edge, above [build]
    device-memory = "64MB"

    [prove]                      # how `wherry build --prove` starts images; [services.api.prove] for one
    probe = "http://localhost:8080/healthz"

A service takes every key of `[build]` too. What it says replaces what `[build]` says; tables (labels, annotations,
env, go-env, budgets) are joined, key by key. The command line stands above both, by the same rule. Unknown keys are
errors, and every error names its line and key. `docs/reference/wherry-toml.md` lists the keys.

Source: TOML v1.0.0, read by the standard library's tomllib.
"""

import difflib
import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from wherry.errors import InvalidSettings, InvalidUsage, NotFound
from wherry.settings.base_table import BaseTable, read_base
from wherry.settings.budgets import Budgets, read_budgets
from wherry.settings.build_keys import BUILD_KEYS, DOCKERFILE, EDGE_KEYS, GO_KEYS, SERVICE_KEYS, Key
from wherry.settings.kubernetes import KubernetesSettings, read_kubernetes
from wherry.settings.lines import lines_of
from wherry.settings.options import BuildOptions
from wherry.settings.profile import EDGE, ProfileSettings
from wherry.settings.prove import ProveSettings, read_prove
from wherry.settings.readers import (
    FilePosition,
    UnsuitableValue,
    WrongKey,
    read_table,
    read_text,
    read_texts,
)
from wherry.settings.trust import TrustSettings, read_trust

FILE = "wherry.toml"
LARGEST = 1 << 18
"""Characters of a settings file we read."""
_DEEPEST = 32
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PART}[ \t]*+\.[ \t]*+){{{_DEEPEST}}}")
"""A dotted key (or similar text) that costs tomllib quadratic time in its parts."""
_SYNTAX = re.compile(r"(?P<problem>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")
_TABLES = ("build", "services", "budgets", "budget", "prove", "slim", "trust", "base", "history", "kubernetes", EDGE)
"""`[budget]` is another name of `[budgets]`."""
_WAY_KEYS = ("tags", "module", "package", "drops", "why")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_DAMAGED = "\N{REPLACEMENT CHARACTER}"
"""What reading puts in the place of bytes that are not UTF-8."""
_NOTHING = BuildOptions()


class WrongSyntax(InvalidSettings):
    """A settings file is not TOML."""

    def __init__(self, name: str, line: int, column: int, problem: str) -> None:
        super().__init__(
            f"{name}: line {line}, column {column}: {problem}", hint="fix the line; the file must be valid TOML"
        )
        self.line = line
        self.column = column


class NotUtf8(InvalidSettings):
    """A settings file has bytes that are not UTF-8, which TOML demands."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(f"{name}: line {line}: not UTF-8", hint="save the file as UTF-8")
        self.line = line


@dataclass(frozen=True, slots=True)
class Settings:
    """A wherry.toml, read and checked."""

    build: BuildOptions
    """What holds for every service."""
    services: Mapping[str, BuildOptions]
    """What each service says itself, in the file's order."""
    budgets: Budgets = field(default_factory=Budgets)
    """What holds for every service."""
    own_budgets: Mapping[str, Budgets] = field(default_factory=dict)
    """What each service's own are; none for a service that says nothing."""
    prove: ProveSettings = field(default_factory=ProveSettings)
    """How images are proven, of every service."""
    own_prove: Mapping[str, ProveSettings] = field(default_factory=dict)
    slim: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Ways to a smaller program that the user knows (`lab/remedies.py`): tables by name."""
    trust: TrustSettings = field(default_factory=TrustSettings)
    """What has to hold of images before they are used."""
    declared: BaseTable | None = None
    """The base that the file declares."""
    history: bool = True
    """Whether calls leave their figures in the history."""
    edge: ProfileSettings = field(default_factory=ProfileSettings)
    """What holds with the profile `edge`: above `[build]`, and below what services say."""
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    """How builds run in a cluster."""

    @classmethod
    def parse(cls, text: str, name: str = FILE, front_end: str = "go") -> Self:
        """Read a wherry.toml.

        Args:
            text: the whole file.
            name: what the reader knows the file by; it starts the message.
            front_end: what is built, `go` or `dockerfile`; keys that it has no use for are errors, unless the file
                says by `front-door` that it is for the other.

        Raises:
            WrongSyntax: it is not TOML; line and column are named.
            WrongKey: a key is unknown or its value does not fit; line and key are named.
        """
        document = parse_toml(text, name)
        place = FilePosition(name, lines_of(text), ())
        for key in document:
            if key not in _TABLES or (key == "base" and not isinstance(document[key], dict)):
                raise _top_level(place.below(key))
        build = _options(place.below("build"), document.get("build", {}), BUILD_KEYS)
        if front_end == DOCKERFILE and build.front_door != "go":
            _check_suitable(place.below("build"), document)
        services: dict[str, BuildOptions] = {}
        own: dict[str, Budgets] = {}
        proofs: dict[str, ProveSettings] = {}
        for service, options, budgets, prove in _services(place.below("services"), document.get("services", {})):
            services[service], own[service], proofs[service] = options, budgets, prove
        settings = cls(
            build,
            services,
            _budgets(place, document),
            own,
            read_prove(place.below("prove"), document.get("prove", {})),
            proofs,
            dict(_ways(place.below("slim"), document.get("slim", {}))),
            read_trust(place.below("trust"), document.get("trust", {})),
            read_base(place.below("base"), document["base"]) if "base" in document else None,
            _history(place.below("history"), document.get("history", {})),
            _edge(place.below(EDGE), document.get(EDGE, {})),
            read_kubernetes(place.below("kubernetes"), document.get("kubernetes", {})),
        )
        _check_collisions(settings, place.below("services"))
        return settings

    def resolve(self, service: str, profile: tuple[str, ...] | None = None) -> BuildOptions:
        """Give all options of a service: what it says, and below that what `[edge]` and `[build]` say.

        Args:
            service: its name.
            profile: the one that is asked for; None: as the file says.

        Raises:
            NotFound: there is no such service; the hint has the nearest.
        """
        if service not in self.services:
            near = difflib.get_close_matches(service, self.services, n=1) or list(self.services)
            hint = f"did you mean {near[0]}?" if near else "the file has no [services.NAME]"
            raise NotFound(f"no service {service!r} in {FILE}", hint=hint)
        return self.options(self.services[service], profile)

    def options(self, own: BuildOptions = _NOTHING, profile: tuple[str, ...] | None = None) -> BuildOptions:
        """Put what a service says above `[edge]`, where that profile holds, and `[build]`."""
        whole = self.build.under(own)
        if whole.profile if profile is None else profile:
            return self.build.under(self.edge.options).under(own)
        return whole

    def budgets_of(self, service: str, profile: tuple[str, ...] | None = ()) -> Budgets:
        """Give all budgets of a service; of none, or an empty name, what holds for every one."""
        own = self.own_budgets.get(service, Budgets())
        return self.budgets.under(self.edge.budgets_of(profile or ())).under(own)

    def prove_of(self, service: str) -> ProveSettings:
        """Say how a service's image is proven; of none, or an empty name, what holds for every one."""
        return self.prove.under(self.own_prove.get(service, ProveSettings()))

    def services_of(self, package: str, import_path: str = "") -> tuple[str, ...]:
        """Name the services made of a package.

        Args:
            package: its folder relative to the file: `cmd/api` is `./cmd/api/`.
            import_path: the package's; a service may name that.
        """
        wanted = {posixpath.normpath(package), import_path}
        return tuple(
            name for name, options in self.services.items() if posixpath.normpath(options.package or ".") in wanted
        )


def parse_toml(text: str, name: str) -> dict[str, object]:
    """Read TOML of a bounded size.

    Raises:
        WrongSyntax: it is not TOML; line and column are named.
        InvalidSettings: it is too large, or nested too deep.
    """
    if len(text) > LARGEST:
        raise InvalidSettings(f"{name}: {len(text)} characters; at most {LARGEST} are read", hint="give the right file")
    if (at := text.find(_DAMAGED)) >= 0:
        raise NotUtf8(name, text.count("\n", 0, at) + 1)
    if match := _LONG_KEY.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise WrongSyntax(name, line, 1, f"a key of more than {_DEEPEST} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        last = text.count("\n") + 1
        match = _SYNTAX.fullmatch(str(error))
        if not match or match["line"] is None:
            end = len(text) - text.rfind("\n")
            raise WrongSyntax(name, last, end, match["problem"] if match else str(error)) from error
        raise WrongSyntax(name, int(match["line"]), int(match["column"]), match["problem"]) from error
    except (RecursionError, ValueError) as error:  # nested a thousand deep; a number of thousands of digits
        raise InvalidSettings(f"{name}: {error}", hint="use less nesting and smaller numbers") from error


def _top_level(place: FilePosition) -> WrongKey:
    key = str(place.path[-1])
    if key in BUILD_KEYS:
        return place.wrong("is outside any table", "move it below a line [build], or below [services.NAME]")
    near = difflib.get_close_matches(key, _TABLES, n=1)
    names = ("build", "services.NAME", EDGE, "base", "budgets", "prove", "slim.NAME", "trust", "kubernetes")
    tables = f"the tables are {', '.join(f'[{name}]' for name in names)} and [history]"
    return place.wrong("is unknown", f'did you mean "{near[0]}"?' if near else tables)


def _budgets(place: FilePosition, document: Mapping[str, object]) -> Budgets:
    if "budget" in document and "budgets" in document:
        raise place.below("budget").wrong("is there beside [budgets]", "move its keys to [budgets]")
    key = "budget" if "budget" in document else "budgets"
    return read_budgets(place.below(key), document.get(key, {}))


def _services(place: FilePosition, value: object) -> Iterator[tuple[str, BuildOptions, Budgets, ProveSettings]]:
    for name, table in read_table(place, value, "[services.api]").items():
        below = place.below(name)
        if not _SERVICE.fullmatch(name):
            raise below.wrong("is not a valid service name", "use letters, digits, dot, dash and underscore")
        said = dict(read_table(below, table, f"[services.{name}]"))
        budgets = read_budgets(below.below("budgets"), said.pop("budgets", {}))
        prove = read_prove(below.below("prove"), said.pop("prove", {}))
        options = _options(below, said, SERVICE_KEYS)
        if options.front_door == DOCKERFILE:
            hint = f'put front-door = "{DOCKERFILE}" below [build], in the directory of the Dockerfile'
            raise below.below("front-door").wrong(
                "of a service is always go, because services are built from Go packages", hint
            )
        if options.package is None:
            raise below.wrong("has no package", f'add a line package = "./cmd/{name}" below [services.{name}]')
        yield name, options, budgets, prove


def _edge(place: FilePosition, value: object) -> ProfileSettings:
    said = dict(read_table(place, value, "[edge]"))
    budgets = read_budgets(place.below("budgets"), said.pop("budgets", {}))
    small = read_table(place.below("small"), said.pop("small", {}), "[edge.small.budgets]")
    for key in small:
        if key != "budgets":
            raise place.below("small").below(key).wrong("is unknown", "the table [edge.small] has only budgets")
    of_small = read_budgets(place.below("small").below("budgets"), small.get("budgets", {}))
    return ProfileSettings(_options(place, said, EDGE_KEYS), budgets, of_small)


def _ways(place: FilePosition, value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    for name, table in read_table(place, value, "[slim.NAME]").items():
        below = place.below(name)
        row = read_table(below, table, f"[slim.{name}]")
        for key, entry in row.items():
            if key not in _WAY_KEYS:
                raise below.below(key).wrong("is unknown", "the keys are " + ", ".join(_WAY_KEYS))
            (read_texts if key == "tags" else read_text)(below.below(key), entry)
        if not row.get("tags"):
            raise below.wrong("has no tags", 'add a line such as tags = ["notracing"]')
        yield name, row


def _history(place: FilePosition, value: object) -> bool:
    table = read_table(place, value, "[history]")
    for key in table:
        if key != "record":
            raise place.below(key).wrong("is unknown", "the only key is record")
    recorded = table.get("record", True)
    if not isinstance(recorded, bool):
        raise place.below("record").wrong("is neither true nor false", "write it as record = false")
    return recorded


def _check_collisions(settings: Settings, place: FilePosition) -> None:
    """Two images can't have one name, nor two programs one file."""
    tags: dict[str, str] = {}
    files: dict[str, str] = {}
    for name in settings.services:
        options = settings.resolve(name)
        for tag in options.tags or ():
            if tags.setdefault(tag, name) != name:
                raise (
                    place.below(name)
                    .below("tags")
                    .wrong(f"of {name} has {tag}, which {tags[tag]} uses too", "give each service its own tags")
                )
        if options.debug_info and files.setdefault(options.debug_info, name) != name:
            raise (
                place.below(name)
                .below("debug-info")
                .wrong(
                    f"of {name} is {options.debug_info}, which {files[options.debug_info]} uses too",
                    "give each service its own file",
                )
            )


def _options(place: FilePosition, value: object, keys: Mapping[str, Key]) -> BuildOptions:
    said: dict[str, Any] = {}
    for name, entry in read_table(place, value, f"[{'.'.join(map(str, place.path))}]").items():
        key = keys.get(name)
        if key is None:
            raise place.below(name).wrong("is unknown", _near(place, name, keys))
        try:
            said[key.field] = key.read(place.below(name), entry)
        except UnsuitableValue as error:
            raise error.place.wrong(str(error), f"write it as {key.example}") from None
        except InvalidUsage as error:
            raise place.below(name).wrong(f"is invalid: {error.message}", error.hint) from error
    options = BuildOptions(**said)
    if options.release and (options.compression is not None or options.compression_level is not None):
        raise place.below("release").wrong("cannot be combined with a compression", "remove one of them")
    return options


def _near(place: FilePosition, name: str, keys: Mapping[str, Key]) -> str:
    """Say what may be meant by a key that is unknown."""
    if name in _TABLES:
        what = f"[{name}] is a table of its own: write it at the beginning of a line, not below"
        return f"{what} [{'.'.join(map(str, place.path))}]"
    near = difflib.get_close_matches(name, keys, n=1)
    return f'did you mean "{near[0]}"?' if near else "the keys are " + ", ".join(keys)


def _check_suitable(place: FilePosition, document: Mapping[str, object]) -> None:
    """Refuse keys that a Dockerfile has no use for."""
    if "base" in document:
        table = FilePosition(place.name, place.lines, ("base",))
        raise table.wrong("is for Go modules; this folder is built from its Dockerfile", "use FROM in the Dockerfile")
    for key in read_table(place, document.get("build", {}), "[build]"):
        if key in GO_KEYS:
            raise place.below(key).wrong(
                "is for Go modules; this folder is built from its Dockerfile",
                'remove it, or set front-door = "go" if the file is only for Go modules',
            )
