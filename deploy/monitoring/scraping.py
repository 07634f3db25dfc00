"""Settings of a Prometheus that scrapes workers and reads the rules beside them."""

from __future__ import annotations

from collections.abc import Mapping

WORKER, EMBED_WORKER = "afresh", "afresh-embed"
"""Names of the jobs; dashboards and alerts look for those that begin with the first."""


def scraping(targets: Mapping[str, str], seconds: int) -> str:
    """Make the file of settings.

    Parameters
    ----------
    targets
        Address of each page, by the name of its job.
    seconds
        Time between two scrapes, and between two looks at the rules.

    Returns
    -------
    YAML.
    """
    jobs = "".join(
        f'  - job_name: {job}\n    static_configs:\n      - targets: ["{address}"]\n'
        for job, address in targets.items()
    )
    return (
        f"global:\n  scrape_interval: {seconds}s\n  evaluation_interval: {seconds}s\n"
        f"rule_files:\n  - rules.yml\nscrape_configs:\n{jobs}"
    )
