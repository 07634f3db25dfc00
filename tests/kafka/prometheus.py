"""Questions to a Prometheus."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from tests.streams.making import read_page


def asked(address: str, path: str, **given: str) -> Any:
    """Ask a question of its API, and return the data of the answer."""
    status, said = read_page(int(address.rpartition(":")[2]), f"/api/v1/{path}?{urlencode(given)}")
    assert status == 200, said
    return json.loads(said)["data"]


def firing(address: str) -> set[str]:
    """Name the alerts that fire."""
    alerts = asked(address, "alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
