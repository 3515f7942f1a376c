"""The client of a Kubernetes API server, against one of the test's own that restarts, forgets and refuses."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from kube_server import TOKEN, KubeFake, kube_server
from wherry.app.clusters import cluster
from wherry.app.session import Session
from wherry.cluster.kube_api import KubeSelection, KubeServer
from wherry.cluster.kube_errors import KubeRefused, refused
from wherry.cluster.kube_resources import CONFIG_MAPS, JOBS, PODS
from wherry.cluster.kube_watch import KubeEvent
from wherry.errors import InvalidSettings

pytestmark = pytest.mark.slow
SHOP = KubeSelection(namespace="shop")


@pytest.fixture
def fake(tmp_path) -> Iterator[KubeFake]:
    """An API server."""
    with kube_server(tmp_path) as started:
        yield started


@pytest.fixture
def server(fake, tmp_path) -> KubeServer:
    """A client of it, found as kubectl finds it."""
    session = Session(
        store=tmp_path / "store", cache=tmp_path / "cache", cwd=tmp_path, environment={"KUBECONFIG": str(fake.config)}
    )
    return cluster(session, patience=10).server


def settings(name: str, **data: str) -> dict:
    """Give a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"of": "test"}}, "data": data}


class Heard:
    """What a watch said, collected in a thread."""

    def __init__(self, server: KubeServer, selection: KubeSelection = SHOP) -> None:
        self.events: list[KubeEvent] = []
        self.lost: list[KubeRefused] = []
        self._more = threading.Condition()
        self.watch = server.watch(CONFIG_MAPS, selection, lost=self.lost.append)
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        for event in self.watch:
            with self._more:
                self.events.append(event)
                self._more.notify_all()

    def until(self, done: Callable[[list[str]], bool]) -> list[str]:
        """Wait for words such as `ADDED a`."""
        with self._more:
            assert self._more.wait_for(lambda: done(self.words()), timeout=30), self.words()
        return self.words()

    def words(self) -> list[str]:
        """Give what was heard."""
        return [f"{one.kind} {one.document.get('metadata', {}).get('name', '')}".strip() for one in self.events]

    def end(self) -> None:
        """Stop it, from another thread than its own."""
        self.watch.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_objects(server, fake):
    """Objects are created, read, listed a page at a time, changed and deleted; what is not there is None or False."""
    for number in range(5):
        server.create(CONFIG_MAPS, "shop", settings(f"m{number}"))
    server.patch(CONFIG_MAPS, "shop", "m1", {"data": {"a": "1"}})
    server.patch(CONFIG_MAPS, "shop", "applied", settings("applied"), kind="apply")

    assert server.get(CONFIG_MAPS, "shop", "m1")["data"] == {"a": "1"}
    assert [one["metadata"]["name"] for one in server.list(CONFIG_MAPS, SHOP, page=2)] == [
        "applied", "m0", "m1", "m2", "m3", "m4",
    ]  # fmt: skip
    assert sum("limit=2" in path for _, path in fake.requests) == 3
    assert server.delete(CONFIG_MAPS, "shop", "m0")
    assert not server.delete(CONFIG_MAPS, "shop", "m0")
    assert server.find(CONFIG_MAPS, "shop", "m0") is None
    with pytest.raises(KubeRefused) as caught:
        server.create(CONFIG_MAPS, "shop", settings("m1"))
    assert caught.value.conflict


def test_watch(server, fake):
    """What is there comes first, then each change; a lost connection and a forgotten history lose nothing."""
    server.create(CONFIG_MAPS, "shop", settings("a"))
    heard = Heard(server)
    heard.until(lambda words: words == ["ADDED a", "SYNCED"])
    server.create(CONFIG_MAPS, "shop", settings("b"))
    heard.until(lambda words: words[-1] == "ADDED b")
    fake.hang_up()
    server.patch(CONFIG_MAPS, "shop", "b", {"data": {"x": "1"}})
    heard.until(lambda words: words[-1] == "MODIFIED b")
    with fake.objects.changed:  # while the watch can't be told
        fake.objects.delete("configmaps", "shop", "a")
        fake.objects.create("configmaps", "shop", settings("c"))
        fake.objects.forget()
    words = heard.until(lambda words: len(words) == 6)
    heard.end()

    assert sorted(words[4:]) == ["ADDED c", "DELETED a"]


def test_server_that_is_away(server, fake):
    """A watch bears a server that is busy or hangs up, and says so once; requests are made again."""
    heard = Heard(server)
    heard.until(lambda words: words == ["SYNCED"])
    fake.faults += [503, 0]
    fake.hang_up()
    server.create(CONFIG_MAPS, "shop", settings("a"))
    heard.until(lambda words: words == ["SYNCED", "ADDED a"])
    heard.end()

    assert len(heard.lost) <= 1
    fake.faults.append(0)
    assert server.create(CONFIG_MAPS, "shop", settings("b"))["metadata"]["name"] == "b"
    assert [one["metadata"]["name"] for one in server.list(CONFIG_MAPS, SHOP)] == ["a", "b"]


def test_rights(server, fake):
    """What the user may is asked without doing it; a refusal names the right that is missing."""
    fake.forbidden.add(("create", "jobs.batch"))

    assert not server.may("create", JOBS, "shop").allowed
    assert server.may("get", PODS, "shop", sub="log").allowed
    with pytest.raises(KubeRefused) as caught:
        server.create(JOBS, "shop", {"metadata": {"name": "j"}})
    assert "--verb=create --resource=jobs.batch" in caught.value.hint
    assert (caught.value.status, caught.value.passing) == (403, False)


@pytest.mark.parametrize(
    "message",
    [
        'admission webhook "judge.shop.svc" denied the request: not signed',
        "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'pin' with binding 'pin' denied request: no digest",
    ],
)
def test_a_policy_that_refuses(message):
    """Who is refused by a policy has no right to ask for."""
    body = json.dumps({"kind": "Status", "message": message, "reason": "Forbidden"}).encode()

    assert "a policy of the cluster refuses it" in refused("api:6443", 403, "Forbidden", body).hint


def test_logs(server, fake):
    """A log is followed until its pod ends."""
    fake.put_pod({"metadata": {"name": "p", "namespace": "shop"}, "status": {"phase": "Running"}})
    fake.logs["p"] = b"one\n"
    lines = server.logs("shop", "p").lines()
    first = next(lines)
    fake.logs["p"] += b"two\n"
    fake.objects.change("pods", "shop", "p", {"status": {"phase": "Succeeded"}})

    assert [first, *lines] == [b"one\n", b"two\n"]


@pytest.mark.parametrize("token", ["a\\r\\nX-Evil: 1", "t\\u00f6ken"])
def test_a_token_that_no_header_can_have(fake, tmp_path, token):
    """It is an error with a next step, and is not shown."""
    config = tmp_path / "config"
    config.write_text(fake.config.read_text().replace(TOKEN, token))
    found = cluster(Session.of({"HOME": str(tmp_path), "KUBECONFIG": str(config)}, cwd=tmp_path))

    with pytest.raises(InvalidSettings) as caught:
        list(found.server.list(PODS, SHOP))
    assert caught.value.message == "the token for the cluster has letters that HTTP can't carry"
    assert fake.requests == []


def test_token_that_rotates(server, fake, tmp_path):
    """In a pod the token is read again, so one that is replaced counts at once."""
    account = tmp_path / "account"
    account.mkdir()
    config = fake.config.read_text()
    (account / "ca.crt").write_bytes((tmp_path / "certificates" / "ca.pem").read_bytes())
    (account / "token").write_text("an-old-one")
    (account / "namespace").write_text("shop\n")
    host, port = fake.url.removeprefix("https://").split(":")
    session = Session(
        store=tmp_path / "s", cache=tmp_path / "c", cwd=tmp_path,
        environment={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
    )  # fmt: skip
    found = cluster(session, account=account)
    with pytest.raises(KubeRefused) as caught:
        list(found.server.list(PODS, SHOP))
    (account / "token").write_text(f"{TOKEN}\n")

    assert config
    assert caught.value.status == 401
    assert (found.namespace, list(found.server.list(PODS, SHOP))) == ("shop", [])
