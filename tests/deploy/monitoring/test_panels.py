from __future__ import annotations

import re

from afresh.deploy.monitoring.dashboards import DASHBOARDS

FIXED = re.compile(r"increase\(\w+\[1h\]\)")
"""What is counted within an hour, whatever the dashboard shows."""


def test_rates_are_over_grafanas_own_window_which_holds_two_scrapes_at_least() -> None:
    for board in DASHBOARDS:
        for panel in board.panels:
            for query in panel.queries:
                windows = re.findall(r"\[[^]]+\]", FIXED.sub("", query.expression))
                assert set(windows) <= {"[$__rate_interval]"}, panel.title
