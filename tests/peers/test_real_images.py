"""Images of real packages, as buildah and BuildKit write them: nginx, a Python application, a cgo program with SQLite.

The oracles are umoci (which files there are), the packages' own dynamic linker in a chroot, and readelf.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import absent, need, need_root

pytestmark = [pytest.mark.peers, pytest.mark.slow]

PACKAGES = "nginx-light,python3-minimal,python3-yaml,libsqlite3-0"
_LOADER = "/lib64/ld-linux-x86-64.so.2"
_MAIN = """package main

// #cgo LDFLAGS: -l:libsqlite3.so.0
// extern const char *sqlite3_libversion(void);
import "C"

func main() { println(C.GoString(C.sqlite3_libversion())) }
"""
_DOCKERFILE = """FROM scratch
ADD root.tar /
COPY app /app/server
COPY main.py /app/main.py
CMD ["/usr/sbin/nginx", "-t"]
"""


@dataclass(frozen=True)
class RealImage:
    """An image, and what is in it."""

    layout: Path
    root: Path
    """Unpacked by umoci."""
    shell: Shell


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """A build context: a root of Debian packages, and a program linked against its SQLite."""
    need_root()
    folder = tmp_path_factory.mktemp("context")
    words = [need("mmdebstrap"), "--variant=extract", f"--include={PACKAGES}", "bookworm", str(folder / "root.tar")]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        absent(f"mmdebstrap could not make a Debian root: {done.stderr[-400:]}")
    libraries = folder / "lib"
    libraries.mkdir()
    with tarfile.open(folder / "root.tar") as archive:
        for member in archive:
            if "libsqlite3.so.0" in member.name:
                archive.extract(member, libraries, filter="tar")
    found = next(libraries.rglob("libsqlite3.so.0")).parent
    (folder / "main.go").write_text(_MAIN)
    (folder / "go.mod").write_text("module example.com/db\n\ngo 1.21\n")
    (folder / "main.py").write_text("import yaml\nprint(yaml.safe_load('a: 1'))\n")
    environment = {**os.environ, "CGO_ENABLED": "1", "CGO_LDFLAGS": f"-L{found} -Wl,--allow-shlib-undefined"}
    need("gcc")
    subprocess.run(["go", "build", "-o", "app", "."], cwd=folder, env=environment, check=True)
    (folder / "Dockerfile").write_text(_DOCKERFILE)
    return folder


@pytest.fixture(scope="module", params=["buildah", "buildkit"])
def image(request, context, tmp_path_factory):
    """The image of one builder, as a layout."""
    folder = tmp_path_factory.mktemp(request.param)
    layout = folder / "layout"
    if request.param == "buildah":
        places = [f"--root={folder / 'root'}", f"--runroot={folder / 'run'}", "--storage-driver=vfs"]
        words = [need("buildah"), *places, "build", "--isolation=chroot", "--layers", "-q", "-t", f"oci:{layout}:real"]
        subprocess.run([*words, str(context)], check=True, capture_output=True)
    else:
        from peers.buildkit import buildkitd

        with buildkitd(folder / "daemon") as daemon:
            words = [daemon.client, "--addr", f"unix://{daemon.folder / 'socket'}", "build", "--progress=plain"]
            words += ["--frontend=dockerfile.v0", f"--local=context={context}", f"--local=dockerfile={context}"]
            words += [f"--output=type=oci,dest={layout},tar=false,name=real"]
            subprocess.run(words, check=True, capture_output=True)
    tag = json.loads((layout / "index.json").read_text())["manifests"][0]["annotations"]
    name = tag["org.opencontainers.image.ref.name"]
    unpack = [need("umoci"), "raw", "unpack", "--image", f"{layout}:{name}", str(folder / "unpacked")]
    subprocess.run(unpack, check=True, capture_output=True)
    yield RealImage(layout, folder / "unpacked", Shell(folder / "shell"))
    shutil.rmtree(folder)


def test_sums_reconcile(image):
    """Every byte is visible or wasted, and what is visible is what umoci unpacks; links of one file count once."""
    image.shell("analyze", str(image.layout), "--json")
    (one,) = json.loads(image.shell.out)["platforms"]
    inodes = {
        (found.st_dev, found.st_ino): found.st_size
        for folder, _, names in os.walk(image.root)
        for name in names
        if (path := Path(folder, name)).is_file() and not path.is_symlink()
        for found in [path.lstat()]
    }

    assert one["unpacked"] == one["visible"] + one["waste"]["bytes"]
    assert (one["files"], one["visible"]) == (len(inodes), sum(inodes.values()))
    assert sum(layer["stored"] for layer in one["layers"]) == one["stored"]
    assert sum(layer["unpacked"] for layer in one["layers"]) == one["unpacked"]


def test_libraries_are_those_of_the_loader(image):
    """For every dynamic program: interpreter as readelf has it, and libraries as the image's own loader finds them."""
    image.shell("deps", str(image.layout), "--json", code=1)
    (one,) = json.loads(image.shell.out)["platforms"]
    programs = {found["path"]: found for found in one["programs"] if found["kind"] == "dynamic"}

    assert {"/app/server", "/usr/sbin/nginx", "/usr/bin/python3.11"} <= programs.keys()
    for path in ("/app/server", "/usr/sbin/nginx", "/usr/bin/python3.11"):
        program = programs[path]
        asked = subprocess.run(["readelf", "-lW", f"{image.root}{path}"], check=True, capture_output=True, text=True)
        assert f"interpreter: {program['interpreters'][0]['name']}]" in asked.stdout
        words = ["chroot", str(image.root), _LOADER, "--list", path]
        listed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        theirs = {
            Path(found).name: os.path.realpath(f"{image.root}{found}") for found in re.findall(r"=> (\S+)", listed)
        }
        ours = {
            found["name"]: os.path.realpath(f"{image.root}{found['path']}")
            for found in program["libraries"]
            if found["by"] != "loaded"
        }
        assert ours == theirs | {name: place for name, place in ours.items() if name == Path(_LOADER).name}
    ran = subprocess.run(["chroot", str(image.root), "/app/server"], check=True, capture_output=True, text=True)
    assert ran.stderr.startswith("3.")


def test_leaks_and_the_tree(image):
    """Leaks and the tree are read to the end: the program was built without -trimpath."""
    image.shell("leaks", str(image.layout))
    assert "untrimmed-paths" in image.shell.out.partition("/app/server")[2]
    assert len(image.shell("tree", str(image.layout))) >= 5
