"""A Grafana dashboard for the metrics of `wherry history export --format openmetrics`.

Source: Grafana 12, "Dashboard JSON model", schema version 41; a test loads it with Grafana's own SDK.
"""

import json
from typing import Final

_WIDE: Final = 24
_TALL: Final = 8
_PANELS: Final = (
    ("Pulled bytes by image", "bytes", "wherry_image_pulled_bytes", "{{image}} {{platform}}"),
    ("Unpacked bytes by image", "bytes", "wherry_image_unpacked_bytes", "{{image}} {{platform}}"),
    (
        "Last build that built something", "s", 'wherry_last_call_duration_seconds{command=~"build|resolve"}',
        "{{command}}",
    ),
    ("Last pull and push", "s", 'wherry_last_call_duration_seconds{command=~"pull|push"}', "{{command}}"),
    (
        "Steps from the cache", "percentunit",
        'sum(wherry_build_steps_total{cached="yes"}) / sum(wherry_build_steps_total)', "from the cache",
    ),
    ("Peak memory of a build", "bytes", "wherry_build_memory_bytes", "{{program}}"),
    ("Budgets used", "percentunit", "wherry_budget_used_bytes / wherry_budget_limit_bytes", "{{image}} {{what}}"),
    ("Calls by result", "short", "sum by (command, result) (wherry_calls_total)", "{{command}} {{result}}"),
    ("Findings of the last scan", "short", "wherry_scan_findings", "{{evidence}}"),
    ("Age of the vulnerability database", "s", "wherry_scan_database_age_seconds", "age"),
    (
        "Containers killed for memory", "short",
        'sum(increase(wherry_containers_ended_total{reason="OOMKilled"}[30d]))', "a month",
    ),
    (
        "Pull time on nodes, mean", "s",
        (
            "rate(wherry_image_pull_duration_seconds_total[1d])"
            ' / ignoring(pulled) rate(wherry_images_on_nodes_total{pulled="yes"}[1d])'
        ),
        "a pull",
    ),
    (
        "Start of a pod until ready, mean", "s",
        "rate(wherry_pod_start_duration_seconds_total[1d]) / rate(wherry_pods_started_total[1d])", "a pod",
    ),
)  # fmt: skip


def dashboard() -> str:
    """Write the dashboard; its data source is chosen when it is imported."""
    return json.dumps(
        {
            "uid": "wherry-history",
            "title": "wherry",
            "tags": ["wherry"],
            "schemaVersion": 41,
            "editable": True,
            "time": {"from": "now-90d", "to": "now"},
            "refresh": "",
            "templating": {
                "list": [
                    {
                        "name": "datasource",
                        "label": "Prometheus",
                        "type": "datasource",
                        "query": "prometheus",
                        "current": {},
                    }
                ]
            },
            "annotations": {"list": []},
            "panels": [_panel(number, *panel) for number, panel in enumerate(_PANELS)],
        },
        indent=2,
    )


def _panel(number: int, title: str, unit: str, expression: str, legend: str) -> dict[str, object]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    half = _WIDE // 2
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"x": number % 2 * half, "y": number // 2 * _TALL, "w": half, "h": _TALL},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [{"refId": "A", "datasource": source, "expr": expression, "legendFormat": legend}],
    }
