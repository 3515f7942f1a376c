"""The Dockerfiles that articles on small Go images print, built as printed and started.

Registries are not asked: `golang:1.22-alpine`, `alpine:3.19`, `busybox` and `gcr.io/distroless/static:nonroot` are
stand-ins by named contexts. They have a small `apk`, which installs from the folder it is given, and Go is told a
module proxy on loopback.
"""

import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from dockerfile import bases
from dockerfile.building import Built, Request, Wherry
from flattened import Image, opened
from module_proxy import ModuleProxy
from needs import need_root
from registries import serving

pytestmark = pytest.mark.slow

MANIFESTS_FIRST = """FROM golang:1.22-alpine AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -o myapp .

FROM alpine:3.19
RUN apk --no-cache add ca-certificates
WORKDIR /root/
COPY --from=builder /app/myapp .
CMD ["./myapp"]
"""
STATIC = """FROM golang:1.22-alpine AS builder
WORKDIR /app
COPY . .
RUN CGO_ENABLED=0 GOOS=linux go build -a -ldflags '-extldflags "-static"' -o main .

FROM scratch
COPY --from=builder /app/main /main
ENTRYPOINT ["/main"]
"""
DISTROLESS = """FROM golang:1.22-alpine AS builder
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -ldflags="-s -w" -o /out/app .

FROM gcr.io/distroless/static:nonroot
COPY --from=builder /out/app /app
USER 65532:65532
ENTRYPOINT ["/app"]
"""
WITH_BUSYBOX = """FROM busybox:1.36 AS tools

FROM golang:1.22-alpine AS builder
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -o /out/app .

FROM scratch
COPY --from=tools /bin/busybox /busybox
COPY --from=builder /out/app /app
ENTRYPOINT ["/app"]
"""
TWO_PLATFORMS = """FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS builder
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /out/app .

FROM scratch
COPY --from=builder /out/app /app
ENTRYPOINT ["/app"]
"""
APK = """#!/bin/sh
# apk [--no-cache] add [--no-cache] PACKAGE…
for word; do
    case $word in add | --*) ;; *) cp -r /usr/share/packages/$word/. / || exit 1 ;; esac
done
"""
PROGRAM = """package main

import (
	"fmt"
	"os"

	"example.com/greet"
)

func main() {
	_, err := os.Stat("/etc/ssl/certs/ca-certificates.crt")
	fmt.Println(greet.Word(), os.Getuid(), err == nil)
}
"""


class Desk:
    """Builds and starts, with stand-ins at hand."""

    def __init__(self, root: Path, proxy: str) -> None:
        self.root = root
        self.wherry = Wherry(root / "wherry")
        self.contexts = {"busybox:1.36": f"oci-layout://{bases.busybox()}"}
        self.contexts["gcr.io/distroless/static:nonroot"] = f"oci-layout://{bases.static()}"
        certificates = root / "packages" / "ca-certificates" / "etc" / "ssl" / "certs" / "ca-certificates.crt"
        certificates.parent.mkdir(parents=True)
        certificates.write_text("-----BEGIN CERTIFICATE-----\n")
        (root / "apk").write_text(APK)
        (root / "apk").chmod(0o755)
        added = "COPY apk /sbin/apk\nCOPY packages /usr/share/packages\n"
        added += f"ENV GOPROXY={proxy} GOSUMDB=off GOFLAGS=-modcacherw\n"
        for name, base in (("alpine:3.19", bases.alpine()), ("golang:1.22-alpine", bases.golang())):
            file = root / "Dockerfile.base"
            file.write_text(f"FROM base\n{added}")
            out = root / name.partition(":")[0]
            built = self.wherry.build(
                Request(context=root, dockerfile=file, contexts={"base": f"oci-layout://{base}"}), out
            )
            assert built.ok, built.message
            self.contexts[name] = f"oci-layout://{out}"

    def build(self, text: str, name: str, context: Path, *, cache: bool = False, **more: tuple[str, ...]) -> Built:
        """Build a Dockerfile that lies in its context."""
        (context / "Dockerfile").write_text(text)
        out = context.parent / f"{name}-{len(list(context.parent.iterdir()))}"
        request = Request(
            context=context, contexts=self.contexts, names=(f"{name}:1",), network="host", cache=cache, **more
        )  # type: ignore[arg-type]  # what more there is are platforms
        built = self.wherry.build(request, out)
        assert built.ok, built.message
        return built

    def start(self, name: str) -> str:
        """Run an image; give what it says."""
        words = [sys.executable, "-m", "wherry", "run", f"{name}:1"]
        done = subprocess.run(words, check=False, capture_output=True, text=True, env=self.wherry.environment())
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Make stand-ins that know apk and a module proxy."""
    need_root()
    root = tmp_path_factory.mktemp("articles")
    proxy = ModuleProxy(root / "proxy")
    files = {
        "go.mod": "module example.com/greet\n\ngo 1.21\n",
        "greet.go": 'package greet\n\nfunc Word() string { return "hello" }\n',
    }
    proxy.publish("example.com/greet", "v1.0.0", files)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with serving(functools.partial(Handler, directory=str(proxy.folder))) as host:  # type: ignore[arg-type]  # a handler with its folder
        yield Desk(root, f"http://{host}")


@pytest.fixture
def context(desk: Desk, tmp_path: Path) -> Path:
    """Lay a Go module that needs another one."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.com/app\n\ngo 1.21\n\nrequire example.com/greet v1.0.0\n")
    (folder / "main.go").write_text(PROGRAM)
    (folder / "go.sum").write_text(_sums(desk, tmp_path))
    return folder


def _sums(desk: Desk, folder: Path) -> str:
    """Let Go say what the module's hashes are."""
    module = folder / "sums"
    module.mkdir()
    (module / "go.mod").write_text("module example.com/app\n\ngo 1.21\n\nrequire example.com/greet v1.0.0\n")
    (module / "main.go").write_text(PROGRAM)
    environment = ModuleProxy.__new__(ModuleProxy)
    environment.folder = desk.root / "proxy"
    given = desk.wherry.environment() | environment.environment(folder / "modules")
    subprocess.run(["go", "mod", "download", "example.com/greet"], cwd=module, env=given, check=True)
    subprocess.run(["go", "mod", "tidy"], cwd=module, env=given, check=True, capture_output=True)
    return (module / "go.sum").read_text()


def only_image(built: Built) -> Image:
    """Give the image where there is one."""
    (image,) = opened(built.layout).images()
    return image


def test_manifests_first_on_alpine(desk, context):
    """The program runs with certificates; nothing of the toolchain, the sources or the modules is in the image."""
    image = only_image(desk.build(MANIFESTS_FIRST, "alpine", context))

    assert desk.start("alpine") == "hello 0 true"
    tree = image.tree()
    assert "root/myapp" in tree
    assert not [path for path in tree if path.startswith(("usr/local/go", "go/", "app/")) or path.endswith(".go")]
    assert image.runtime["WorkingDir"] == "/root/"


def test_manifests_first_keeps_the_modules(desk, context):
    """After an edit of a source the modules are there already; after one of go.mod they are fetched anew."""
    desk.build(MANIFESTS_FIRST, "order", context, cache=True)
    (context / "main.go").write_text(PROGRAM.replace("greet.Word()", "greet.Word(), 1"))
    edited = desk.build(MANIFESTS_FIRST, "order", context, cache=True).message
    assert not re.search(r"RUN go mod download(?!.*cached)", edited), edited
    assert desk.start("order") == "hello 1 0 true"

    (context / "go.mod").write_text((context / "go.mod").read_text() + "\n// a comment\n")
    assert "RUN go mod download" in desk.build(MANIFESTS_FIRST, "order", context, cache=True).message


def test_static_on_scratch(desk, context):
    """One file, no interpreter, and it starts."""
    image = only_image(desk.build(STATIC, "static", context))

    tree = image.tree()
    assert [path for path in tree if path] == ["main"]
    assert b"ld-linux" not in (tree["main"].content or b"")
    assert desk.start("static") == "hello 0 false"


def test_distroless_as_nobody_much(desk, context):
    """The base's certificates and accounts, user 65532, no shell."""
    image = only_image(desk.build(DISTROLESS, "distroless", context))

    assert image.runtime["User"] == "65532:65532"
    assert not any(path.endswith(("/sh", "/busybox")) for path in image.tree())
    assert desk.start("distroless") == "hello 65532 true"


def test_a_busybox_beside_the_program(desk, context):
    """A static busybox from a stage that is nothing but an image."""
    image = only_image(desk.build(WITH_BUSYBOX, "tools", context))

    assert sorted(path for path in image.tree() if path) == ["app", "busybox"]
    assert desk.start("tools") == "hello 0 false"


def test_two_platforms_by_one_compiler(desk, context):
    """The compiler runs here for both; each image has a program of its own processor."""
    built = desk.build(TWO_PLATFORMS, "both", context, platforms=("linux/amd64", "linux/arm64"))

    images = {image.platform: image for image in opened(built.layout).images()}
    assert sorted(images) == ["linux/amd64", "linux/arm64"]
    assert {name: machine(image) for name, image in images.items()} == {"linux/amd64": 62, "linux/arm64": 183}


def machine(image: Image) -> int:
    """Read e_machine of the program (ELF header, byte 18)."""
    with image.blobs.open("blobs/" + image.layers[-1]["digest"].replace(":", "/")) as stream:
        from flattened import layer_tar

        for member in (layer := layer_tar(stream)):
            if member.name.strip("/") == "app":
                program = layer.extractfile(member)
                assert program
                return int.from_bytes(program.read(20)[18:], "little")
    raise AssertionError("no program")
