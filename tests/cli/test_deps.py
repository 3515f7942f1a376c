"""`wherry deps` as a user calls it, of real programs in small images."""

import json
from pathlib import Path

import pytest

import wherry as api
from archives import file, folder, link
from built_images import put_layers, put_platforms
from cli_shell import Shell
from gobuild import HELLO, USER, go_binary
from made_elf import made_elf
from wherry.oci.config import History, RuntimeConfig
from wherry.platform import Platform

CLIENT = """package main

import (
	"net/http"
	"os"
	"time"
)

func main() {
	_, err := http.Get("https://localhost:1")
	zone, _ := time.LoadLocation(os.Getenv("ZONE"))
	made, _ := os.CreateTemp("", "x")
	println(err != nil, zone, made)
}
"""
EMBEDS = CLIENT.replace('"time"', '"time"\n\t_ "time/tzdata"')
PIE = made_elf((0x6FFFFFFB, 0x08000000))
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


@pytest.fixture
def wherry(tmp_path) -> Shell:
    """A shell with an empty store."""
    return Shell(tmp_path / "shell")


def stored(wherry: Shell, *entries, name: str = "app:dev", **runtime) -> None:
    """Put an image of one layer into the store."""
    with wherry.store.writing():
        wherry.store.tag(name, put_layers(wherry.store, [list(entries)], RuntimeConfig(**runtime)))


def program(binary: Path, path: str = "app"):
    """Give a program as an entry of a layer."""
    return file(path, binary.read_bytes(), mode=0o755)


def found(wherry: Shell, *words: str, code: int = 0) -> dict:
    """Give the only platform of the document."""
    wherry("deps", "--json", *words, code=code)
    document = json.loads(wherry.out)
    assert document["schema"] == "wherry.deps/1"
    (platform,) = document["platforms"]
    return platform


def states(platform: dict) -> dict[str, str]:
    """Give what the first program can ask for, and whether it is there."""
    return {ask["kind"]: ask["state"] for ask in platform["programs"][0]["asks"]}


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("-ldflags=-s -w", "-trimpath")])
def test_what_a_go_program_can_ask_for(wherry, flags):
    """By the functions that are linked, stripped or not; the base is the smallest that has what is asked for."""
    stored(wherry, program(go_binary(CLIENT, *flags)), file(CERTIFICATES, b"x"), entrypoint=("/app",))

    one = found(wherry, "app:dev")

    assert one["programs"][0]["kind"] == "static"
    asked = states(one)
    assert asked["certificates"] == "there"
    assert (asked["zones"], asked["tmp"]) == ("missing", "missing")
    assert not {"accounts", "mime-types", "plugins"} & set(asked)
    assert {finding["message"].partition(":")[0] for finding in one["findings"]} == {"zones", "tmp"}
    assert {finding["severity"] for finding in one["findings"]} == {"warning"}
    assert one["advice"]["base"] == "static"
    broken = {
        option["name"]: [text.partition(":")[0] for text in option["breaks"]] for option in one["advice"]["options"]
    }
    assert broken == {"scratch": ["certificates", "zones", "tmp"], "static-notz": ["zones"], "static": []}
    wherry("deps", "--fail-on", "warning", "app:dev", code=1)
    wherry("deps", "--fail-on", "missing-files", "app:dev", code=1)
    wherry("deps", "--fail-on", "missing-library", "app:dev")


@pytest.mark.slow
def test_what_a_program_brings_along(wherry):
    """Embedded zones are not missed; then the base without zones is enough."""
    stored(wherry, program(go_binary(EMBEDS)), entrypoint=("/app",))

    one = found(wherry, "app:dev")

    assert states(one)["zones"] == "embedded"
    assert one["advice"]["base"] == "static-notz"


@pytest.mark.slow
def test_what_the_image_s_own_layers_bring(wherry):
    """Certificates of an own layer count on every base; those of the base go with it."""
    base = [folder("tmp"), file("usr/share/zoneinfo/UTC", b"x")]
    below = History(created_by='CMD ["sh"]', empty_layer=True)
    layer = History(created_by="COPY")
    certificates = file(CERTIFICATES, b"x")
    runtime = RuntimeConfig(entrypoint=("/app",))
    app = program(go_binary(CLIENT))
    with wherry.store.writing():
        for name, layers in {"own": [base, [app, certificates]], "base": [[*base, certificates], [app]]}.items():
            root = put_layers(wherry.store, layers, runtime, history=(layer, below, layer))
            wherry.store.tag(f"{name}:dev", root)

    broken = {
        name: [text.partition(":")[0] for text in found(wherry, f"{name}:dev")["advice"]["options"][0]["breaks"]]
        for name in ("own", "base")
    }

    assert broken == {"own": ["zones", "tmp"], "base": ["certificates", "zones", "tmp"]}


@pytest.mark.slow
def test_a_program_that_asks_for_nothing(wherry):
    """Starts on scratch, and the advice has the sizes of all."""
    stored(wherry, program(go_binary(HELLO)), entrypoint=("/app",))

    one = found(wherry, "app:dev")

    assert one["advice"]["base"] == "scratch"
    sizes = [option["pulled"] for option in one["advice"]["options"]]
    assert sizes[0] == 0 < sizes[1] < sizes[2]
    assert not one["findings"]


@pytest.mark.slow
def test_a_program_that_cannot_start(wherry):
    """One linked by gcc on an image without a C library: exit code 1, and who asks for what."""
    stored(wherry, program(go_binary(USER, cgo=True)), entrypoint=("app",), env=("PATH=/",))

    one = found(wherry, "app:dev", code=1)

    (first,) = one["programs"]
    assert first["kind"] == "dynamic"
    assert first["entry"]
    assert [finding["rule"] for finding in one["findings"] if finding["severity"] == "error"] == [
        "missing-interpreter", "missing-library",
    ]  # fmt: skip
    assert one["advice"]["base"] == ""
    text = "\n".join(wherry("deps", "app:dev", code=1))
    assert "MISSING" in text
    assert "CGO_ENABLED=0" in text


def test_scripts(wherry):
    """An interpreter, one by env, one that is itself a script, and those that lead nowhere."""
    elf = made_elf(interpreter="")
    stored(
        wherry,
        folder("usr"), folder("usr/bin"), link("bin", "usr/bin"),
        file("usr/bin/sh", elf, mode=0o755), file("usr/bin/env", elf, mode=0o755),
        file("usr/bin/python3", b"#!/bin/sh\n", mode=0o755),
        file("a", b"#! /bin/sh -e\n", mode=0o755),
        file("b", b"#!/usr/bin/env python3\n", mode=0o755),
        file("c", b"#!/usr/bin/env -S ruby -w\n", mode=0o755),
        file("d", b"#!/usr/bin/perl\n", mode=0o755),
        file("e", b"#!/e\n", mode=0o755),
        file("f", b"#!/usr/bin/perl\n"),
        entrypoint=("/a",),
    )  # fmt: skip

    one = found(wherry, "app:dev", code=1)

    scripts = {row["path"]: [file["path"] for file in row["interpreters"]] for row in one["programs"]}
    assert scripts["/a"] == ["/usr/bin/sh"]
    assert scripts["/b"] == ["/usr/bin/env", "/usr/bin/python3", "/usr/bin/sh"]
    assert scripts["/c"] == ["/usr/bin/env", ""]
    assert "/f" not in scripts
    wrong = {finding["place"]: finding["message"] for finding in one["findings"]}
    assert set(wrong) == {"/c", "/d", "/e"}
    assert wrong["/c"] == "not found: ruby"
    assert one["programs"][0]["path"] == "/a"
    text = "\n".join(wherry("deps", "app:dev", code=1))
    assert "remedy: install the package that has ruby" in text
    assert "2 more, which can be loaded; --all shows them" in text


def test_what_layers_hide_is_no_program(wherry):
    """Only what a container sees counts, in the last layer that has it."""
    layers = [
        [file("a", b"#!/none\n", mode=0o755), file("b", b"#!/none\n", mode=0o755)],
        [file(".wh.a"), file("b", b"no script", mode=0o755)],
    ]
    with wherry.store.writing():
        wherry.store.tag("app:dev", put_layers(wherry.store, layers))

    assert found(wherry, "app:dev")["programs"] == []


def test_an_entry_that_is_not_there(wherry):
    """What the config names, by PATH or by its path."""
    stored(wherry, file("bin/app", PIE), entrypoint=("serve", "-v"), env=("PATH=/bin",))
    stored(wherry, file("bin/app", PIE), cmd=("/bin/none",), name="web:dev")
    stored(wherry, file("bin/app", PIE), cmd=("bin/app",), working_dir="/", name="ok:dev")

    assert [one["rule"] for one in found(wherry, "app:dev", code=1)["findings"]] == ["missing-program"]
    assert found(wherry, "web:dev", code=1)["findings"][0]["place"] == "/bin/none"
    assert found(wherry, "ok:dev")["programs"][0]["entry"]


def test_a_broken_program(wherry):
    """Is named, and the others are judged."""
    stored(wherry, file("a", b"\x7fELF" + bytes(40), mode=0o755), file("b", b"#!/a\n", mode=0o755), entrypoint=("/a",))

    one = found(wherry, "app:dev", code=1)

    assert {finding["rule"]: finding["place"] for finding in one["findings"]} == {
        "broken-program": "/a", "missing-interpreter": "/b",
    }  # fmt: skip


def test_platforms(wherry):
    """Each is judged on its own; a program of another architecture is found."""
    amd64, arm64 = Platform("linux", "amd64"), Platform("linux", "arm64")
    runtime = RuntimeConfig(entrypoint=("/app",))
    with wherry.store.writing():
        images = {
            platform: put_layers(wherry.store, [[file("app", PIE, mode=0o755)]], runtime, platform)
            for platform in (amd64, arm64)
        }
        wherry.store.tag("app:dev", put_platforms(wherry.store, images))

    wherry("deps", "--json", "app:dev", code=1)
    rules = {
        one["platform"]: [found["rule"] for found in one["findings"]] for one in json.loads(wherry.out)["platforms"]
    }

    assert rules == {"linux/amd64": [], "linux/arm64": ["wrong-architecture"]}


@pytest.mark.slow
def test_a_file(wherry):
    """Is judged on this machine, as ldd does; `import wherry` gives the same."""
    binary = go_binary(USER, cgo=True)

    one = found(wherry, str(binary))

    assert one["programs"][0]["interpreters"][0]["path"]
    assert all(library["path"] for library in one["programs"][0]["libraries"])
    assert not [finding for finding in one["findings"] if finding["severity"] == "error"]
    document = api.deps(
        str(binary),
        session=api.Session(store=wherry.root / "store", cache=wherry.root / "cache", cwd=wherry.root, environment={}),
    )
    assert document.platforms[0].programs[0].versions["libc.so.6"].startswith("GLIBC_")


@pytest.mark.parametrize("content", [b"MZ" + bytes(62), b"\x7fELF", b"text", b""])
def test_what_is_no_program(wherry, content):
    """A clear error, and no traceback."""
    wherry.write("file", content.decode("latin-1"))

    code = wherry.ended("deps", "file")

    assert code >= 1
    assert "Traceback" not in wherry.err
    assert wherry.ended("deps", "none:such") >= 2
    assert wherry.ended("deps", "--fail-on", "nonsense", "file") >= 2


def test_a_library_that_nothing_is_linked_with(wherry):
    """A module that a program would open is judged with a warning; one that is all there is not listed."""
    texts = b"\0libnone.so.1\0libgood.so\0"
    loader = made_elf((14, 1), texts=b"\0ld-linux-x86-64.so.2\0", entry=0)
    stored(
        wherry,
        file("lib64/ld-linux-x86-64.so.2", loader, mode=0o755),
        file("bin/app", made_elf(interpreter="/lib64/ld-linux-x86-64.so.2"), mode=0o755),
        file("usr/lib/bad.so", made_elf((1, 1), (14, texts.index(b"libgood")), texts=texts, entry=0)),
        file("usr/lib/good.so", made_elf((14, texts.index(b"libgood")), texts=texts, entry=0)),
        entrypoint=("/bin/app",),
    )

    one = found(wherry, "app:dev")

    assert [(row["path"], row["kind"]) for row in one["programs"]] == [
        ("/bin/app", "dynamic"), ("/usr/lib/bad.so", "library"),
    ]  # fmt: skip
    text = "\n".join(wherry("deps", "app:dev"))
    assert "1 library that cannot be loaded" in text
    assert "warning: /usr/lib/bad.so: not found: libnone.so.1" in text
    assert "more, which can be loaded" not in text
    (finding,) = one["findings"]
    assert (finding["rule"], finding["severity"], finding["place"]) == (
        "missing-library", "warning", "/usr/lib/bad.so",
    )  # fmt: skip
