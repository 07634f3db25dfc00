from __future__ import annotations

import json

from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.monitoring.grafana import written


def test_a_dashboard_has_one_identity_and_its_panels_do_not_overlap() -> None:
    models = [json.loads(written(board)) for board in DASHBOARDS]
    assert len({model["uid"] for model in models}) == len(models)
    for model in models:
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in model["panels"]]
        assert len(set(places)) == len(places) > 0
        assert all(x + 8 <= 24 for x, _ in places)
        assert all(panel["description"] for panel in model["panels"])
