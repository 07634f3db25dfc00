from __future__ import annotations

import json
from dataclasses import replace

from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.monitoring.grafana import model, written
from afresh.deploy.monitoring.panels import Dashboard, Panel


def test_a_dashboard_has_one_identity_and_its_panels_do_not_overlap() -> None:
    boards = [json.loads(written(board)) for board in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        assert len(set(places)) == len(places) > 0
        assert all(x + 8 <= 24 for x, _ in places)
        assert all(panel["description"] for panel in board["panels"])


def test_an_axis_begins_at_zero_unless_values_may_be_negative() -> None:
    panel = Panel("Weights", "short", (), "It tells.")
    board = Dashboard("afresh-x", "afresh: x", (panel, replace(panel, below_zero=True)))
    axes = [each["fieldConfig"]["defaults"] for each in model(board)["panels"]]
    assert axes == [{"unit": "short", "min": 0}, {"unit": "short"}]
