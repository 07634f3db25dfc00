"""Dashboards as Grafana reads them."""

from __future__ import annotations

import json
from typing import Any

from afresh.deploy.monitoring.panels import Dashboard, Panel

WIDTH, HEIGHT, IN_A_ROW = 8, 8, 3
"""Size of a panel; Grafana divides the width of a page by 24."""

SOURCE = {"type": "prometheus", "uid": "${source}"}
"""Whichever Prometheus is chosen at the top of a dashboard."""

SCHEMA_VERSION = 39
"""Of Grafana 10 and 11; later ones read it, too."""

PROVIDER = """\
# Made by `python -m afresh.deploy.monitoring`. Grafana reads the dashboards beside this folder.
apiVersion: 1
providers:
  - name: afresh
    folder: afresh
    type: file
    options:
      path: /etc/grafana/afresh/dashboards
"""

DATASOURCE = """\
# Made by `python -m afresh.deploy.monitoring`. Set the address of your Prometheus.
apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    access: proxy
    url: http://prometheus:9090
    isDefault: true
"""


def written(dashboard: Dashboard) -> str:
    """Return the file of a dashboard."""
    return json.dumps(model(dashboard), indent=1, ensure_ascii=False) + "\n"


def model(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana's JSON has it."""
    return {
        "uid": dashboard.name,
        "title": dashboard.title,
        "tags": ["afresh"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {"type": "dashboards", "tags": ["afresh"], "title": "afresh", "asDropdown": False, "icon": "bolt"}
        ],
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, IN_A_ROW)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.tells,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": _axis(panel), "overrides": []},
        "options": {"tooltip": {"mode": "multi"}, "legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
            }
            for place, query in enumerate(panel.queries)
        ],
    }


def _axis(panel: Panel) -> dict[str, Any]:
    return {"unit": panel.unit} | ({} if panel.below_zero else {"min": 0})
