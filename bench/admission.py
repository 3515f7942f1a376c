"""`make bench-admission`: 200 pods at once on a real Kubernetes, with and without the webhook; prints Markdown.

The cluster is the tests' own, or the one of WHERRY_TEST_CLUSTER (tests/real_cluster.py). Pods are created as dry runs,
each on a connection of its own, all at the same moment; registry, API server, webhook and callers share the machine.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty

from modules import ROOT
from report import machine

sys.path.insert(0, str(ROOT / "tests"))

from admission_server import LABEL, Asked, Serving, at_once, hooks, serving
from cli_shell import Shell
from real_cluster import RealCluster, running_cluster
from registries import CNCF, distribution
from small_images import put_image

PAGE = ROOT / "docs" / "benchmarks-admission.md"
_HEAD = """Written by `make bench-admission`. {pods} pods are created at once, as dry runs, on a Kubernetes of one
node. API server, webhook, registry and callers share the processors; the API server waits 5 s for a webhook, and calls
two for each pod: the mutating hook resolves the tag, the validating hook verifies the signature by key."""
_COLUMNS = (
    "| pods at once | admitted | refused | failed | a pod: median / P99 / most | mutate: median / P99 / most "
    "| validate: median / P99 / most |"
)
_TAIL = """A pod's time is all that its caller waits for: the connection, the API server, both hooks. A hook's time is
from the request to its answer. `failed` counts all else: timeouts of the API server, connections that broke."""


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=200)
    parser.add_argument("--print", action="store_true", help="print the page only")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="wherry-bench-"))
    try:
        with running_cluster() as real, distribution(folder / "registry", program=CNCF, port=real.port(0)) as registry:
            text = page(real, folder, registry.host, asked.pods)
    finally:
        shutil.rmtree(folder)
    if asked.print:
        print(text)
    else:
        PAGE.write_text(text)


def page(real: RealCluster, folder: Path, host: str, pods: int) -> str:
    """Measure all cases."""
    shell = Shell(folder / "home")
    shell.environment["KUBECONFIG"] = str(real.config)
    shell("keys", "new", "--no-password", "-o", "release")
    shell.write("release.toml", '[[rule]]\nname = "for release"\nsigned-by = ["release.pub"]\n')
    one = pushed(shell, host, ["one"])
    signed = pushed(shell, host, [f"signed-{number}" for number in range(pods)])
    unsigned = pushed(shell, host, [f"unsigned-{number}" for number in range(pods)])
    sign(shell, [*one, *signed])
    before = os.getloadavg()[0]
    rows = []
    with real.namespace() as shop, real.namespace() as free:
        real.kubectl("label", "namespace", shop, f"{LABEL}={shop}")
        rows.append(("no webhook, one image", at_once(real, free, one * pods), []))
        real.apply(*hooks(shop, real.port(1)))
        words = ("--policy=release.toml", f"--tls-secret={shop}/tls", f"--webhook={shop}", f"--port={real.port(1)}")
        try:
            with serving(shell, *words) as server:
                for name, images in (
                    ("one image, signed", one * pods), ("the same again", one * pods),
                    (f"{pods} images, signed", signed), ("the same again", signed),
                    (f"{pods} images, not signed", unsigned),
                ):  # fmt: skip
                    list(records(server))
                    rows.append((name, at_once(real, shop, images), list(records(server))))
        finally:
            for kind in ("mutatingwebhookconfiguration", "validatingwebhookconfiguration"):
                real.kubectl("delete", kind, shop, check=False)
    return "\n".join(written(rows, pods, before)) + "\n"


def pushed(shell: Shell, host: str, names: Sequence[str]) -> list[str]:
    """Push images of a few hundred bytes."""
    for name in names:
        shell.store.tag(f"{name}:1", put_image(shell.store, name))
        shell("push", "-q", f"{name}:1", f"{host}/bench/{name}:1")
    return [f"{host}/bench/{name}:1" for name in names]


def sign(shell: Shell, images: Sequence[str]) -> None:
    """Sign them, in both formats."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda image: Shell.ended(shell, "sign", "--key", "release.key", image), images))


def records(server: Serving) -> Iterator[dict[str, object]]:
    """Give the decisions that were logged until now."""
    while True:
        try:
            record = server.records.get(timeout=0.5)
        except Empty:
            return
        if "decision" in record:
            yield record


def written(rows: Sequence[tuple[str, list[Asked], list[dict[str, object]]]], pods: int, load: float) -> Iterator[str]:
    """Write the page."""
    yield f"# The admission webhook\n\n{_HEAD.format(pods=pods)}\n"
    yield from machine(load)
    yield f"\n{_COLUMNS}\n|{'---|' * 7}"
    for name, asked, logged in rows:
        refused = [one for one in asked if "denied the request" in one.refusal]
        failed = [one for one in asked if one.refusal and one not in refused]
        cells = [
            name, str(sum(not one.refusal for one in asked)), str(len(refused)), str(len(failed)),
            " / ".join(times([one.seconds for one in asked])),
            " / ".join(times(seconds(logged, "mutate"))), " / ".join(times(seconds(logged, "validate"))),
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield f"\n{_TAIL}"


def seconds(logged: Sequence[dict[str, object]], endpoint: str) -> list[float]:
    """Give the durations of one hook."""
    return [float(str(one["seconds"])) for one in logged if one["endpoint"] == endpoint]


def times(found: Sequence[float]) -> tuple[str, str, str]:
    """Give median, P99 and the longest."""
    if not found:
        return "–", "–", "–"
    ordered = sorted(found)
    shown = statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], ordered[-1]
    first, second, third = (f"{one * 1000:.0f} ms" if one < 10 else f"{one:.1f} s" for one in shown)
    return first, second, third


if __name__ == "__main__":
    main()
