"""`wherry watch`: what a cluster does with images, as lines of a history and as metrics."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from wherry.app.clusters import Cluster
    from wherry.app.watching import WatchOptions
    from wherry.history.entry import CallFigures

_EACH = 5.0
"""Seconds between two writes of the metrics' file."""


@click.command("watch", cls=GroupedCommand)
@click.option("-n", "--namespace", default="", metavar="NAME", help="Namespace to watch. [default: the context's]")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Watch the pods of every namespace.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="Watch only pods with these labels: a=b,!c.")
@click.option("--context", default="", metavar="NAME", help="kubectl's context. [default: the one in use]")
@click.option("--once", is_flag=True, help="Take what the cluster has now, and end.")
@click.option("--for", "span", default="", metavar="TIME", help="End after this time, such as 10m. [default: never]")
@click.option("-o", "--output", default="", metavar="FILE", help="Append the lines of a history to FILE.")
@click.option("--metrics", default="", metavar="FILE", help="Keep Prometheus metrics in FILE.")
@click.option("--listen", default="", metavar="HOST:PORT", help="Serve /metrics and /healthz, as on 127.0.0.1:9477.")
@click.option("--kubelets", is_flag=True, help="Read kubelets' own pull histograms: needs get of nodes/proxy.")
@click.option("--print-rbac", is_flag=True, help="Print the least rights that this watch needs, as YAML.")
@click.option("--print", "prints", is_flag=True, help="Print those and a Deployment that watches, as YAML.")
@click.option("--image", default="", metavar="IMAGE", help="--print: an image that has wherry.")
@click.option("-q", "--quiet", is_flag=True, help="Print no notes and no summary: figures and errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON lines of a history.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    namespace: str,
    everywhere: bool,
    selector: str,
    context: str,
    once: bool,
    span: str,
    output: str,
    metrics: str,
    listen: str,
    kubelets: bool,
    print_rbac: bool,
    prints: bool,
    image: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Watch how a cluster pulls, starts, kills and restarts containers, by image digest.

    It prints a line for each image that a node pulled, for each container that ended badly or was restarted, and for
    each pod that got ready. --json and -o FILE give the lines of a history, which is imported by `wherry history`; what
    is seen twice has the same id, so it counts once.

    It only reads, and asks for its rights first. --kubelets needs a right by which its holder could run commands in
    pods too, so it is never part of the others.
    """
    from wherry.app.watching import WatchOptions
    from wherry.settings.sizes import parse_duration

    if everywhere and namespace and not (prints or print_rbac):
        raise InvalidUsage("-A and --namespace: both choose the pods", hint="choose one")
    if once and (span or listen):
        raise InvalidUsage("--once ends at once", hint="leave out --for and --listen")
    if image and not prints:
        raise InvalidUsage("--image is for --print", hint="add --print")
    if prints or print_rbac:
        _print(world, namespace, everywhere=everywhere, labels=selector, kubelets=kubelets, once=once,
               image=image if prints else None)  # fmt: skip
        return
    options = WatchOptions(
        everywhere=everywhere, labels=selector, once=once, kubelets=kubelets,
        seconds=parse_duration(span, "--for") if span else None,
    )  # fmt: skip
    from wherry.app.clusters import cluster

    _watch(world, cluster(world, context=context, namespace=namespace), options, output=output, metrics=metrics,
           listen=listen, as_json=as_json, note=(lambda _line: None) if quiet else world.note)  # fmt: skip


def _print(  # noqa: PLR0913 - as above
    world: World, namespace: str, *, everywhere: bool, labels: str, kubelets: bool, once: bool, image: str | None
) -> None:
    import yaml

    from wherry.cluster.watch_manifest import rbac_manifests, watch_manifests

    place = namespace or "default"
    if image is None:
        found = rbac_manifests(place, everywhere=everywhere, once=once, kubelets=kubelets)
    elif not image:
        raise InvalidUsage("--print: no image", hint="name one that has wherry: --image REGISTRY/NAME@DIGEST")
    else:
        found = watch_manifests(place, image, everywhere=everywhere, labels=labels, kubelets=kubelets)
    world.stdout.write(yaml.safe_dump_all(found, sort_keys=False))


def _watch(  # noqa: PLR0913 - as above
    world: World,
    found: "Cluster",
    options: "WatchOptions",
    *,
    output: str,
    metrics: str,
    listen: str,
    as_json: bool,
    note: "Callable[[str], None]",
) -> None:
    import threading

    from wherry.app.metrics_server import listen_address, metrics_server
    from wherry.app.watch_lines import FigureFile
    from wherry.app.watch_totals import WatchTotals
    from wherry.app.watching import check_rights, watch_cluster, watched_machine
    from wherry.report.cluster_watch import WatchSummary, figure_line, summary_line, watch_metrics
    from wherry.report.terminal import printable

    totals, summary, turn, stop = WatchTotals(), WatchSummary(), threading.Lock(), threading.Event()

    def page() -> str:
        with turn:
            return watch_metrics(totals)

    def notice(line: str, away: bool) -> None:  # noqa: FBT001 - as the watch has it
        totals.away = away
        note(printable(line))

    check_rights(found, options)  # before a file is made
    with ExitStack() as stack:
        machine = watched_machine(found)
        file = stack.enter_context(FigureFile(world.cwd / output, machine, world.clock())) if output else None
        if listen:
            url = stack.enter_context(metrics_server(listen_address(listen), page, lambda: not totals.away))
            note(f"metrics: {url}")
        write = _metrics_file(world, metrics, page)
        stack.enter_context(_ended_by_signal(stop))
        if as_json:
            from wherry.history.exchange import header_line

            world.say(header_line(machine, world.clock()).decode().rstrip())
            world.stdout.flush()

        def take(entry: "CallFigures", fresh: bool) -> None:  # noqa: FBT001 - as above
            with turn:
                if fresh or options.once or entry.kubelet is not None:
                    totals.add(entry)
                summary.add(entry)
            if file is not None:
                file.add(entry)
            if as_json or file is None:
                world.say(entry.encoded().decode() if as_json else figure_line(entry))
                world.stdout.flush()

        try:
            summary.refused = watch_cluster(
                world, found, options, take, notice=notice, tick=lambda: write(_EACH), stop=stop
            )
        except KeyboardInterrupt:  # the way to end it
            pass
        finally:
            write(0.0)
    note(summary_line(summary))


def _metrics_file(world: World, name: str, page: "Callable[[], str]") -> "Callable[[float], None]":
    """Give what writes the metrics' file, where there is one, if it was not written for some seconds."""
    import time

    last = float("-inf")

    def write(pause: float) -> None:
        nonlocal last
        if not name or time.monotonic() - last < pause:
            return
        from wherry.store.files import replacing

        last = time.monotonic()
        with replacing(world.cwd / name) as to:
            to.write(page().encode())

    return write


def _ended_by_signal(stop: "threading.Event") -> "ExitStack":
    """End the watch in order when the process is asked to end, as in a pod that is deleted."""
    import signal
    import threading

    stack = ExitStack()
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
        stack.callback(signal.signal, signal.SIGTERM, before)
    return stack
