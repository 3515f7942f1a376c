"""The history as OpenMetrics text, which Prometheus reads too: the latest figures, and counts of all calls.

Source: OpenMetrics 1.0, "Text Format".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from wherry.history.database import HistoryDatabase, Row


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """One metric: its names, and the SQL that gives labels and a value."""

    name: str
    kind: str
    """`gauge` or `counter`."""
    help: str
    labels: tuple[str, ...]
    statement: str
    """Its first columns are the labels, the last is the value."""
    unit: str = ""


_LATEST: Final = (
    "SELECT i.name, i.platform, {column} FROM images i JOIN (SELECT name, platform, MAX(at) AS at FROM images "
    "WHERE {column} IS NOT NULL AND at >= ? GROUP BY name, platform) l "
    "ON l.name = i.name AND l.platform = i.platform AND l.at = i.at WHERE {column} IS NOT NULL "
    "GROUP BY i.name, i.platform"
)
_IMAGE: Final = ("image", "platform")
FAMILIES: Final = (
    MetricFamily(
        "wherry_image_pulled_bytes", "gauge", "Bytes of all layers of the last build, as stored", _IMAGE,
        _LATEST.format(column="pulled"), "bytes",
    ),
    MetricFamily(
        "wherry_image_unpacked_bytes", "gauge", "Bytes of all layers of the last build, unpacked", _IMAGE,
        _LATEST.format(column="unpacked"), "bytes",
    ),
    MetricFamily(
        "wherry_image_program_bytes", "gauge", "Bytes of the Go program of the last build", _IMAGE,
        _LATEST.format(column="program"), "bytes",
    ),
    MetricFamily(
        "wherry_calls", "counter", "Calls of wherry", ("command", "result"),
        "SELECT command, CASE WHEN NOT ok THEN 'failed' WHEN unchanged THEN 'unchanged' ELSE 'done' END, COUNT(*) "
        "FROM calls WHERE at >= ? GROUP BY 1, 2",
    ),
    MetricFamily(
        "wherry_call_duration_seconds", "counter", "Seconds that calls took", ("command", "result"),
        "SELECT command, CASE WHEN NOT ok THEN 'failed' WHEN unchanged THEN 'unchanged' ELSE 'done' END, SUM(seconds) "
        "FROM calls WHERE at >= ? GROUP BY 1, 2", "seconds",
    ),
    MetricFamily(
        "wherry_last_call_duration_seconds", "gauge", "Seconds of the last call where something was done", ("command",),
        "SELECT command, seconds FROM (SELECT command, seconds, MAX(at) FROM calls WHERE ok AND NOT unchanged "
        "AND at >= ? GROUP BY command)", "seconds",
    ),
    MetricFamily(
        "wherry_build_steps", "counter", "Steps of builds, from the cache or done", ("cached",),
        "SELECT 'yes', SUM(hits) FROM calls WHERE at >= ?1 AND hits + misses > 0 HAVING COUNT(*) UNION ALL "
        "SELECT 'no', SUM(misses) FROM calls WHERE at >= ?1 AND hits + misses > 0 HAVING COUNT(*)",
    ),
    MetricFamily(
        "wherry_build_memory_bytes", "gauge", "Peak memory of the last build where something was built", ("program",),
        "SELECT 'wherry', memory FROM (SELECT memory FROM calls WHERE command = 'build' AND ok AND NOT unchanged "
        "AND at >= ?1 ORDER BY at DESC LIMIT 1) UNION ALL SELECT 'largest', compiler_memory FROM (SELECT "
        "compiler_memory FROM calls WHERE command = 'build' AND ok AND NOT unchanged AND at >= ?1 "
        "ORDER BY at DESC LIMIT 1)", "bytes",
    ),
    MetricFamily(
        "wherry_budget_limit_bytes", "gauge", "A budget of the last build with budgets", ("image", "platform", "what"),
        "SELECT image, platform, what, bound FROM (SELECT image, platform, what, bound, MAX(at) FROM budgets "
        "WHERE at >= ? GROUP BY 1, 2, 3)", "bytes",
    ),
    MetricFamily(
        "wherry_budget_used_bytes", "gauge", "What was measured for that budget", ("image", "platform", "what"),
        "SELECT image, platform, what, actual FROM (SELECT image, platform, what, actual, MAX(at) FROM budgets "
        "WHERE at >= ? GROUP BY 1, 2, 3)", "bytes",
    ),
    MetricFamily(
        "wherry_scan_findings", "gauge", "Findings of the last scan, by evidence", ("evidence",),
        "SELECT 'symbol', symbol FROM (SELECT * FROM scans WHERE at >= ?1 ORDER BY at DESC LIMIT 1) UNION ALL "
        "SELECT 'package', package FROM (SELECT * FROM scans WHERE at >= ?1 ORDER BY at DESC LIMIT 1) UNION ALL "
        "SELECT 'module', module FROM (SELECT * FROM scans WHERE at >= ?1 ORDER BY at DESC LIMIT 1)",
    ),
    MetricFamily(
        "wherry_scan_database_age_seconds", "gauge", "Age of the vulnerability database at the last scan", (),
        "SELECT age FROM (SELECT age FROM scans WHERE at >= ? AND age IS NOT NULL ORDER BY at DESC LIMIT 1)", "seconds",
    ),
    MetricFamily(
        "wherry_containers_ended", "counter", "Containers that ended, from watches and lists", ("reason",),
        "SELECT reason, COUNT(*) FROM containers WHERE at >= ? AND reason <> '' GROUP BY reason",
    ),
    MetricFamily(
        "wherry_images_on_nodes", "counter", "Images that containers needed on nodes", ("pulled",),
        "SELECT CASE WHEN present THEN 'no' ELSE 'yes' END, COUNT(*) FROM node_pulls WHERE at >= ? GROUP BY 1",
    ),
    MetricFamily(
        "wherry_image_pull_duration_seconds", "counter", "Seconds that nodes pulled images", (),
        "SELECT SUM(seconds) FROM node_pulls WHERE at >= ? AND NOT present HAVING COUNT(*)", "seconds",
    ),
    MetricFamily(
        "wherry_pods_started", "counter", "Pods that got ready for the first time", (),
        "SELECT COUNT(*) FROM pod_starts WHERE at >= ? HAVING COUNT(*)",
    ),
    MetricFamily(
        "wherry_pod_start_duration_seconds", "counter", "Seconds from a pod's creation until it was ready", (),
        "SELECT SUM(ready) FROM pod_starts WHERE at >= ? HAVING COUNT(*)", "seconds",
    ),
)  # fmt: skip


def openmetrics(database: HistoryDatabase, since: float = 0.0) -> str:
    """Write the metrics.

    Args:
        database: the history.
        since: only calls after this moment count.
    """
    families = (_family(family, database.ask(family.statement, (since,))) for family in FAMILIES)
    return "".join(line for family in families for line in family) + "# EOF\n"


def _family(family: MetricFamily, rows: list[Row]) -> Iterator[str]:
    if not rows:
        return
    yield f"# TYPE {family.name} {family.kind}\n"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}\n"
    yield f"# HELP {family.name} {family.help}.\n"
    sample = f"{family.name}_total" if family.kind == "counter" else family.name
    for *labels, value in rows:
        yield f"{sample}{labelled(dict(zip(family.labels, map(str, labels), strict=True)))} {value}\n"


def labelled(labels: Mapping[str, str]) -> str:
    """Write labels in braces; nothing where there are none."""
    named = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
    return f"{{{named}}}" if named else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
