"""`wherry build --on kubernetes` against an API server of the test's own, whose pods do as a script says."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

import wherry
from cli_shell import Shell
from kube_jobs import JobController, PodScript
from kube_server import KubeFake, kube_server
from registries import Running, distribution, free_port
from small_images import put_image
from wherry.cluster.build_run import ClusterRun
from wherry.errors import InvalidDocument
from wherry.platform import Platform
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow
PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[Running]:
    """A registry."""
    with distribution(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(scope="module")
def pushed(tmp_path_factory, registry) -> dict[str, str]:
    """What pods would push: digests by platform, and of another image of the first."""
    shell = Shell(tmp_path_factory.mktemp("pods") / "shell")
    store, digests = DiskStore(shell.root / "store"), {}
    for text in (*PLATFORMS, "other"):
        platform = Platform.parse(text if text != "other" else PLATFORMS[0])
        root = put_image(store, text, platform)
        store.tag(f"{registry.host}/team/app:part-{text.replace('/', '-')}", root)
        shell("push", f"{registry.host}/team/app:part-{text.replace('/', '-')}")
        digests[text] = str(root.digest)
    return digests


@dataclass
class World:
    """A module, a registry, and a cluster."""

    shell: Shell
    fake: KubeFake
    controller: JobController
    host: str

    def build(self, *words: str, code: int = 0) -> list[str]:
        """Build the module in the cluster."""
        name = f"{self.host}/team/app:v1"
        return self.shell("build", "--on", "kubernetes", "--progress", "plain", "-t", name, *words, code=code)

    def left(self) -> list[str]:
        """Name what is in the namespace."""
        return [f"{kind}/{name}" for kind, _, name in self.fake.objects.rows if kind != "events"]

    def tags(self) -> list[str]:
        """Name the tags that are not the test's own."""
        found = self.shell("tags", f"{self.host}/team/app")
        return [tag for tag in found if not tag.startswith("part-")]


def good(pushed: dict[str, str], index: int, platform: str, *, digest: str = "") -> PodScript:
    """Give a pod that builds a platform."""
    return PodScript(
        result={
            "version": 1, "ok": True, "task": index, "platform": platform, "digest": digest or pushed[platform],
            "size": 1, "pulled": 1234, "seconds": 1.5, "go": "go1.26.8",
        },
        log=b"2026-11-29T12:00:00.000000001Z compiling\n",
    )  # fmt: skip


@pytest.fixture
def world(tmp_path, registry, pushed) -> Iterator[World]:
    """A world whose pods build what they should."""
    shell = Shell(tmp_path / "shell")
    shell.module()
    shell.write(
        "wherry.toml",
        '[build]\nplatforms = ["linux/arm64", "linux/amd64"]\n[kubernetes]\nbuilder = "builder:1"\nmemory = "1Gi"\n',
    )
    controller = JobController(lambda index, _, platform: good(pushed, index, platform))
    with kube_server(tmp_path) as fake:
        fake.hooks.append(controller.hook)
        shell.environment["KUBECONFIG"] = str(fake.config)
        yield World(shell, fake, controller, registry.host)


def test_a_build(world, pushed):
    """Platforms become one index in the order of a build here, under its name; nothing else is left anywhere."""
    pods, copied = Shell(world.shell.root / "pods"), f"{world.host}/team/app@{pushed[PLATFORMS[0]]}"

    def tagged() -> None:
        for task in json.loads(world.controller.jobs[0]["metadata"]["annotations"]["wherry.dev/run"])["tasks"]:
            pods("copy", copied, f"{world.host}/team/app:{task['tag']}")

    script = world.controller.script
    world.controller.script = lambda index, *words: replace(script(index, *words), before=None if index else tagged)
    (printed,) = world.build()
    said = world.shell.err

    index = json.loads("\n".join(world.shell("inspect", "--raw", "manifest", printed)))
    assert [one["digest"] for one in index["manifests"]] == [pushed[platform] for platform in PLATFORMS]
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]
    assert world.left() == []
    assert world.tags() == ["v1"]
    assert "compiling" in said
    (call,) = json.loads("\n".join(world.shell("history", "--json")))["calls"]
    assert {one["platform"]: one["digest"] for one in call["images"]} == {name: pushed[name] for name in PLATFORMS}
    assert {one["root"] for one in call["images"]} == {printed.rpartition("@")[2]}


def test_the_job(world):
    """Its pods pass "restricted"; what is wrong with sources is not tried again, and evictions cost no try."""
    world.build("--parallelism", "1", "--verify")
    (job,) = world.controller.jobs
    spec, pod = job["spec"], job["spec"]["template"]["spec"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 1)
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailIndex"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    assert pod["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "ScheduleAnyway"
    assert "built twice on node-1, in different directories, identical" in world.shell.err


def test_two_builds_that_differ(world, pushed):
    """They stop the push, and the first difference is named; the name stays what it was."""
    world.build()
    before = world.shell("inspect", "--json", f"docker://{world.host}/team/app:v1")
    world.controller.script = lambda index, _, platform: good(
        pushed, index, platform, digest=pushed["other"] if index == 1 else ""
    )
    world.build("--verify", code=1)
    said = world.shell.err

    assert "linux/amd64: built twice" in said
    assert "hello.txt" in said
    assert world.shell("inspect", "--json", f"docker://{world.host}/team/app:v1") == before
    assert world.left() == []


@pytest.mark.parametrize(
    ("script", "said", "hint", "tries"),
    [
        (
            PodScript(
                {
                    "version": 1, "ok": False, "task": 1, "platform": "linux/arm64", "fault": "source",
                    "message": "./main.go:3:1: undefined: x\nerror: forged", "hint": "",
                },
                42,
            ),
            "linux/arm64: ./main.go:3:1: undefined: x\n  error: forged", "", 1,
        ),
        (PodScript(exit_code=137, reason="OOMKilled"), "out of memory: it had 1Gi", 'memory = "2Gi"', 5),
        (PodScript("no JSON", 3), "the pod failed: exit code 3 (5 tries)", "the log above", 5),
        (
            PodScript({
                "version": 1, "ok": True, "task": 1, "platform": "linux/arm64", "digest": f"sha256:{'a' * 64}",
            }),
            "linux/arm64: what its pod pushed is not in", "registry below [kubernetes]", 1,
        ),
        (PodScript("no JSON", 0), "left no result", "take a builder", 1),
        (
            PodScript(stuck={"phase": "Pending", "containerStatuses": [
                {"name": "build", "state": {"waiting": {"reason": "ErrImagePull", "message": "builder:1: not found"}}}
            ]}),
            "the builder can't be pulled: builder:1: not found", "pull-secrets", 1,
        ),
    ],
    ids=["source", "memory", "exit", "absent", "result", "pull"],
)  # fmt: skip
def test_what_goes_wrong(world, pushed, script, said, hint, tries):
    """It is said with what to do; names stay, and nothing is left."""
    world.controller.script = lambda index, _, platform: script if index == 1 else good(pushed, index, platform)
    before = world.tags()
    code = world.shell.ended("build", "--on", "kubernetes", "-t", f"{world.host}/team/app:v2")

    assert code == 2, world.shell.err
    assert said in world.shell.err
    assert hint in world.shell.err
    assert world.controller.tries[1] <= tries
    assert world.left() == []
    assert world.tags() == before


def test_a_try_that_fails(world, pushed):
    """It is tried again, and its index has the result of the try that worked."""
    world.controller.script = lambda index, number, platform: (
        PodScript(exit_code=143) if (index, number) == (1, 1) else good(pushed, index, platform)
    )
    world.build()

    assert "it was asked to end" in world.shell.err
    assert world.controller.tries == {0: 1, 1: 2}


def test_rights(world):
    """What the user may not is named before anything is sent or created."""
    world.fake.forbidden |= {("create", "jobs.batch"), ("get", "pods/log")}
    world.build(code=77)

    assert "may not create jobs.batch" in world.shell.err
    assert "kubectl create role" in world.shell.err
    assert not [path for method, path in world.fake.requests if method == "POST" and "accessreviews" not in path]
    world.fake.forbidden.discard(("create", "jobs.batch"))
    world.build()
    assert "without the right to get pods/log" in world.shell.err


def test_a_server_that_goes_away(world, pushed):
    """An API server that hangs up and answers 503 delays a build, and loses nothing of it."""

    def restart() -> None:
        world.fake.faults += [503, 0, 503]
        world.fake.hang_up()

    world.controller.script = lambda index, _, platform: replace(
        good(pushed, index, platform), before=restart if index == 0 else None
    )
    world.build()

    assert world.left() == []


def test_a_registry_that_goes_away(world, pushed, tmp_path):
    """What pods built is kept, and the build is ended once it is back."""
    port = free_port()
    host = f"127.0.0.1:{port}"
    pods = Shell(tmp_path / "pods")

    def push() -> None:
        for platform in PLATFORMS:
            root = put_image(pods.store, platform, Platform.parse(platform))
            pods.store.tag(f"{host}/team/app:part", root)
            pods("push", f"{host}/team/app:part")

    with ExitStack() as stack:
        stack.enter_context(distribution(tmp_path / "r", port=port))
        push()
        script = world.controller.script
        world.controller.script = lambda index, *words: replace(
            script(index, *words), before=stack.close if index == 1 else None
        )
        words = ("build", "--on", "kubernetes", "--timeout", "0s", "-t", f"{host}/team/app:v1")
        world.shell(*words, code=69)
    said = world.shell.err
    with distribution(tmp_path / "r", port=port):
        (name,) = [name for kind, _, name in world.fake.objects.rows if kind == "jobs.batch"]
        (printed,) = world.shell("build", "--attach", name)

    assert f"--attach {name}" in said
    assert printed.startswith(f"{host}/team/app:v1@")
    assert world.left() == []


def test_detached(world):
    """A build without its client is picked up by its name, by any."""
    world.controller.script, script = (lambda *_: PodScript(stuck={"phase": "Pending"})), world.controller.script
    (name,) = world.build("--suspend", "--queue", "team", "--detach")
    job = world.fake.objects.get("jobs.batch", "shop", name)
    world.controller.script = script
    world.fake.tell("jobs.batch", {**job, "spec": {**job["spec"], "suspend": False}})
    (printed,) = world.shell("build", "--attach", name)

    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert printed.startswith(f"{world.host}/team/app:v1@sha256:")
    assert (world.left(), world.tags()) == ([], ["v1"])
    world.shell("build", "--attach", name, code=66)


def test_called_from_python(world, pushed):
    """The verb does what the command does; what a caller names counts before wherry.toml."""
    session = wherry.Session(
        store=world.shell.root / "store", cache=world.shell.root / "cache", cwd=world.shell.root,
        environment=world.shell.environment,
    )  # fmt: skip
    wanted = wherry.GoBuild(tags=(f"{world.host}/team/app:v1",))

    built = wherry.build_on_kubernetes(wanted, wherry.ClusterOptions(namespace="other"), session=session)

    assert isinstance(built, wherry.BuildResult)
    assert [str(one.platform) for one in built.images[0].platforms] == list(PLATFORMS)
    assert world.controller.jobs[0]["metadata"]["namespace"] == "other"


def test_a_job_that_names_what_is_not_its_own(world, pushed):
    """Who attaches to a Job deletes what the build left, and nothing else that the Job may name."""
    world.controller.script = lambda *_: PodScript(stuck={"phase": "Pending"})
    (name,) = world.build("--suspend", "--detach")
    assert "in a pod this is the pod itself" in world.shell.err
    job = world.fake.objects.get("jobs.batch", "shop", name)
    run = json.loads(job["metadata"]["annotations"]["wherry.dev/run"])

    def says(**changes: object) -> None:
        annotations = {"wherry.dev/run": json.dumps({**run, **changes})}
        world.fake.objects.change("jobs.batch", "shop", name, {"metadata": {"annotations": annotations}})

    says(tasks=[{**task, "tag": "part-linux-amd64"} for task in run["tasks"]])
    world.shell("build", "--attach", name, code=65)
    says(artifact=f"{world.host}/team/app@{pushed['linux/amd64']}")
    world.controller.script = lambda *_: PodScript(exit_code=42)
    changed = world.fake.objects.get("jobs.batch", "shop", name)
    world.fake.tell("jobs.batch", {**changed, "spec": {**job["spec"], "suspend": False}})
    world.shell("build", "--attach", name, code=2)

    assert world.left() == []
    assert "part-linux-amd64" in world.shell("tags", f"{world.host}/team/app")


def test_print(world):
    """The manifest is printed, and nothing is created."""
    import yaml

    printed = "\n".join(world.build("--print", "--namespace", "other"))
    (job,) = yaml.safe_load_all(printed)

    assert (job["kind"], job["metadata"]["namespace"]) == ("Job", "other")
    assert "wherry build --attach" in world.shell.err
    assert world.fake.requests == []


def test_credentials(world, registry):
    """The user's credentials go into a Secret that the Job owns; the Job starts once it is there."""
    world.shell.write(".docker/config.json", json.dumps({"auths": {registry.host: {"auth": "bWU6c2VjcmV0"}}}))
    seen: list[dict] = []
    world.fake.hooks.append(lambda _, kind, document: seen.append(document) if kind == "secrets" else None)
    world.build()
    (job,) = world.controller.jobs

    assert seen[0]["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert "c2VjcmV0" not in json.dumps(job)
    assert world.left() == []


def test_budgets(world):
    """They are judged on this machine, before a name of a registry changes."""
    before = world.tags()
    file = world.shell.root / "wherry.toml"
    file.write_text(file.read_text() + '[budgets]\npulled = "1B"\n')
    world.shell("build", "--on", "kubernetes", "-t", f"{world.host}/team/app:heavy", code=1)

    assert "budget" in world.shell.err
    assert (world.tags(), world.left()) == (before, [])


RUNS = "FROM scratch\nRUN true\n"


@pytest.mark.parametrize(("level", "code"), [("restricted", 69), ("privileged", 0)])
def test_steps_that_run_programs(world, level, code):
    """RUN needs a namespace that permits it; that is found out before anything is sent or created."""
    labels = {"pod-security.kubernetes.io/enforce": level}
    world.fake.objects.put("namespaces", {"metadata": {"name": "shop", "labels": labels}})
    world.shell.write("image/Dockerfile", RUNS)
    world.shell.write("image/wherry.toml", '[build]\nplatforms = ["linux/amd64", "linux/arm64"]\n')
    world.build("image", code=code)

    if code:
        assert "seccompProfile" in world.shell.err
        assert "--go" in world.shell.err
        assert world.controller.jobs == []
    else:
        context = world.controller.jobs[0]["spec"]["template"]["spec"]["containers"][0]["securityContext"]
        assert context["seccompProfile"] == {"type": "Unconfined"}


@pytest.mark.parametrize(
    "words",
    [["--verify"], ["--on", "kubernetes"], ["--on", "kubernetes", "--no-push", "--builder", "x"],
     ["--on", "kubernetes", "--builder", "x", "--platform", "all"], ["--on", "kubernetes", "--print", "--detach"]],
)  # fmt: skip
def test_usage(tmp_path, words):
    """What does not fit together is refused before a cluster is asked."""
    shell = Shell(tmp_path / "shell")
    shell.module()

    shell("build", *words, "-t", "localhost:1/app", code=64)


RUN = {
    "version": 1, "name": "app-12345678", "artifact": "r/a@sha256:1", "tag": "wherry-build-app-12345678",
    "memory": "1Gi",
    "images": [{"names": ["r/a:1"], "repository": "r/a", "title": "a"}],
    "tasks": [{"image": 0, "platform": "linux/amd64", "tag": "build-app-12345678-0"}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda run: {**run, "version": 2},
        lambda run: {**run, "images": []},
        lambda run: {**run, "tasks": [{**run["tasks"][0], "image": 7}]},
        lambda run: {**run, "images": [{**run["images"][0], "names": []}]},
        lambda run: {**run, "tasks": "x"},
        lambda run: {**run, "tag": "v1"},
        lambda run: {**run, "tasks": [{**run["tasks"][0], "tag": "v1"}]},
        lambda run: {**run, "tasks": [{**run["tasks"][0], "tag": "build-app-12345678-1"}]},
        lambda run: {**run, "tasks": [{**run["tasks"][0], "platform": "linux/\x1b[31m"}]},
        lambda run: {**run, "images": [{**run["images"][0], "title": "a\nb"}]},
        lambda _: [[[]]],
    ],
)
def test_foreign_annotations(change: Callable[[dict], object]):
    """A Job's annotation that is no build of wherry is refused."""
    assert ClusterRun.parse(json.dumps(RUN), "job/x").tasks[0].platform == "linux/amd64"
    with pytest.raises(InvalidDocument):
        ClusterRun.parse(json.dumps(change(RUN)), "job/x")
