"""Rules for Prometheus, from the alerts."""

from __future__ import annotations

from afresh.deploy.monitoring.alerts import ALERTS, Alert

RUNBOOKS = "https://example.org/afresh/deploy/runbooks.md"
"""Where the runbooks are, for whoever is called. ``--runbooks`` sets another place."""

UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))

HEAD = "# Made by `python -m afresh.deploy.monitoring`; change deploy/monitoring/alerts.py instead.\n"


def duration(seconds: int) -> str:
    """Write a duration as Prometheus does.

    Examples
    --------
    >>> [duration(seconds) for seconds in (0, 90, 300, 21_600)]
    ['0s', '90s', '5m', '6h']
    """
    if not seconds:
        return "0s"
    return next(f"{seconds // size}{unit}" for size, unit in UNITS if seconds % size == 0)


def rules(runbooks: str = RUNBOOKS, scale: float = 1.0) -> str:
    """Make the file of rules.

    Parameters
    ----------
    runbooks
        Address of the runbooks, without a fragment.
    scale
        Factor of all durations: tests cannot wait for hours.

    Returns
    -------
    YAML.
    """
    return (
        HEAD
        + "groups:\n  - name: afresh\n    rules:\n"
        + "".join(_rule(alert, runbooks, scale) for alert in ALERTS)
    )


def _rule(alert: Alert, runbooks: str, scale: float) -> str:
    return f"""\
      - alert: {alert.name}
        expr: {_quoted(expression(alert, scale))}
        for: {duration(_scaled(alert.for_seconds, scale))}
        labels:
          severity: {alert.severity}
        annotations:
          summary: {_quoted(alert.summary)}
          runbook_url: {runbooks}#{alert.name.lower()}
"""


def _quoted(text: str) -> str:
    """Write a text as YAML has it between single quotes."""
    return "'" + text.replace("'", "''") + "'"


def expression(alert: Alert, scale: float = 1.0) -> str:
    """Return the expression of an alert, with its durations.

    Examples
    --------
    >>> expression(Alert("A", "rate(x[{window}]) > 0", 0, "page", "", (("window", 600),)), scale=0.1)
    'rate(x[1m]) > 0'
    >>> expression(Alert("A", "age > {limit}", 0, "page", "", limit_seconds=60), scale=0.1)
    'age > 6'
    """
    made = alert.expression.replace("{limit}", str(_scaled(alert.limit_seconds, scale)))
    for name, seconds in alert.windows:
        made = made.replace(f"{{{name}}}", duration(_scaled(seconds, scale)))
    return made


def _scaled(seconds: int, scale: float) -> int:
    return max(round(seconds * scale), 1) if seconds else 0
