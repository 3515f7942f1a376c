"""The keys of `[build]`, `[edge]` and services in wherry.toml: how each is read, and how it is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wherry.settings.profile import CGO, read_device_memory, read_patterns, read_profile
from wherry.settings.readers import (
    FilePosition,
    choice,
    read_add,
    read_boolean,
    read_expose,
    read_flags,
    read_go_env,
    read_level,
    read_pairs,
    read_platforms,
    read_text,
    read_texts,
    read_user,
    read_workdir,
)
from wherry.settings.values import COMPRESSIONS


@dataclass(frozen=True, slots=True)
class Key:
    """A key of `[build]` or of a service."""

    field: str
    read: Callable[[FilePosition, object], object]
    example: str


DOCKERFILE = "dockerfile"
GO_KEYS = frozenset(
    {
        "base", "debian", "ca", "ca-for", "ca-only", "keep", "ldflags", "gcflags", "asmflags", "go-tags", "go-env",
        "go-version", "trimpath", "strip", "strip-buildid", "debug-info", "profile", "device-memory", "pie", "cgo",
        "no-inline",
    }
)  # fmt: skip
"""Keys of `[build]` that images of Go modules alone have a use for."""
BUILD_KEYS: Mapping[str, Key] = {
    "front-door": Key("front_door", choice(("go", "dockerfile")), 'front-door = "go"'),
    "platforms": Key("platforms", read_platforms, 'platforms = ["linux/amd64", "linux/arm64"]'),
    "base": Key("base", read_text, 'base = "static"'),
    "debian": Key("debian", read_text, 'debian = "13"'),
    "ca": Key("ca", read_texts, 'ca = ["company.pem"]'),
    "ca-for": Key("ca_for", read_texts, 'ca-for = ["api.example.com:443"]'),
    "ca-only": Key("ca_only", read_boolean, "ca-only = true"),
    "keep": Key("keep", read_texts, 'keep = ["docs"]'),
    "tags": Key("tags", read_texts, 'tags = ["api:dev"]'),
    "labels": Key("labels", read_pairs, 'labels = { team = "media" }'),
    "annotations": Key("annotations", read_pairs, 'annotations = { team = "media" }'),
    "env": Key("env", read_pairs, 'env = { PORT = "8080" }'),
    "user": Key("user", read_user, 'user = "65532:65532"'),
    "workdir": Key("workdir", read_workdir, 'workdir = "/srv"'),
    "expose": Key("expose", read_expose, 'expose = [8080, "53/udp"]'),
    "entrypoint": Key("entrypoint", read_texts, 'entrypoint = ["/app/api", "-v"]'),
    "cmd": Key("cmd", read_texts, 'cmd = ["serve"]'),
    "add": Key("add", read_add, 'add = ["config.yaml:/etc/app/config.yaml:0644"]'),
    "ldflags": Key("ldflags", read_flags, 'ldflags = "-X main.version={{.Version}}"'),
    "gcflags": Key("gcflags", read_flags, 'gcflags = "all=-l"'),
    "asmflags": Key("asmflags", read_flags, 'asmflags = "all=-D=X"'),
    "go-tags": Key("go_tags", read_texts, 'go-tags = ["grpcnotrace"]'),
    "go-env": Key("go_env", read_go_env, 'go-env = { GOEXPERIMENT = "jsonv2" }'),
    "go-version": Key("go_version", read_text, 'go-version = "1.26.8"'),
    "trimpath": Key("trimpath", read_boolean, "trimpath = false"),
    "strip": Key("strip", read_boolean, "strip = false"),
    "strip-buildid": Key("strip_buildid", read_boolean, "strip-buildid = true"),
    "debug-info": Key("debug_info", read_text, 'debug-info = "api.debug"'),
    "profile": Key("profile", read_profile, 'profile = "edge"'),
    "device-memory": Key("device_memory", read_device_memory, 'device-memory = "64MB"'),
    "pie": Key("pie", read_boolean, "pie = true"),
    "cgo": Key("cgo", choice(CGO), 'cgo = "musl"'),
    "no-inline": Key("no_inline", read_patterns, 'no-inline = ["google.golang.org/..."]'),
    "compression": Key("compression", choice(COMPRESSIONS), 'compression = "zstd"'),
    "compression-level": Key("compression_level", read_level, "compression-level = 19"),
    "release": Key("release", read_boolean, "release = true"),
}
EDGE_KEYS: Mapping[str, Key] = {name: key for name, key in BUILD_KEYS.items() if name not in {"front-door", "profile"}}
SERVICE_KEYS: Mapping[str, Key] = {"package": Key("package", read_text, 'package = "./cmd/api"'), **BUILD_KEYS}
