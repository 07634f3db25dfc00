"""Questions to a Prometheus."""

from __future__ import annotations

from typing import Any

from afresh.deploy.monitoring.answers import prometheus


def asked(address: str, path: str, **given: str) -> Any:
    """Ask a question of its API, and return the data of the answer."""
    return prometheus(address)(path, given)


def firing(address: str) -> set[str]:
    """Name the alerts that fire."""
    alerts = asked(address, "alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
