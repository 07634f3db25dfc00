"""Each alert has its runbook."""

from __future__ import annotations

import re

import pytest

from afresh.deploy.monitoring.alerts import ALERTS, PAGE, TICKET, Alert
from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.servers.kafka import REPOSITORY

RUNBOOKS = (REPOSITORY / "deploy" / "runbooks.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL))


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert list(SECTIONS) == [alert.name for alert in ALERTS]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_runbook_says_what_it_means_what_to_look_at_and_what_to_do(alert: Alert) -> None:
    parts = re.findall(r"^\*\*(It means|Look at|Do):\*\*", SECTIONS[alert.name], re.MULTILINE)
    assert parts == ["It means", "Look at", "Do"]
    assert alert.severity in (PAGE, TICKET)


def test_runbooks_name_panels_that_exist() -> None:
    titles = {panel.title for board in DASHBOARDS for panel in board.panels}
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", RUNBOOKS))
    assert named <= titles
    assert len(named) > 10
