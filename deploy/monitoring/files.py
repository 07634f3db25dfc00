"""The files of dashboards and alerts, by their place in the repository."""

from __future__ import annotations

from pathlib import Path

from afresh.deploy.monitoring import grafana
from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.monitoring.rules import RUNBOOKS, rules
from afresh.deploy.monitoring.scraping import EMBED_WORKER, MODEL_WORKER, SUGGEST, WORKER, scraping

SCRAPE_HEAD = (
    "# Made by `python -m afresh.deploy.monitoring`. How Prometheus finds workers and embed workers, and reads the "
    "rules.\n"
    "# Two jobs are comments: model workers, for AFRESH_MODEL=worker, and `afresh suggest --every`. Take away the\n"
    "# signs of those that you run.\n"
)
SCRAPED = {WORKER: "localhost:9464", EMBED_WORKER: "localhost:9465"}
NOT_BY_DEFAULT = {MODEL_WORKER: "localhost:9466", SUGGEST: "localhost:9467"}
SCRAPE_SECONDS = 15


def files(runbooks: str = RUNBOOKS) -> dict[str, str]:
    """Return the text of each file, by its path below ``deploy``."""
    dashboards = {f"grafana/dashboards/{each.name}.json": grafana.written(each) for each in DASHBOARDS}
    return dashboards | {
        "grafana/provisioning/dashboards/afresh.yml": grafana.PROVIDER,
        "grafana/provisioning/datasources/prometheus.yml": grafana.DATASOURCE,
        "prometheus/prometheus.yml": SCRAPE_HEAD + scraping(SCRAPED, SCRAPE_SECONDS, NOT_BY_DEFAULT),
        "prometheus/rules.yml": rules(runbooks),
    }


def write(folder: Path, runbooks: str = RUNBOOKS) -> None:
    """Write all files below a folder."""
    for name, text in files(runbooks).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
