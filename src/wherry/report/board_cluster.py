"""The board's tables of clusters: images by digest, and containers that were killed for memory."""

from collections.abc import Iterator, Sequence

from wherry.app.board_cluster import BoardCluster, ClusterImage, MemoryKill, PullsOfSize
from wherry.report.history_table import day_of, figure
from wherry.report.page_tables import Cell, Markup, table
from wherry.report.terminal import size


def cluster_tables(cluster: BoardCluster) -> Iterator[str]:
    """Write the tables that have rows."""
    if cluster.images:
        head = ("Image", "Digest", "Pulls", "Median", "Longest", "Size", "On the node", "Starts", "Until ready", "OOM")
        rows: list[Sequence[Cell]] = [_image(one) for one in cluster.images]
        yield table("Images on nodes, by digest", head, rows)
    if cluster.kills:
        columns = ("When (UTC)", "Pod", "Container", "Image", "Memory limit", "Exit code")
        rows = [_kill(one) for one in cluster.kills]
        yield table("Containers killed for memory, the latest", columns, rows)
    if cluster.kubelets:
        names = ("Size of the image", "Pulls", "Mean")
        rows = [_size(one) for one in cluster.kubelets]
        yield table("Pulls by size, as kubelets count them since they started", names, rows)


def _size(one: PullsOfSize) -> Sequence[Cell]:
    return (one.size, f"{one.count:,}", _seconds(one.seconds / one.count if one.count else None))


def _image(one: ClusterImage) -> Sequence[Cell]:
    return (
        one.name.partition("@")[0], one.digest[:19], str(one.pulls), _seconds(one.median), _seconds(one.longest),
        Markup("" if one.size is None else size(one.size)), str(one.present), str(one.starts), _seconds(one.ready),
        str(one.kills),
    )  # fmt: skip


def _seconds(value: float | None) -> Markup:
    return Markup("" if value is None else f'<span data-v="{value!r}">{figure(value, "seconds")}</span>')


def _kill(one: MemoryKill) -> Sequence[Cell]:
    limit = "none of its own" if one.limit is None else size(one.limit)
    return (day_of(one.at), one.pod, one.container, one.image, Markup(limit), "" if one.code is None else str(one.code))
