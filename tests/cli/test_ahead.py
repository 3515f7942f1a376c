"""The compiler that is started by the last build's plan: taken where the plan asks for it, and never believed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from needs import need
from wherry.app.build.go_work import GoRequest, GoRequests
from wherry.cli import ahead, replay
from wherry.cli.ahead import EarlyCompiler
from wherry.cli.ahead_runner import AheadRunner
from wherry.host.process import Command
from wherry.pipeline import BuildSetup, build
from wherry.platform import Platform
from wherry.source.module import find_main
from wherry.store.disk import DiskStore

MAIN = 'package main\n\nvar word = "one"\n\nfunc main() { println(word) }\n'


@pytest.fixture
def module(tmp_path):
    """A module of one file, and the environment of Go."""
    need("go")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
    (tmp_path / "app" / "main.go").write_text(MAIN)
    return tmp_path / "app"


def _environment(module):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO"))}
    cache = {"WHERRY_STORE": str(module.parent / "store"), "WHERRY_CACHE": str(module.parent / "cache")}
    return {**environment, "GOENV": "off", "GOTOOLCHAIN": "local", **cache}


def _call(module, *words, **variables):
    program = [sys.executable, "-m", "wherry", "build", "--base=scratch", "-q", "--no-vcs", *words]
    environment = {**_environment(module), **variables}
    return subprocess.run(program, check=False, cwd=module, env=environment, capture_output=True, text=True)


def _known(module):
    (file,) = (module.parent / "cache" / "calls").glob("*.go")
    return file


@pytest.mark.slow
def test_a_second_call_takes_what_was_started_ahead(module):
    """An edit gives the program of the edit, Go is started once, and no file of the first start is left."""
    assert _call(module).returncode == 0
    started = module.parent / "started"
    wrapped = module.parent / "bin" / "go"
    wrapped.parent.mkdir()
    wrapped.write_text(f'#!/bin/sh\necho "$1" >> {started}\nexec {need("go")} "$@"\n')
    wrapped.chmod(0o755)
    path = f"{wrapped.parent}{os.pathsep}{os.environ['PATH']}"
    assert _call(module, PATH=path).returncode == 0
    started.unlink()

    (module / "main.go").write_text(MAIN.replace("one", "two"))
    ahead_of = _call(module, PATH=path).stdout

    assert started.read_text().split().count("build") == 1
    assert ahead_of == _call(module, "--no-cache").stdout
    assert list((module.parent / "cache" / "link").iterdir()) == []


@pytest.mark.slow
def test_a_failure_ahead_is_met_again_where_it_counts(module):
    """What does not compile says so as it always does; mended, it builds."""
    assert _call(module).returncode == 0
    (module / "main.go").write_text(MAIN.replace("println(word)", "println(wrong)"))
    first, second = _call(module), _call(module, "--progress=plain")
    assert (first.returncode, second.returncode) == (65, 65)
    assert "undefined: wrong" in first.stderr

    (module / "main.go").write_text(MAIN.replace("one", "three"))
    assert _call(module).stdout == _call(module, "--no-cache").stdout
    assert list((module.parent / "cache" / "link").iterdir()) == []


@pytest.mark.slow
def test_values_that_may_be_secret_are_written_down_nowhere(module):
    """What -X sets is quoted from the command line or wherry.toml: the file has neither value."""
    secret = "correct-horse-battery"  # noqa: S105 - it opens nothing
    (module / "main.go").write_text(MAIN.replace('word = "one"', "word, other string"))
    (module / "wherry.toml").write_text(f'[build]\nldflags = "-X main.other={secret}"\n')
    flags = f"--ldflags=-X main.word={secret}"
    assert _call(module).returncode == 0
    assert secret.encode() not in _known(module).read_bytes()
    assert _known(module).stat().st_mode & 0o077 == 0
    _known(module).unlink()

    assert _call(module, flags).returncode == 0
    assert secret.encode() not in _known(module).read_bytes()
    assert ahead.written(ahead.quoted("a b c", "b", ["x", "yb"], []), ["x", "yb"]) == "a b c"
    with pytest.raises(LookupError):
        ahead.written(ahead.quoted("a b c", "b", ["x", "yb"], []), ["x", "yc"])
    assert ahead.quoted("a b c", "b", ["x"], ["/absent"]) is None


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: text[:20] + b"?" + text[21:], lambda _: b""])
def test_a_damaged_plan_counts_as_none(tmp_path, damage):
    """Nothing is started by it."""
    known = {"words": [["go"]], "output": 0, "folder": "/", "set": {}, "left_out": []}
    ahead.write(str(tmp_path), "k" * 64, known)
    assert ahead.read(str(tmp_path), "k" * 64) == known
    with pytest.raises(LookupError):
        ahead.read(str(tmp_path), "k" * 32 + "other")
    (file,) = (tmp_path / replay.FOLDER).iterdir()

    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises((LookupError, EOFError, ValueError, TypeError)):
        ahead.read(str(tmp_path), "k" * 64)


def _compiler(module, environment):
    words = ("go", "build", "-v", "-trimpath", "-ldflags=-s", "-buildvcs=false", "-o", "app", ".")
    goes = {**environment, "PWD": str(module), "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64", "GOAMD64": "v1"}
    return EarlyCompiler((need("go"), *words[1:]), 7, str(module), goes)


@pytest.mark.slow
def test_an_edit_after_the_start_ahead_is_seen_next_time(module):
    """The program is of the text before: its record must not be found for the text after."""
    environment = _environment(module)

    def built(runner=None, *, cache=True):
        setup = BuildSetup(
            store=DiskStore(module.parent / "store"), cache=module.parent / "cache", environment=environment,
            use_cache=cache, **({"runner": runner} if runner else {}),
        )  # fmt: skip
        request = GoRequest(
            package=find_main(module), names=("app:test",), platforms=(Platform("linux", "amd64"),), base="scratch",
            stamp=False,
        )  # fmt: skip
        result = build(setup, GoRequests((request,))).result
        return result.images[0].root.digest, result.unchanged

    first, _ = built()
    compiler = _compiler(module, environment)
    compiler.start(str(module.parent / "cache"))
    while not Path(compiler.program).exists():  # it has read its sources once the program is there
        time.sleep(0.01)
    (module / "main.go").write_text(MAIN.replace("one", "two"))
    taken, _ = built(AheadRunner(compiler, environment))
    compiler.stop()
    assert taken == first  # so the result was taken; a build a moment earlier would have given the same

    after, unchanged = built()
    assert not unchanged
    assert after == built(cache=False)[0] != first


@pytest.mark.slow
def test_another_command_than_the_plans_is_ended(module):
    """Other words, another folder or another environment: the result is not taken."""
    environment = _environment(module)
    compiler = _compiler(module, environment)
    compiler.start(str(module.parent / "cache"))
    runner = AheadRunner(compiler, environment)
    place = module.parent / "cache" / "link" / "other" / "app"
    place.parent.mkdir()
    command = Command((*compiler.words[:7], str(place), "."), module, compiler.environment)

    for other in (
        Command((*command.argv[:-1], "./."), command.cwd, command.environment),
        Command(command.argv, command.cwd, {**command.environment, "GOFLAGS": "-tags=a"}),
        Command((command.argv[0], "build", "-v", "-race", *command.argv[4:]), command.cwd, command.environment),
    ):
        assert runner.run(other).began == 0
    assert runner.run(command).began == compiler.began > 0
    assert place.exists()
    assert runner.run(command).began == 0  # it is taken once
    compiler.stop()
    assert [path.name for path in place.parent.parent.iterdir()] == ["other"]

    unused = _compiler(module, environment)
    unused.start(str(module.parent / "cache"))
    unused.stop()
    assert [path.name for path in place.parent.parent.iterdir()] == ["other"]


@pytest.mark.slow
def test_a_warning_of_the_list_is_given_after_each_edit(module):
    """Files that cgo would read are named by each build, not only by the one that listed them."""
    (module / "uses.go").write_text('package main\n\nimport "C"\n')
    for word in ("one", "two", "three"):
        (module / "main.go").write_text(MAIN.replace("one", word))
        time.sleep(0.03)  # else it counts as changed while the compiler runs
        environment = {**_environment(module), "CGO_ENABLED": "0"}
        program = [sys.executable, "-m", "wherry", "build", "--base=scratch", "--no-vcs", "--progress=plain"]
        done = subprocess.run(program, check=True, cwd=module, env=environment, capture_output=True, text=True)
        assert "uses.go" in done.stderr
