"""What stands in for the images that Dockerfiles name, where no registry can be asked: made once, kept between runs.

`busybox` and `alpine` are made of Debian's busybox-static, and once more by the shared corpus' own script for its
cases, which were recorded on those; `golang` is a Debian root with apt and a Go toolchain. Each is an OCI layout that
`--build-context NAME=oci-layout://PATH` takes.
"""

import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from needs import absent, corpus, need

FORMAT = 2
"""Of the folder; a change of how the bases are made raises it."""
_CREATED, _TIME = "2024-01-01T00:00:00Z", 1_704_067_200
ACCOUNTS = {
    "etc/passwd": b"root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/bin/false\nmail:x:8:8::/var/mail:/bin/false\n"
    b"www-data:x:33:33::/var/www:/bin/false\nnobody:x:65534:65534::/home:/bin/false\n",
    "etc/group": b"root:x:0:\ndaemon:x:1:\nmail:x:8:\nwheel:x:10:root\nwww-data:x:33:\nstaff:x:50:\nusers:x:100:\n"
    b"nobody:x:65534:\n",
    # Debian's busybox has no adduser; builds of small images often call it so: `adduser -D NAME`.
    "bin/adduser": b"""#!/bin/sh
for name; do :; done
id=1000
while cut -d: -f3 /etc/passwd | grep -qx $id; do id=$((id + 1)); done
printf '%s:x:%d:%d::/home/%s:/bin/sh\\n' "$name" $id $id "$name" >>/etc/passwd
printf '%s:x:%d:\\n' "$name" $id >>/etc/group
mkdir -p "/home/$name" && chown $id:$id "/home/$name"
""",
}
_UNREAD = ("api", "doc", "misc", "test", "pkg/obj")
"""Of a toolchain: what no build reads."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def cache() -> Path:
    """Give the folder that the bases are kept in."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "wherry-tests" / "bases"


def recorded(name: str) -> Path:
    """Give the layout of `busybox` or `alpine` on which the corpus' cases were recorded."""
    return _single(_stand_ins(), f"{name}:latest")


def busybox() -> Path:
    """Give an image with busybox under all its names, a few accounts, and a shell as its command."""
    return _small("busybox", {})


def alpine() -> Path:
    """Give the same with the release file that tells Alpine."""
    return _small("alpine", {"etc/alpine-release": b"3.19.0\n"})


def golang() -> Path:
    """Give a Debian root with apt and, in /usr/local/go, the Go toolchain that is on PATH.

    Go's cache has fmt and what that needs, compiled for two platforms: tests are not there to do it again and again.
    """
    program = need("mmdebstrap")
    if os.geteuid() != 0:
        absent("a Debian root is made by root")
    facts = _output("go", "env", "GOROOT", "GOVERSION").split()
    root, version = Path(facts[0]), facts[1]
    release = Path("/etc/debian_version").read_text().split(".")[0]

    def make(folder: Path) -> None:
        tar = folder / "root.tar"
        _debian(program, tar)
        layers = [
            _packed(folder, tar.read_bytes),
            _packed(folder, lambda: _tar(root, "usr/local/go", _UNREAD)),
            _packed(folder, lambda: _compiled(folder / "go-build")),
        ]
        tar.unlink()
        shutil.rmtree(folder / "go-build")
        environment = ["GOLANG_VERSION=" + version.removeprefix("go"), "GOTOOLCHAIN=local", "GOPATH=/go"]
        path = f"PATH=/go/bin:/usr/local/go/bin:{_PATH}"
        _write_image(folder, layers, {"Env": [path, *environment], "Cmd": ["bash"], "WorkingDir": "/go"})

    return _kept(f"golang-{version}-debian{release}", make)


def debian() -> Path:
    """Give a Debian root with apt and adduser: what `golang` begins with."""
    whole = golang()
    return _kept(f"debian-of-{whole.name}", lambda folder: _first_layers(whole, folder, 1))


def static() -> Path:
    """Give wherry's own static base, which has what distroless/static has."""
    wherry = Path(sys.executable).with_name("wherry")

    def make(folder: Path) -> None:
        environment = {**os.environ, "WHERRY_STORE": str(folder / "store"), "WHERRY_CACHE": str(folder / "cache")}
        out = f"type=oci,dest={folder / 'out'},tar=false"
        module = folder / "module"
        module.mkdir()
        (module / "go.mod").write_text("module example.com/base\n\ngo 1.21\n")
        (module / "main.go").write_text("package main\n\nfunc main() {}\n")
        words = [wherry, "build", "--go", "-q", "-o", out, "."]
        subprocess.run(words, check=True, cwd=module, env=environment, stdout=subprocess.DEVNULL)
        _first_layers(folder / "out", folder, -1)
        for name in ("store", "cache", "out", "module"):
            shutil.rmtree(folder / name, ignore_errors=True)

    from wherry import __version__

    return _kept(f"static-{__version__}", make)


def _small(name: str, further: Mapping[str, bytes]) -> Path:
    binary = Path(need("busybox"))
    key = hashlib.sha256(binary.read_bytes() + repr((sorted(ACCOUNTS.items()), sorted(further.items()))).encode())

    def make(folder: Path) -> None:
        layer = _packed(folder, lambda: _small_root(binary, {**ACCOUNTS, **further}))
        _write_image(folder, [layer], {"Env": [f"PATH={_PATH}"], "Cmd": ["sh"], "WorkingDir": "/"})

    return _kept(f"{name}-own-{key.hexdigest()[:16]}", make)


def _small_root(binary: Path, files: Mapping[str, bytes]) -> bytes:
    """Make a tar of a root: folders, busybox, a hard link for each name of it, and some files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, kind: bytes, mode: int, content: bytes = b"", target: str = "") -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime, entry.size, entry.linkname = kind, mode, _TIME, len(content), target
            tar.addfile(entry, io.BytesIO(content))

        for folder in ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "var", "var/mail"):
            add(folder, tarfile.DIRTYPE, 0o755)
        add("tmp", tarfile.DIRTYPE, 0o1777)
        add("bin/busybox", tarfile.REGTYPE, 0o755, binary.read_bytes())
        for applet in sorted(set(_output(str(binary), "--list").split()) - {"busybox", "adduser"}):
            add(f"bin/{applet}", tarfile.LNKTYPE, 0o755, target="bin/busybox")
        for name, content in sorted(files.items()):
            add(name, tarfile.REGTYPE, 0o755 if name.startswith("bin/") else 0o644, content)
    return buffer.getvalue()


def _stand_ins() -> Path:
    script = corpus("bases/make_bases.py")
    binary = Path(need("busybox"))
    key = hashlib.sha256(script.read_bytes() + binary.read_bytes()).hexdigest()[:16]

    def make(folder: Path) -> None:
        words = [sys.executable, str(script), str(folder), str(binary)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    return _kept(f"busybox-{key}", make)


def _single(layout: Path, name: str) -> Path:
    """Give a layout that has one image of another: a named context takes the only one there is."""

    def make(folder: Path) -> None:
        shutil.copytree(layout, folder, dirs_exist_ok=True)
        index = json.loads((folder / "index.json").read_text())
        entries = [entry for entry in index["manifests"] if _name(entry) == name]
        for entry in entries:  # what a client asks for where it names no tag
            entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
        (folder / "index.json").write_text(json.dumps({**index, "manifests": entries}))

    return _kept(f"{layout.name}-{name.partition(':')[0]}", make)


def _name(entry: dict[str, Any]) -> str:
    return str(entry["annotations"]["org.opencontainers.image.ref.name"])


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """Give a folder of the cache; who comes first makes it, whoever comes meanwhile waits."""
    folder = cache() / f"{FORMAT}-{name}"
    with _locked(folder.with_suffix(".lock")):
        if not folder.exists():
            made = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
            try:
                make(made)
                made.chmod(0o755)
                made.rename(folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    return folder


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _debian(program: str, tar: Path) -> None:
    """Make a root of the release, and from the mirrors, that this machine's own apt has."""
    names = ("sources.list.d/debian.sources", "sources.list.d/ubuntu.sources", "sources.list")
    sources = [Path("/etc/apt", name) for name in names]
    given = [str(source) for source in sources if source.exists() and source.read_text().strip()]
    suite = _fact("VERSION_CODENAME")
    words = [program, "--variant=apt", "--include=ca-certificates,git,adduser", "--quiet", suite, str(tar), *given]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        absent(f"mmdebstrap could not make a Debian root: {done.stderr[-400:]}")


def _fact(key: str) -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.partition("=")[2].strip('"') for line in lines if line.startswith(key + "="))


def _tar(root: Path, place: str, left_out: tuple[str, ...] = ()) -> bytes:
    """Put a folder at a place."""
    words = ["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@1704067200", "-C", str(root)]
    words += [*(f"--exclude=./{name}" for name in left_out), f"--transform=s,^\\.,{place},S", "-c", "."]
    return subprocess.run(words, check=True, capture_output=True).stdout


def _compiled(cache: Path) -> bytes:
    """Fill a build cache, which holds for the same toolchain in the same place."""
    for architecture in ("amd64", "arm64"):
        settings = {"GOCACHE": str(cache), "GOFLAGS": "", "GOARCH": architecture, "CGO_ENABLED": "0"}
        subprocess.run(["go", "build", "fmt"], check=True, cwd="/", env={**os.environ, **settings})
    return _tar(cache, "root/.cache/go-build")


def _packed(folder: Path, read: Callable[[], bytes]) -> tuple[dict[str, Any], str]:
    """Store a layer; give its descriptor and its diff id."""
    tar = read()
    blob = _blob(folder, gzip.compress(tar, 1, mtime=0))
    media = "application/vnd.oci.image.layer.v1.tar+gzip"
    return {"mediaType": media, **blob}, "sha256:" + hashlib.sha256(tar).hexdigest()


def _blob(folder: Path, content: bytes) -> dict[str, Any]:
    hashed = hashlib.sha256(content).hexdigest()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / hashed).write_bytes(content)
    return {"digest": "sha256:" + hashed, "size": len(content)}


def _write_image(folder: Path, layers: list[tuple[dict[str, Any], str]], runtime: dict[str, Any]) -> None:
    """Write config, manifest and index for an image of this machine's platform."""
    config = {
        "created": _CREATED,
        "architecture": _output("go", "env", "GOHOSTARCH"),
        "os": "linux",
        "config": runtime,
        "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in layers]},
        "history": [{"created": _CREATED, "created_by": "stand-in"} for _ in layers],
    }
    _index(folder, config, [blob for blob, _ in layers])


def _index(folder: Path, config: dict[str, Any], layers: list[dict[str, Any]]) -> None:
    family = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2,
        "mediaType": family + "manifest.v1+json",
        "config": {"mediaType": family + "config.v1+json", **_blob(folder, json.dumps(config).encode())},
        "layers": layers,
    }
    entry = {
        "mediaType": manifest["mediaType"],
        **_blob(folder, json.dumps(manifest).encode()),
        "platform": {"os": config["os"], "architecture": config["architecture"]},
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }
    index = {"schemaVersion": 2, "mediaType": family + "index.v1+json", "manifests": [entry]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def _first_layers(built: Path, folder: Path, count: int) -> None:
    """Make an image of the first layers of another; a negative count leaves out so many at the end."""
    from flattened import opened

    image = opened(built).images()[0]
    layers = list(image.layers[:count])
    config = {**image.config, "config": {key: image.runtime[key] for key in ("Env", "User") if key in image.runtime}}
    config["rootfs"] = {"type": "layers", "diff_ids": image.config["rootfs"]["diff_ids"][:count]}
    config["history"] = [{"created": _CREATED, "created_by": "stand-in"} for _ in layers]
    for layer in layers:
        _blob(folder, (built / "blobs" / layer["digest"].replace(":", "/")).read_bytes())
    _index(folder, config, layers)


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
