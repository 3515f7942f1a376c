"""What pods do, without a cluster: sources go to a real registry, and a worker's process builds and pushes them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gobuild import HELLO
from needs import need
from registries import distribution
from wherry.app.build.build import build
from wherry.app.build.options import DockerfileBuild, GoBuild
from wherry.app.build_artifact import PushedArtifact, push_artifact, tasks_of
from wherry.app.build_contexts import RemoteBuild
from wherry.app.session import Session
from wherry.cluster.build_documents import SOURCE_AT_FAULT, TaskResult
from wherry.errors import InvalidUsage
from wherry.platform import Platform
from wherry.settings.outputs import Output
from wherry.settings.values import Added

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
EPOCH = "1700000000"
"""Else an image of a Dockerfile has the time of its build."""
GO_MOD = "module example.com/hello\n\ngo 1.20\n"


@dataclass
class Cluster:
    """A registry, and where a client and its workers work; there is no Kubernetes in it."""

    host: str
    folder: Path
    count: int = 0

    def session(self, cwd: Path, name: str = "client") -> Session:
        """Give the client's session."""
        return Session(
            store=self.folder / name / "store", cache=self.folder / name / "cache", cwd=cwd,
            environment=self.environment() | ({"SOURCE_DATE_EPOCH": EPOCH} if (cwd / "Dockerfile").exists() else {}),
            home=self.folder,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Give what Go needs; its cache is the machine's, so that the standard library is compiled once."""
        kept = {name: os.environ[name] for name in ("PATH", "GOCACHE", "HOME") if name in os.environ}
        return {**kept, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOENV": "off", "GOTOOLCHAIN": "local"}

    def push(self, cwd: Path, *builds: RemoteBuild, name: str = "t") -> PushedArtifact:
        """Send what builds read."""
        return push_artifact(self.session(cwd), f"{self.host}/demo", builds, name)

    def start(self, artifact: str, index: int = 0, **more: str) -> "Worker":
        """Start a worker, as a pod does."""
        self.count += 1
        home = self.folder / f"pod{self.count}"
        home.mkdir()
        own = {
            **self.environment(),
            "GOFLAGS": "",
            "WHERRY_STORE": str(home / "store"),
            "WHERRY_CACHE": str(home / "c"),
        }
        own |= {"JOB_COMPLETION_INDEX": str(index), **more}
        words = [sys.executable, "-m", "wherry.cli", "worker", "--artifact", artifact]
        words += ["--result", str(home / "result"), "--work", str(home / "work")]
        (home / "result").touch()
        process = subprocess.Popen(
            words, env=own, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return Worker(process, home)

    def work(self, artifact: str, index: int = 0, **more: str) -> "tuple[int, TaskResult]":
        """Run a worker to its end."""
        return self.start(artifact, index, **more).end()


@dataclass
class Worker:
    """A worker at work."""

    process: "subprocess.Popen[str]"
    home: Path

    def end(self) -> tuple[int, TaskResult]:
        """Wait for it; give its exit code and what it left."""
        said, _ = self.process.communicate()
        document = (self.home / "result").read_bytes()
        assert document, said
        return self.process.returncode, TaskResult.parse(document, said)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a registry."""
    folder = tmp_path_factory.mktemp("cluster")
    with distribution(folder / "registry") as registry:
        need("go")
        yield Cluster(registry.host, folder)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a module in a checkout that has a tag, with what no build reads next to it."""
    top = tmp_path_factory.mktemp("checkout")
    folder = top / "services" / "hello"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text(GO_MOD)
    (folder / "main.go").write_text(HELLO)
    (folder / "main_test.go").write_text("package main\n")
    (top / "README").write_text("not read\n")
    git(top, "init", "-q", "-b", "trunk")
    git(top, "remote", "add", "origin", "https://me:secret@git.example/hello.git")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    git(top, "tag", "v1.2.3")
    return folder


def git(folder: Path, *words: str) -> None:
    """Call git as someone."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def go_build(cluster: Cluster, **changes: object) -> RemoteBuild:
    """Ask for the program of the folder, for a platform."""
    fields = {"name": "hello", "wanted": GoBuild(), "repository": f"{cluster.host}/demo", "platforms": (AMD64,)}
    return RemoteBuild(**(fields | changes))  # type: ignore[arg-type] # fields by name


@pytest.mark.slow
def test_a_worker_builds_the_same_image_as_this_machine(cluster: Cluster, module: Path) -> None:
    """The digests are those of a build here, labels of git included."""
    builds = [go_build(cluster, platforms=(AMD64, ARM64))]
    artifact = cluster.push(module, *builds)
    here = build(cluster.session(module, "here"), GoBuild(platforms=(AMD64, ARM64), tags=("hello:here",)))
    wanted = [str(one.image.descriptor.digest) for one in here.images[0].platforms]
    label = here.images[0].platforms[0].image.config.config
    assert label is not None
    assert label.labels["org.opencontainers.image.version"] == "v1.2.3"
    found = [cluster.work(artifact.reference, index) for index in (0, 1)]

    assert [code for code, _ in found] == [0, 0]
    assert [result.digest for _, result in found] == wanted
    first = found[0][1]
    assert (first.task, first.platform, first.steps.ran > 0, first.pulled > 0, first.unpacked > first.pulled) == (
        0, "linux/amd64", True, True, True
    )  # fmt: skip


@pytest.mark.slow
def test_all_that_a_workspace_reads_travels(cluster: Cluster, tmp_path: Path) -> None:
    """Another module of it, embedded files, kodata/ with its modes and links, and files that wherry.toml adds."""
    for name, text in {
        "ws/go.work": "go 1.21\n\nuse ./a\nuse ./lib\n",
        "ws/a/go.mod": "module x.example/a\n\ngo 1.21\n",
        "ws/a/main.go": 'package main\n\nimport "x.example/lib"\n\nfunc main() { println(lib.D) }\n',
        "ws/a/kodata/f": "f",
        "ws/a/wherry.toml": '[build]\nbase = "scratch"\nadd = ["../conf:/etc/conf:0640"]\n\n'
        '[services.a]\npackage = "."\n',
        "ws/lib/go.mod": "module x.example/lib\n\ngo 1.21\n",
        "ws/lib/lib.go": 'package lib\n\nimport _ "embed"\n\n//go:embed data.txt\nvar D string\n',
        "ws/lib/data.txt": "data",
        "ws/conf": "conf",
        "outside": "outside",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "ws" / "a" / "kodata" / "f").chmod(0o600)
    (tmp_path / "ws" / "a" / "kodata" / "link").symlink_to(tmp_path / "outside")
    wanted = GoBuild(packages=("./a",), add=(Added(str(tmp_path / "outside"), "/x/o"),), go_env=(("GOFLAGS", ""),))
    session = cluster.session(tmp_path / "ws", "here")
    here = build(session, replace(wanted, platforms=(AMD64,), tags=("a:here",)))

    artifact = cluster.push(tmp_path / "ws", go_build(cluster, wanted=wanted))
    code, result = cluster.work(artifact.reference)

    assert (code, result.message) == (0, "")
    assert result.digest == here.images[0].digest


def test_the_same_sources_are_sent_once(cluster: Cluster, module: Path) -> None:
    """Another build of them sends its recipe alone; what no build reads is not there."""
    cluster.push(module, go_build(cluster), name="one")
    again = cluster.push(module, go_build(cluster, platforms=(ARM64,)), name="two")
    assert again.sent < 1000
    assert again.size > 0
    assert again.recipe.builds[0].folder == "services/hello"


@pytest.mark.slow
def test_a_compile_error_is_the_sources_fault(cluster: Cluster, tmp_path: Path) -> None:
    """42, and the compiler's words with the file's name as the user knows it."""
    (tmp_path / "go.mod").write_text(GO_MOD)
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    code, result = cluster.work(cluster.push(tmp_path, go_build(cluster)).reference)
    assert code == SOURCE_AT_FAULT
    assert result.fault == "source"
    assert "main.go:3:15: undefined: undefined" in result.message
    assert str(cluster.folder) not in result.message


@pytest.mark.parametrize("words", ["@sha256:" + "0" * 64, ":latest", "@sha256:" + "1" * 64])
def test_an_artifact_that_is_not_there(cluster: Cluster, words: str) -> None:
    """It has a result all the same."""
    code, result = cluster.work(f"{cluster.host}/demo{words}")
    assert code not in {0, 70}
    assert (result.ok, result.task, bool(result.message)) == (False, 0, True)


def test_a_task_that_the_recipe_has_not(cluster: Cluster, module: Path) -> None:
    """The Job has more indexes than the recipe."""
    code, result = cluster.work(cluster.push(module, go_build(cluster)).reference, 7)
    assert code == 65  # EX_DATAERR
    assert "no task 7" in result.message


def test_sigterm_ends_a_worker_at_once(cluster: Cluster, module: Path) -> None:
    """Within a second, with a result that another try can follow; nothing has the task's tag."""
    artifact = cluster.push(module, go_build(cluster, repository=f"{cluster.host}/ended"), name="ended")
    worker = cluster.start(artifact.reference, GOCACHE=str(cluster.folder / "empty"))
    work = worker.home / "work" / "sources"
    while not work.exists() and worker.process.poll() is None:
        time.sleep(0.01)
    worker.process.send_signal(signal.SIGTERM)
    code, result = worker.end()
    assert code == 128 + signal.SIGTERM
    assert (result.fault, result.ok) == ("machine", False)
    repository = cluster.folder / "registry" / "blobs/docker/registry/v2/repositories/ended/_manifests/tags"
    assert not repository.exists()


@pytest.mark.slow
def test_a_dockerfile_is_built_from_its_context(cluster: Cluster, tmp_path: Path) -> None:
    """What .dockerignore leaves out is not sent; a named context is a layer of its own; times and modes stay."""
    context, other = tmp_path / "context", tmp_path / "other"
    for folder in (context, other):
        folder.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nARG WHO\nCOPY . /in/\nCOPY --from=more b /b\nLABEL who=$WHO\n")
    (context / ".dockerignore").write_text("secret\n")
    (context / "secret").write_text("secret")
    (context / "run.sh").write_text("#!/bin/sh\n")
    (context / "run.sh").chmod(0o755)
    (context / "link").symlink_to("run.sh")
    (other / "b").write_text("b")
    outputs = (Output.parse("type=image,rewrite-timestamp=true"),)
    wanted = DockerfileBuild(build_contexts=(f"more={other}",), build_args=("WHO=me",), outputs=outputs)
    here = build(cluster.session(context, "here"), wanted)
    asked = RemoteBuild(name="d", wanted=wanted, repository=f"{cluster.host}/docker", platforms=(AMD64,))

    artifact = cluster.push(context, asked)
    code, result = cluster.work(artifact.reference)

    assert (code, result.message) == (0, "")
    assert result.digest == here.images[0].digest
    names = subprocess.run(
        ["tar", "-t", "--zstd", "-f", "-"], input=layer(cluster, artifact), check=True, capture_output=True, text=False
    ).stdout
    assert b"run.sh" in names
    assert b"secret" not in names


def layer(cluster: Cluster, artifact: PushedArtifact) -> bytes:
    """Read the first context of an artifact."""
    blobs = cluster.folder / "registry" / "blobs/docker/registry/v2/blobs/sha256"
    manifest = json.loads((blobs / artifact.digest[7:9] / artifact.digest[7:] / "data").read_bytes())
    digest = manifest["layers"][artifact.recipe.builds[0].contexts[0]]["digest"]
    return (blobs / digest[7:9] / digest[7:] / "data").read_bytes()


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (DockerfileBuild(secrets=("id=a",)), "--secret"),
        (DockerfileBuild(agents=("default",)), "--ssh"),
        (DockerfileBuild(cache_to=("type=local,dest=x",)), "--cache-to"),
        (DockerfileBuild(build_contexts=("a=oci-layout://x",)), "--build-context"),
        (GoBuild(prove=True), "--prove"),
        (GoBuild(debug_info="x"), "--debug-info"),
    ],
)
def test_what_only_this_machine_has_can_not_travel(cluster: Cluster, module: Path, wanted: GoBuild, word: str) -> None:
    """It is refused before anything is sent."""
    (module.parent / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(InvalidUsage, match=word):
        cluster.push(module if isinstance(wanted, GoBuild) else module.parent, go_build(cluster, wanted=wanted))


def test_tasks_are_numbered_by_build_platform_and_copy(cluster: Cluster) -> None:
    """The completion index of a Job is the place."""
    builds = [go_build(cluster, platforms=(AMD64, ARM64), copies=2), go_build(cluster)]
    assert [(one.build, one.platform, one.copy, one.tag) for one in tasks_of(builds, "x")] == [
        (0, "linux/amd64", 0, "build-x-0"),
        (0, "linux/amd64", 1, "build-x-1"),
        (0, "linux/arm64", 0, "build-x-2"),
        (0, "linux/arm64", 1, "build-x-3"),
        (1, "linux/amd64", 0, "build-x-4"),
    ]
