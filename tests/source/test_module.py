"""The user's module: found without starting Go, listed with a real one."""

import os
import subprocess
from pathlib import Path

import pytest

from needs import need
from wherry.errors import NotFound
from wherry.host.process import SystemRunner
from wherry.host.toolchain import find_toolchain
from wherry.source.inputs import InputKind
from wherry.source.module import NoMainPackage, find_main, list_inputs, program_name


@pytest.fixture
def module(tmp_path):
    """A module with a program, a library, files it embeds and a local replacement."""
    files = {
        "app/go.mod": "module example.com/app\n\ngo 1.21\n\nrequire example.com/lib v0.0.0\n\n"
        "replace example.com/lib => ../lib\n",
        "app/cmd/api/main.go": 'package main\n\nimport (\n\t"embed"\n\n\t"example.com/app/inner"\n'
        '\t"example.com/lib"\n)\n\n'
        "//go:embed static\nvar files embed.FS\n\nfunc main() { _ = files; println(inner.A, lib.B) }\n",
        "app/cmd/api/static/deep/page.html": "hello",
        "app/cmd/api/other_windows.go": "package main\n",
        "app/cmd/api/main_test.go": "package main\n",
        "app/inner/inner.go": "package inner\n\nconst A = 1\n",
        "lib/go.mod": "module example.com/lib\n\ngo 1.21\n",
        "lib/lib.go": "package lib\n\nconst B = 2\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "app"


def test_a_main_package_is_found(module):
    """With its module, its import path and the program's name."""
    found = find_main(module / "cmd" / "api")

    assert found.module == module
    assert found.import_path == "example.com/app/cmd/api"
    assert found.name == "api"


def test_a_library_names_the_programs_near_by(module):
    """The hint has paths a user can type."""
    with pytest.raises(NoMainPackage) as caught:
        find_main(module)
    assert "./cmd/api" in caught.value.hint

    with pytest.raises(NoMainPackage):
        find_main(module / "inner")


@pytest.mark.parametrize("path", ["nowhere", "cmd/api/main.go"])
def test_what_is_no_folder(module, path):
    """A file or nothing at all."""
    with pytest.raises(NotFound):
        find_main(module / path)


def test_a_folder_outside_of_any_module(tmp_path):
    """Says that there is no go.mod."""
    with pytest.raises(NotFound) as caught:
        find_main(tmp_path)
    assert "go mod init" in caught.value.hint


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("example.com/app/cmd/api", "api"),
        ("example.com/tool/v2", "tool"),
        ("gopkg.in/tool.v3", "tool"),
        ("tool", "tool"),
        ("example.com/v2ray", "v2ray"),
    ],
)
def test_programs_are_named_as_go_names_them(path, name):
    """`go build` drops a major version."""
    assert program_name(path) == name


@pytest.mark.slow
def test_everything_a_build_reads_is_listed(module):
    """Sources, folders, embedded trees, go.mod of replacements, and what has to stay absent."""
    need("go")
    environment = {**os.environ, "GOFLAGS": "", "GOWORK": "", "CGO_ENABLED": "0"}
    toolchain = find_toolchain(SystemRunner(), environment, module)

    listing = list_inputs(SystemRunner(), toolchain, find_main(module / "cmd" / "api"), (), {"GOOS": "linux"})

    paths = {(str(Path(path)), kind) for path, kind in listing.paths}
    api = module / "cmd" / "api"
    assert listing.package == "main"
    assert not listing.uses_cgo
    for path, kind in [
        (api / "main.go", InputKind.FILE),
        (api / "other_windows.go", InputKind.FILE),
        (api, InputKind.FOLDER),
        (api / "static", InputKind.TREE),
        (api / "static" / "deep", InputKind.TREE),
        (api / "static" / "deep" / "page.html", InputKind.FILE),
        (api / "go.mod", InputKind.ABSENT),
        (module / "cmd" / "go.mod", InputKind.ABSENT),
        (module / "go.work", InputKind.ABSENT),
        (module.parent / "go.work", InputKind.ABSENT),
        (module / "go.mod", InputKind.FILE),
        (module / "go.sum", InputKind.FILE),
        (module / "vendor" / "modules.txt", InputKind.FILE),
        (module.parent / "lib" / "go.mod", InputKind.FILE),
        (module.parent / "lib" / "lib.go", InputKind.FILE),
        (Path(toolchain.settings["GOROOT"]) / "VERSION", InputKind.FILE),
        (Path(toolchain.settings["GOROOT"]) / "src" / "runtime", InputKind.FOLDER),
    ]:
        assert (str(path), kind) in paths, path
    assert (str(api / "main_test.go"), InputKind.FILE) not in paths


@pytest.mark.slow
def test_the_listing_has_what_go_opens(module):
    """What strace saw is the judge: no file of the user's that `go build` reads is missing from the listing."""
    need("go")
    strace = need("strace")
    environment = {**os.environ, "GOFLAGS": "", "CGO_ENABLED": "0"}
    toolchain = find_toolchain(SystemRunner(), environment, module)
    listing = list_inputs(SystemRunner(), toolchain, find_main(module / "cmd" / "api"), (), {})
    trace = module.parent / "trace"
    subprocess.run(
        [strace, "-f", "-qq", "-e", "trace=openat", "-o", str(trace), "go", "build", "-buildvcs=false",
         "-o", str(module.parent / "out"), "."],
        cwd=module / "cmd" / "api", env=environment, check=True,
    )  # fmt: skip

    listed = {path for path, _ in listing.paths}
    opened = {
        line.split('"')[1]
        for line in trace.read_text(errors="replace").splitlines()
        if '"' in line and "ENOENT" not in line
    }
    ours = {
        path
        for path in opened
        if path.startswith(f"{module.parent}/") and "/cache" not in path and path != str(module.parent / "out")
    }
    files = {path for path in ours if Path(path).is_file()}
    assert files - listed - {str(module / "cmd" / "api" / "main_test.go")} == set()
